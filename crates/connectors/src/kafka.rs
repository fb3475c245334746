//! Kafka: the log of production, and what administration and tools need of it.
//!
//! [`KafkaLane`] is one lane's handle, used by the one thread of that lane. It holds up to four clients:
//!
//! | client | reads | isolation | why apart |
//! |---|---|---|---|
//! | member | nothing, its partitions are paused | uncommitted | is the lane's place in the group, and asks for high watermarks: only an uncommitted client is told the real one (KAFKA-10167) |
//! | reader | the partitions of the lane, by `assign` | committed | cooperative-sticky does not give one member the same partition number of two topics, so all inputs follow the number that the member got of *one* topic |
//! | restorer | one partition at a time | committed | only while state is restored; must not disturb what the reader has fetched |
//! | producer | – | – | transactions |
//!
//! **Fencing.** Every transaction carries offsets under the member's group metadata, read afresh, so the group
//! coordinator refuses a lane that was expelled or replaced, whatever its producer thinks. Members are static
//! (`group.instance.id`), so that the coordinator checks even a client that has forgotten its generation.
//!
//! Facts about librdkafka that the code rests on stand where it does.

mod classify;
mod config;
mod context;
mod lane;
mod member;
mod names;
mod offsets;
mod ownership;
mod reader;
mod restorer;
mod tools;
mod topics;
mod trouble;
mod writer;

pub use classify::{Class, Facts, Stage, classify};
pub use config::{Cluster, LaneSettings, Properties, PropertyRefused, batch_limit};
pub use context::{Client, StatisticsSink};
pub use lane::KafkaLane;
pub use tools::{
    AskError, Follow, Group, GroupMember, Inspector, NamedPartition, Place, RawProducer, RawRecord, Scan,
    Scanned, ToolWriter, View, deal_again, read_committed,
};
pub use topics::{
    CleanupPolicy, DescribedTopic, Mismatch, PartitionCount, Retention, TimestampType, TopicAdmin,
    WantedTopic, check,
};
