//! What the configuration says of a source.

use super::arrival::ArrivalPath;
use super::foreign::Foreign;
use catchment_domain::normalise::Policy;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The most bytes a record may have where its source sets no limit: 32 KiB, as the Segment specification says.
pub const DEFAULT_MAX_BYTES: usize = 32_768;

/// A source of raw records.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// Name: in events, in the names of dead-letter topics, in the header `catchment.source`.
    pub name: String,
    /// Topic that it writes to. Several sources may share one; their records then name theirs in a header.
    pub topic: String,
    /// How its records are written.
    #[serde(default)]
    pub format: Format,
    /// What its records look like, or are brought to look like.
    pub mapping: Mapping,
    /// How a foreign payload is brought into the form that `mapping` takes; `None`: it has that form.
    #[serde(skip)]
    pub via: Option<Arc<Foreign>>,
    /// What the deployment decides of identifiers; `None`: nothing.
    #[serde(skip)]
    pub policy: Option<Arc<Policy>>,
    /// The field that says when a record arrived; without it, the log's clock does.
    #[serde(default)]
    pub arrival: Option<ArrivalPath>,
    /// The most bytes a record may have; a larger one is a dead letter (`oversize`).
    #[serde(default = "default_max_bytes")]
    pub max_bytes: usize,
    /// What a record without a value means.
    #[serde(default)]
    pub tombstone: Tombstone,
    /// ISO 4217 code of amounts that come without one.
    #[serde(default = "default_currency")]
    pub default_currency: String,
}

impl SourceSpec {
    /// A source with the defaults of everything that has one.
    #[must_use]
    pub fn new(name: impl Into<String>, topic: impl Into<String>, mapping: Mapping) -> Self {
        SourceSpec {
            name: name.into(),
            topic: topic.into(),
            format: Format::default(),
            mapping,
            via: None,
            policy: None,
            arrival: None,
            max_bytes: default_max_bytes(),
            tombstone: Tombstone::default(),
            default_currency: default_currency(),
        }
    }
}

/// How records are written. What they say is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A JSON document.
    #[default]
    Json,
    /// An Avro datum, behind the id of its schema or beside a header with it. Names are those of the JSON form, or of the
    /// mapping's contract.
    Avro,
}

/// The shapes of records that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mapping {
    /// One call of the Segment specification, as a collector writes it.
    Segment,
    /// One element of a HubSpot webhook request about contacts.
    Hubspot,
    /// One Salesforce Change Data Capture event for Contact.
    Salesforce,
    /// One full contact in the plain shape of the contract `crm_contact`.
    Contact,
    /// One full product with its variants, the contract `catalog_item_snapshot`.
    Catalog,
}

impl Mapping {
    /// The contract that records are held against.
    #[must_use]
    pub fn contract(self) -> &'static str {
        match self {
            Mapping::Segment => "behaviour_event",
            Mapping::Hubspot | Mapping::Salesforce | Mapping::Contact => "crm_contact",
            Mapping::Catalog => "catalog_item_snapshot",
        }
    }
}

/// What a record without a value means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tombstone {
    /// Nothing: it is passed over and counted.
    Ignore,
    /// Nobody said what it means, so it waits in the dead letters (`null_value`).
    #[default]
    DeadLetter,
}

fn default_max_bytes() -> usize {
    DEFAULT_MAX_BYTES
}

fn default_currency() -> String {
    "USD".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_needs_name_topic_and_mapping() {
        let text = r#"{"name":"shop","topic":"behaviour.events","mapping":"segment"}"#;
        let spec: SourceSpec = serde_json::from_str(text).unwrap();
        assert_eq!((spec.name.as_str(), spec.topic.as_str()), ("shop", "behaviour.events"));
        assert_eq!((spec.mapping, spec.format), (Mapping::Segment, Format::Json));
        assert_eq!(
            (spec.max_bytes, spec.tombstone, spec.default_currency.as_str()),
            (32_768, Tombstone::DeadLetter, "USD")
        );
        assert!(serde_json::from_str::<SourceSpec>(r#"{"name":"shop","topic":"t"}"#).is_err());
        assert!(serde_json::from_str::<SourceSpec>(&text.replace("topic", "topik")).is_err());
    }

    #[test]
    fn all_settings_can_be_written_down() {
        let text = r#"{"name":"crm","topic":"crm.contacts","format":"avro","mapping":"salesforce",
            "arrival":"payload.ChangeEventHeader.commitTimestamp","max_bytes":1000,"tombstone":"ignore",
            "default_currency":"EUR"}"#;
        let spec: SourceSpec = serde_json::from_str(text).unwrap();
        assert_eq!(spec.arrival.unwrap().to_string(), "payload.ChangeEventHeader.commitTimestamp");
        assert_eq!((spec.format, spec.max_bytes, spec.tombstone), (Format::Avro, 1_000, Tombstone::Ignore));
    }
}
