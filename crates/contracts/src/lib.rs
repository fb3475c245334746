//! Everything that must stay readable after a deploy.
//!
//! The schemas under `schemas/` are the contracts: Avro for what crosses Kafka, JSON Schema for what sources may
//! send as JSON. The records that every event passes through are read and written by code generated from them
//! (`cargo xtask codegen`), because Avro's general path costs several times as much.
//!
//! - records at the crate's root, such as [`CustomerEvent`]: `encode` and `decode` of the bare datum;
//! - [`wire`]: the Confluent header before a datum;
//! - [`catalogue`]: all contracts, and their fields for people;
//! - [`released`]: the contracts of each release; [`compatibility`]: what breaks between two versions;
//! - [`topics`], [`headers`]: names, and what a topic must be;
//! - [`dead_letter`]: why a record was refused;
//! - [`render`]: a datum as JSON;
//! - [`settings`], [`handled`]: what tools leave on topics of their own.
//! - [`render`]: a datum as JSON, for people;
//! - [`transcode`]: a datum of somebody else's schema as JSON, for ingest; [`schemas`]: where such schemas are found.

mod avro;
pub mod catalogue;
pub mod compatibility;
pub mod dead_letter;
mod generated;
pub mod handled;
pub mod headers;
pub mod released;
pub mod render;
pub mod schemas;
pub mod settings;
pub mod topics;
pub mod transcode;
pub mod watermark;
pub mod wire;

pub use avro::{DecodeError, DecodeErrorKind};
pub use generated::*;
