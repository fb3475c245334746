//! Ingest: from what sources send to canonical records.
//!
//! A raw record is read, held against the contract of its source, mapped to [`CustomerEvent`]s or a [`CatalogItem`],
//! and routed by its smallest identifier. What can't be taken is a value, [`Verdict::DeadLetter`], with *every* wrong
//! field named.
//!
//! # One lenient pass instead of a strict one and a slow one
//!
//! The design speaks of strict typed structs, and of a second, slow pass over a *bad* record that names every wrong
//! field. There is one pass here, for good and bad records alike (`json`): it maps the known names of an object to the
//! *texts* of their values, and a check looks at a text only when it asks for it. So
//!
//! - there are no two readers that could disagree on what is well-formed;
//! - nothing that stands in a field can fail the reading: an array where a string belongs, `1e400`, 400 digits, or
//!   10,000 brackets are findings of a check (which knows field, expectation and code), not errors of a parser;
//! - amounts are read from the digits that were sent, never through a floating-point number;
//! - nothing recurses, so no record can exhaust the stack;
//! - it costs no more than a strict struct does, because most fields are strings, which are borrowed either way.
//!
//! Duplicate names: the last one wins, as in JavaScript and Python (RFC 8259 leaves it open). Unknown names are passed
//! over. An explicit `null` counts as absent, except as the value of a trait, which it deletes.
//!
//! # Foreign payloads
//!
//! A source may name a file that says how its payloads become what its mapping takes ([`foreign`]): they are brought into that form,
//! and take the same pass.
//!
//! # Avro
//!
//! A datum of an Avro source is written as JSON text by the schema that it names (`contracts::transcode`), and takes the
//! same pass. There is one mapping, and a dead letter names fields as the JSON form has them.
//!
//! [`CustomerEvent`]: catchment_contracts::CustomerEvent
//! [`CatalogItem`]: catchment_contracts::CatalogItem

mod arrival;
mod avro;
mod catalog;
mod check;
mod crm;
mod draft;
pub mod foreign;
mod json;
mod map;
mod segment;
mod source;
mod task;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use arrival::{ArrivalPath, NotAPath};
pub use avro::{Held, transcode};
pub use map::{Mapped, RawRecord, Reason, Scratch, Verdict, map, map_text};
pub use source::{DEFAULT_MAX_BYTES, Format, Mapping, SourceSpec, Tombstone};
pub use task::{Clock, IngestEffect, IngestSettings, IngestTask, SettingsError, SourceIndex};
