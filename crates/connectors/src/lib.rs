//! The only home of what touches the outside: files now, Kafka, HTTP and models later.

pub mod files;
