//! Ingest as a whole: bad inputs, properties, and the shop's own data.

mod bad;
mod property;
pub(super) mod shop;
