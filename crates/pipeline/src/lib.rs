//! The roles as tasks of the runtime: contract record → domain decision → contract record.
//!
//! No I/O here either, so that sandbox, simulation and Kafka run the very same code.

pub mod catalog;
pub mod ingest;
pub mod profile;
pub mod topology;
mod trace;
