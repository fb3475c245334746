//! The role `profile`: one unified profile per customer, scored, and the decisions that follow.
//!
//! Reads `customer.events`; its state is three topics of the same partition number, written in one transaction with
//! what it publishes: `customer.profiles` (the public record is the changelog of the public part),
//! `<app>.profile.state` (ledger and timers) and `<app>.profile.dedup` (one record per step with all new event ids).

mod convert;
mod fold;
pub mod message;
mod stored;
mod task;
#[cfg(test)]
mod tests;
mod whole;

pub use convert::event;
pub use fold::{Expiry, Shared, SharedSettings};
pub use stored::{Customer, DEFAULT_FORMAT, NEWEST_FORMAT, OLDEST_FORMAT, StoredNode};
pub use task::{Messages, ProfileEffect, ProfileTask, Publish, Tally};
pub use whole::Whole;
