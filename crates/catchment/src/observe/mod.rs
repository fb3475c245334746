//! What an operator sees of a running process: metrics, health, traces.
//!
//! A lane feeds it through one [`lane::LaneObserver`]; the admin server asks it. Nothing here decides anything about
//! records, and nothing waits: a lane pays for it with counters, and with a span where a step is sampled.

pub mod admin;
pub mod health;
pub mod kafka;
pub mod metrics;
pub mod process;
