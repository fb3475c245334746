//! What an ingest task works by, and what it reports.

use crate::ingest::map::Reason;
use crate::ingest::source::SourceSpec;
use catchment_contracts::EventType;
use catchment_contracts::dead_letter::ErrorCode;
use catchment_contracts::schemas::Schemas;
use catchment_contracts::wire::SchemaIds;
use catchment_domain::KeySecret;
use catchment_runtime::TopicPartition;
use std::sync::Arc;

/// Place of a source in [`IngestSettings::sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceIndex(pub u16);

/// Whose time decisions are made at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The lane's. Watermarks are written at most once a second, by [`Task::advance`].
    Wall,
    /// The records' arrival: `step.now` is that of the record being processed. A watermark is written before each record
    /// that arrived later than the last one written. The lane must read in order of arrival.
    Event,
}

/// What an ingest task works by.
#[derive(Clone, Debug)]
pub struct IngestSettings {
    /// Sources, in order of precedence among equal arrivals. Those of topics that the lane doesn't read may be among
    /// them.
    pub sources: Vec<SourceSpec>,
    /// Secret of node keys.
    pub secret: KeySecret,
    /// Ids that values are written under.
    pub schemas: SchemaIds,
    /// Where the schemas of Avro sources are found: `BuiltinSchemas` where no registry runs.
    pub source_schemas: Arc<dyn Schemas>,
    /// Whose time counts.
    pub clock: Clock,
    /// Raw partitions that the lane reads. Watermarks speak for every source of each of them.
    pub inputs: Vec<TopicPartition>,
}

/// Settings that no ingest task can work by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Two sources have the same name.
    #[error("two sources are called {0:?}")]
    SameName(String),
    /// A topic that would be read or written is not in the table of topics.
    #[error("topic {topic:?}, which source {source_name:?} needs, is not in the table of topics")]
    NoTopic {
        /// The topic.
        topic: String,
        /// Who needs it.
        source_name: String,
    },
    /// More sources than can be counted.
    #[error("more than 65,535 sources")]
    TooMany,
}

/// What happened, to be counted once it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IngestEffect {
    /// An event was written to `customer.events`.
    Routed {
        /// Its source.
        source: SourceIndex,
        /// Its kind.
        kind: EventType,
    },
    /// An event without an identifier was written to `customer.unattributed`.
    Unattributed {
        /// Its source.
        source: SourceIndex,
        /// Its kind.
        kind: EventType,
    },
    /// A product was written to `catalog.updates`.
    Item {
        /// Its source.
        source: SourceIndex,
    },
    /// A record was refused.
    DeadLettered {
        /// Its source; `None` if it is unknown.
        source: Option<SourceIndex>,
        /// Code of the first failed check.
        code: ErrorCode,
    },
    /// A record was fine and said nothing.
    Skipped {
        /// Its source.
        source: SourceIndex,
        /// Why.
        reason: Reason,
    },
    /// Amounts of a record were left out, because ISO 4217 doesn't list their currency. Comes beside `Routed`,
    /// `Unattributed` or `Item`.
    AmountsDropped {
        /// Its source.
        source: SourceIndex,
    },
}
