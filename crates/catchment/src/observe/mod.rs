//! What an operator sees of a running process: metrics, health, traces.
//!
//! A lane feeds it through one [`lane::LaneObserver`]; the [admin server](admin) asks it. Nothing here decides anything
//! about records, and nothing waits: a lane pays for it with counters, and with a span where a step is sampled.

pub mod admin;
pub mod health;
pub mod kafka;
pub mod lane;
pub mod log;
pub mod metrics;
pub mod process;
pub mod registry;
pub mod task;
pub mod trace;
