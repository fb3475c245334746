//! What came of a run, read as a consumer reads it.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use catchment_connectors::kafka::{Cluster, NamedPartition, Place, Scan};
use catchment_contracts::wire::{self, SchemaIds};
use catchment_contracts::{CustomerProfile, topics};
use catchment_domain::Millis;
use catchment_domain::time::parse_rfc3339;
use serde::{Deserialize, Serialize};

/// Counts of the output topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Outputs {
    /// Records of `customer.events`, but for watermarks.
    pub(super) events: u64,
    /// Records of `dlq.bench`.
    pub(super) dead_letters: u64,
    /// Records of `customer.profiles`.
    pub(super) profile_records: u64,
    /// Customers: keys of `customer.profiles`.
    pub(super) customers: u64,
    /// Events that the last profiles of all customers count together.
    pub(super) applied: u64,
    /// Bytes of the last profiles of all customers.
    pub(super) profile_bytes: u64,
    /// Records of `campaign.decisions`.
    pub(super) decisions: u64,
    /// Records of `campaign.triggers`.
    pub(super) triggers: u64,
}

/// Takes key and value of a record.
type See<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> anyhow::Result<()>;

/// Reads the output topics from end to end.
pub(super) fn count(
    cluster: &Cluster,
    of: impl Fn(&str) -> Vec<NamedPartition>,
    patience: Duration,
) -> anyhow::Result<Outputs> {
    let mut outputs = Outputs::default();
    let records = |topic: &str, see: See<'_>| {
        let mut scan = Scan::new(cluster, &of(topic), Place::Earliest, patience)?;
        while let Some(record) = scan.next_record()? {
            // Watermarks have no value.
            if let Some(value) = &record.value {
                see(record.key.as_deref().unwrap_or_default(), value)?;
            }
        }
        anyhow::Ok(())
    };
    for (topic, number) in [
        (topics::CUSTOMER_EVENTS, &mut outputs.events),
        ("dlq.bench", &mut outputs.dead_letters),
        (topics::CAMPAIGN_DECISIONS, &mut outputs.decisions),
        (topics::CAMPAIGN_TRIGGERS, &mut outputs.triggers),
    ] {
        records(topic, &mut |_, _| {
            *number += 1;
            Ok(())
        })?;
    }
    let mut last: HashMap<Vec<u8>, (u64, u64)> = HashMap::new();
    let schema = SchemaIds::builtin().customer_profile;
    let mut profile_records = 0;
    records(topics::CUSTOMER_PROFILES, &mut |key, value| {
        profile_records += 1;
        let profile = CustomerProfile::decode(wire::datum(value, schema)?)?;
        last.insert(key.to_vec(), (u64::try_from(profile.events)?, value.len() as u64));
        Ok(())
    })?;
    outputs.profile_records = profile_records;
    outputs.customers = last.len() as u64;
    outputs.applied = last.values().map(|(events, _)| events).sum();
    outputs.profile_bytes = last.values().map(|(_, bytes)| bytes).sum();
    Ok(outputs)
}

/// The part of a raw record that says when it was sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    sent_at: String,
}

/// When a raw record was sent; `None` if it does not say so, or is not there.
pub(super) fn time_at(
    cluster: &Cluster,
    at: &NamedPartition,
    offset: i64,
    patience: Duration,
) -> anyhow::Result<Option<Millis>> {
    let mut scan = Scan::new(cluster, std::slice::from_ref(at), Place::Earliest, patience)?;
    let mut newest = None;
    // There is no way to ask for an offset; a few records from the end will do, should the last one be malformed.
    while let Some(record) = scan.next_record()? {
        if record.offset + 10 < offset {
            continue;
        }
        let sent: Option<Sent> = record.value.as_deref().and_then(|value| serde_json::from_slice(value).ok());
        newest = newest.max(sent.and_then(|sent| parse_rfc3339(&sent.sent_at)));
    }
    newest.with_context(|| format!("the last records of {at} say no `sentAt`")).map(Some)
}
