//! The client of the schema registry: against a real one (`CATCHMENT_TEST_REGISTRY=url`; without it these tests say that
//! they are skipped), and against answers on loopback that a real one gives only in trouble.

#![allow(clippy::unwrap_used, clippy::panic, clippy::explicit_write)]

mod real;
mod support;
mod trouble;
