//! Against a real Kafka: `CATCHMENT_TEST_BROKERS=host:port`. Without it these tests say that they are skipped. Every
//! test has topics and groups of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::explicit_write
)]

mod admin;
mod conformance;
mod denied;
mod fencing;
mod groups;
mod lanes;
mod outages;
mod reading;
mod security;
mod support;
mod tools;
mod writing;
