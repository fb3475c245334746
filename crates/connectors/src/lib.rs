//! The only home of what touches the outside: files and Kafka now, HTTP and models later.

pub mod files;
#[cfg(feature = "kafka")]
pub mod kafka;
