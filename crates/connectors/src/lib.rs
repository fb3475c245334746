//! The only home of what touches the outside: files, Kafka and the schema registry now, models later.

pub mod admin;
pub mod files;
pub mod kafka;
pub mod otlp;
pub mod registry;
pub mod retry;
pub mod snapshot;
