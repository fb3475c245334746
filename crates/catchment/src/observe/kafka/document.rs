//! The fields of librdkafka's statistics that are shown, under the names that they have there.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// The document of one client.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Document<'a> {
    /// `rdkafka#consumer-1`: the number is new for each client of the process.
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    /// Bytes in the queues of a producer.
    pub(super) msg_size: u64,
    /// Answers of brokers.
    pub(super) rx: u64,
    pub(super) tx_bytes: u64,
    pub(super) rx_bytes: u64,
    #[serde(borrow)]
    pub(super) brokers: Values<Broker<'a>>,
    #[serde(borrow)]
    pub(super) topics: Values<Topic<'a>>,
    pub(super) cgrp: Option<Group>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Broker<'a> {
    /// Below 0: an address of the configuration, or the name of the group's coordinator, which is one of the others.
    pub(super) nodeid: i32,
    #[serde(borrow)]
    state: Cow<'a, str>,
    pub(super) outbuf_cnt: i64,
    pub(super) waitresp_cnt: i64,
    pub(super) connects: u64,
    pub(super) disconnects: u64,
    /// Microseconds.
    pub(super) rtt: Window,
    /// Milliseconds.
    pub(super) throttle: Window,
}

impl Broker<'_> {
    pub(super) fn is_up(&self) -> bool {
        ["UP", "UPDATE"].contains(&self.state.as_ref())
    }
}

/// Values since the document before.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Window {
    pub(super) avg: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Topic<'a> {
    #[serde(borrow)]
    pub(super) topic: Cow<'a, str>,
    pub(super) partitions: Values<Partition>,
}

/// A partition of a topic that the client knows of; offsets below 0 are not known.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Partition {
    pub(super) partition: i32,
    /// It is assigned.
    pub(super) desired: bool,
    pub(super) fetchq_cnt: i64,
    pub(super) fetchq_size: u64,
    pub(super) next_offset: i64,
    pub(super) app_offset: i64,
    pub(super) ls_offset: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Group {
    pub(super) rebalance_cnt: u64,
}

/// The values of an object whose keys are said again within.
#[derive(Debug)]
pub(super) struct Values<T>(pub(super) Vec<T>);

impl<T> Default for Values<T> {
    fn default() -> Self {
        Values(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Values<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Collect<T> {
            type Value = Values<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values<T>, A::Error> {
                let mut values = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some((IgnoredAny, value)) = map.next_entry()? {
                    values.push(value);
                }
                Ok(Values(values))
            }
        }

        deserializer.deserialize_map(Collect(PhantomData))
    }
}
