//! What librdkafka says of itself, as metrics: `STATISTICS.md` of librdkafka describes the document.
//!
//! It comes on the lane's thread, every ten seconds by default, and may be long where a topic has many partitions: only
//! the fields that are shown are read, and nothing of the document is copied.

mod document;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use catchment_connectors::kafka::{Client, StatisticsSink};
use document::{Broker, Document};

use super::health::LaneHealth;
use crate::metrics as names;

/// Takes the statistics of a lane's clients. The lane is told when Kafka answered.
#[must_use]
pub fn sink(role: &'static str, index: u16, health: LaneHealth) -> StatisticsSink {
    let lane = Mutex::new(Lane { role, index: index.to_string(), health, clients: BTreeMap::new() });
    Arc::new(move |client, json| match serde_json::from_slice(json) {
        Ok(document) => lane.lock().unwrap_or_else(PoisonError::into_inner).take(client, &document),
        Err(error) => tracing::debug!(?client, %error, "statistics that can't be read"),
    })
}

/// What a lane's statistics said before.
struct Lane {
    role: &'static str,
    index: String,
    health: LaneHealth,
    clients: BTreeMap<&'static str, Totals>,
}

/// What only grows during the life of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Totals {
    /// The name that librdkafka gave the client: another one counts from 0 again.
    client: String,
    answers: u64,
    sent_bytes: u64,
    received_bytes: u64,
    connects: u64,
    disconnects: u64,
    rebalances: u64,
}

impl Totals {
    fn of(document: &Document<'_>) -> Self {
        Totals {
            client: document.name.clone().into_owned(),
            answers: document.rx,
            sent_bytes: document.tx_bytes,
            received_bytes: document.rx_bytes,
            connects: document.brokers.0.iter().map(|broker| broker.connects).sum(),
            disconnects: document.brokers.0.iter().map(|broker| broker.disconnects).sum(),
            rebalances: document.cgrp.as_ref().map_or(0, |group| group.rebalance_cnt),
        }
    }

    /// What was added since `before`. A broker that was taken out of the cluster takes its numbers with it: nothing was
    /// added then.
    fn since(&self, before: &Totals) -> Totals {
        if self.client != before.client {
            return self.clone();
        }
        Totals {
            client: self.client.clone(),
            answers: self.answers.saturating_sub(before.answers),
            sent_bytes: self.sent_bytes.saturating_sub(before.sent_bytes),
            received_bytes: self.received_bytes.saturating_sub(before.received_bytes),
            connects: self.connects.saturating_sub(before.connects),
            disconnects: self.disconnects.saturating_sub(before.disconnects),
            rebalances: self.rebalances.saturating_sub(before.rebalances),
        }
    }
}

fn word(client: Client) -> &'static str {
    match client {
        Client::Member => "member",
        Client::Reader => "reader",
        Client::Restorer => "restorer",
        Client::Producer => "producer",
    }
}

/// Numbers of the client are far below the 2⁵³ up to which a gauge is exact.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a floating-point number")]
fn float(number: u64) -> f64 {
    number as f64
}

impl Lane {
    fn take(&mut self, client: Client, document: &Document<'_>) {
        let word = word(client);
        let labels =
            [("role", self.role.to_owned()), ("lane", self.index.clone()), ("client", word.to_owned())];
        let totals = Totals::of(document);
        let added = totals.since(self.clients.get(word).unwrap_or(&Totals::default()));
        self.clients.insert(word, totals);
        if added.answers > 0 {
            self.health.kafka_answered();
        }
        metrics::counter!(names::KAFKA_SENT_BYTES, &labels).increment(added.sent_bytes);
        metrics::counter!(names::KAFKA_RECEIVED_BYTES, &labels).increment(added.received_bytes);
        metrics::counter!(names::KAFKA_CONNECTS, &labels).increment(added.connects);
        metrics::counter!(names::KAFKA_DISCONNECTS, &labels).increment(added.disconnects);
        let lane = &labels[..2];
        match client {
            // It comes and goes: what a gauge said last would stay.
            Client::Restorer => return,
            Client::Member => {
                metrics::counter!(names::REBALANCES, "role" => self.role).increment(added.rebalances);
            }
            Client::Reader => {
                metrics::gauge!(names::KAFKA_FETCHED, lane).set(float(fetched_bytes(document)));
            }
            Client::Producer => {
                metrics::gauge!(names::KAFKA_PRODUCER_QUEUE, lane).set(float(document.msg_size));
            }
        }
        show_brokers(&document.brokers.0, &labels);
    }
}

/// All partitions may share one queue, and then each names the whole of it.
fn fetched_bytes(document: &Document<'_>) -> u64 {
    let partitions = document.topics.0.iter().flat_map(|topic| &topic.partitions.0);
    partitions.map(|partition| partition.fetchq_size).max().unwrap_or(0)
}

fn show_brokers(brokers: &[Broker<'_>], labels: &[(&'static str, String)]) {
    let up = brokers.iter().filter(|broker| broker.nodeid >= 0 && broker.is_up()).count();
    let slowest = brokers.iter().map(|broker| broker.rtt.avg).max().unwrap_or(0);
    let throttle = brokers.iter().map(|broker| broker.throttle.avg).max().unwrap_or(0);
    let sum = |of: fn(&Broker<'_>) -> i64| -> u64 {
        brokers.iter().map(|broker| u64::try_from(of(broker)).unwrap_or(0)).sum()
    };
    metrics::gauge!(names::KAFKA_BROKERS_UP, labels).set(float(up as u64));
    metrics::gauge!(names::KAFKA_RTT, labels).set(float(slowest) / 1e6);
    metrics::gauge!(names::KAFKA_THROTTLE, labels).set(float(throttle) / 1e3);
    metrics::gauge!(names::KAFKA_REQUESTS_WAITING, labels).set(float(sum(|broker| broker.outbuf_cnt)));
    metrics::gauge!(names::KAFKA_REQUESTS_IN_FLIGHT, labels).set(float(sum(|broker| broker.waitresp_cnt)));
}
