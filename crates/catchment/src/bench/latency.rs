//! How long it takes from an event to what comes of it, at a steady pace.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use catchment_connectors::kafka::{Cluster, Follow, NamedPartition, RawProducer, RawRecord};
use catchment_contracts::wire::{self, SchemaIds};
use catchment_contracts::{CampaignTrigger, CustomerProfile, topics};
use catchment_domain::Millis;
use serde::Serialize;

use super::kafka::now;
use super::load::{Load, LoadSpec};

/// Not measured at the beginning.
const SETTLE: Duration = Duration::from_secs(3);
/// How long is looked for what comes of the last event.
const TAIL: Duration = Duration::from_secs(2);

/// A steady load.
pub(super) struct Pace<'a> {
    /// Events a second.
    pub(super) rate: u64,
    pub(super) seconds: Duration,
    pub(super) spec: LoadSpec,
    pub(super) topic: &'a str,
}

/// Milliseconds from the moment at which an event was due to be sent to the one at which a `read_committed` reader had
/// what came of it. A generator that is late shows as latency, it does not hide it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Latency {
    pub(super) records: u64,
    pub(super) p50: Millis,
    pub(super) p90: Millis,
    pub(super) p99: Millis,
    pub(super) max: Millis,
}

/// Sends events at the pace, and watches what comes of them, by topic.
pub(super) fn measure(
    cluster: &Cluster,
    watched: &[NamedPartition],
    pace: &Pace<'_>,
    patience: Duration,
) -> anyhow::Result<Vec<(String, Latency)>> {
    let mut follow = Follow::new(cluster, watched, patience)?;
    let producer = RawProducer::new(cluster)?;
    let (start, started) = (Instant::now(), now());
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&producer, pace, (start, started)));
        let mut seen: BTreeMap<String, Vec<Millis>> = BTreeMap::new();
        let first = started + millis(SETTLE);
        while start.elapsed() < pace.seconds + TAIL {
            let Some(record) = follow.next_record(Duration::from_millis(20))? else { continue };
            let at = now();
            let Some(due) = record.value.as_deref().and_then(|value| due_of(&record.at.topic, value)) else {
                continue;
            };
            if due >= first {
                seen.entry(record.at.topic).or_default().push(at - due);
            }
        }
        match sender.join() {
            Ok(sent) => sent?,
            Err(_) => anyhow::bail!("the sender of the paced load panicked"),
        }
        Ok(seen.into_iter().map(|(topic, times)| (topic, summary(times))).collect())
    })
}

/// Sends each event when it is due, with that time in it.
fn send(producer: &RawProducer, pace: &Pace<'_>, (start, started): (Instant, Millis)) -> anyhow::Result<()> {
    let events = pace.rate.saturating_mul(pace.seconds.as_secs());
    // Other ids than those of the load before, of the same customers.
    let seed = pace.spec.seed.wrapping_add(0x5eed);
    let spec = LoadSpec { events, seed, start: 0, step: 0, ..pace.spec };
    let mut load = Load::new(spec);
    for at in 0..events {
        let due = Duration::from_nanos(1_000_000_000 / pace.rate * at);
        let early = due.saturating_sub(start.elapsed());
        if early > Duration::from_micros(500) {
            thread::sleep(early);
        }
        load.set_time(started + millis(due));
        let Some(record) = load.next() else { break };
        producer.send(&RawRecord {
            topic: pace.topic,
            key: Some(record.key.as_bytes()),
            value: Some(record.value.as_bytes()),
            ..RawRecord::default()
        })?;
    }
    Ok(producer.flush(Duration::from_secs(30))?)
}

/// When the event behind a record was due.
fn due_of(topic: &str, value: &[u8]) -> Option<Millis> {
    let ids = SchemaIds::builtin();
    if topic.ends_with(topics::CAMPAIGN_TRIGGERS) {
        let trigger = CampaignTrigger::decode(wire::datum(value, ids.campaign_trigger).ok()?).ok()?;
        Some(trigger.occurred_at)
    } else {
        let profile = CustomerProfile::decode(wire::datum(value, ids.customer_profile).ok()?).ok()?;
        Some(profile.last_seen)
    }
}

fn summary(mut times: Vec<Millis>) -> Latency {
    times.sort_unstable();
    let at = |part: usize| times.get((times.len().saturating_sub(1)) * part / 100).copied().unwrap_or(0);
    Latency { records: times.len() as u64, p50: at(50), p90: at(90), p99: at(99), max: at(100) }
}

fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let times: Vec<Millis> = (0..=100).rev().collect();
        let expected = Latency { records: 101, p50: 50, p90: 90, p99: 99, max: 100 };
        assert_eq!(summary(times), expected);
        assert_eq!(summary(vec![7]), Latency { records: 1, p50: 7, p90: 7, p99: 7, max: 7 });
        assert_eq!(summary(Vec::new()), Latency::default());
    }
}
