//! Pure decisions: who an event is about, what is known of a customer, which campaigns speak to her.
//!
//! No I/O, no clock, no randomness, no async, no Kafka: every function maps values to values, and time comes in as a
//! value, so that the same input gives the same result on a laptop, in a simulation and in production.

pub mod campaign;
pub mod catalog;
pub mod event;
pub mod features;
pub mod id;
pub mod identity;
pub mod model;
pub mod money;
pub mod normalise;
pub mod profile;
pub mod time;

pub use event::Event;
pub use id::{Identifier, IdentifierType, KeySecret, NodeKey, NodeRef};
pub use profile::Profile;
pub use time::Millis;
