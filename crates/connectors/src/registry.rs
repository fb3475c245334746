//! The schema registry: where our schemas are registered, and those of Avro sources are found.
//!
//! The HTTP interface is Confluent's, through `schema_registry_converter`; only the levels of compatibility, which it
//! lacks, are asked for here by `reqwest`.
//!
//! - [`Client`] asks, asynchronously; [`Registry`] is the same for who may wait (commands, the start of `run`);
//! - [`RegistryError`] tells a registry that *answered* from one that can't be reached: a record is to blame for the
//!   first alone;
//! - [`RegistrySchemas`] finds the schemas of records by id, for lanes, which never wait;
//! - [`Publication`] is what registering a contract did.

mod blocking;
mod client;
mod error;
mod publish;
mod schemas;
mod settings;

pub use blocking::Registry;
pub use client::{Client, SchemaText};
pub use error::{Refusal, RegistryError};
pub use publish::{LevelChange, Publication, VersionChange};
pub use schemas::{Patience, RegistrySchemas, SchemaCounts};
pub use settings::{Login, RegistrySettings};
