//! The task: one partition of `customer.events`.

mod decide;
mod expiry;
mod nodes;
mod time;

use super::convert;
use super::fold::Shared;
use super::stored::{Customer, StoredNode, unreadable};
use crate::trace::trace_context;
use catchment_contracts::{CustomerEvent, headers, wire};
use catchment_domain::campaign::{Cause, Ledger, Outcome, Timer};
use catchment_domain::identity::Limit;
use catchment_domain::{Event, NodeKey};
use catchment_runtime::planted::{self, Bug};
use catchment_runtime::state::{Dedup, Dirty, Stored, Table, TimerIndex};
use catchment_runtime::{Headers, Millis, Partition, Record, Step, Task, TopicPartition, Unreadable};
use decide::Origin;
use nodes::Observation;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;
use time::Time;

/// When a profile is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// The last of each customer in a step: a hot customer costs one record a batch.
    Step,
    /// One for every event.
    Event,
}

/// What a step did, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events applied.
    pub applied: u64,
    /// Profiles published.
    pub published: u64,
    /// Messages sent to nodes.
    pub messages: Messages,
    /// Customers that became a part of another.
    pub merged: u64,
    /// Events left out, since what they say was forgotten.
    pub forgotten: u64,
    /// Customers that were forgotten.
    pub erased: u64,
    /// Customers of whom everything known has outlived its time.
    pub expired: u64,
}

/// Messages sent to nodes, by [kind](Messages::KINDS).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages([u64; 9]);

impl Messages {
    /// The kinds of messages.
    pub const KINDS: [&'static str; 9] =
        ["observe", "link", "ask", "yes", "no", "absorb", "point", "route", "forget"];

    /// Kinds and how many of each were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::KINDS.into_iter().zip(self.0)
    }
}

/// What is to be counted and logged once a step is committed.
#[derive(Clone, Debug, PartialEq)]
pub enum ProfileEffect {
    /// What the step did.
    Did(Tally),
    /// A model gave scores.
    Scored {
        /// The model.
        model: String,
        /// How many.
        count: u64,
    },
    /// An event was dropped, because it had been applied before.
    Duplicate {
        /// Its source.
        source: String,
        /// Its id.
        event_id: String,
        /// Partition of the raw record.
        partition: i32,
        /// Offset of the raw record.
        offset: i64,
    },
    /// A decision was made.
    Decided {
        /// Campaign.
        campaign: String,
        /// How it ended.
        outcome: Outcome,
        /// Why, from the closed list of reasons.
        reason: &'static str,
    },
    /// Two identifiers that were seen together stay apart.
    Refused {
        /// What keeps them apart.
        limit: Limit,
    },
    /// A timer of a campaign that is not configured any more was dropped.
    Orphaned {
        /// Campaign.
        campaign: String,
    },
}

/// The record in hand.
#[derive(Clone, Copy)]
struct Hand<'r> {
    headers: &'r Headers,
    /// When the raw record arrived that it goes back to.
    at: Millis,
    /// Of an event: its datum.
    datum: &'r [u8],
}

/// Bytes of stored nodes that are kept decoded: several thousand.
const NODES_DECODED: usize = 1 << 20;

/// One partition of the role `profile`.
#[derive(Debug)]
pub struct ProfileTask {
    partition: Partition,
    shared: Arc<Shared>,
    customers: Table<NodeKey, Customer>,
    nodes: Table<NodeKey, StoredNode>,
    dedup: Dedup,
    timers: TimerIndex<NodeKey>,
    /// When it is to be looked at whether what is known of a customer has outlived its time.
    expiry: TimerIndex<NodeKey>,
    /// Roots that wait for the answer of another, and since when, as far as is known. For a metric: it decides nothing.
    asking: BTreeMap<NodeKey, Millis>,
    time: Time,
    /// When a shorter way was last shown to an alias.
    pointed: FxHashMap<NodeKey, Millis>,
    tally: Tally,
    /// Scores of this step, by model.
    scored: Vec<u64>,
}

impl ProfileTask {
    /// A task without state; the lane restores it.
    #[must_use]
    pub fn new(partition: Partition, shared: Arc<Shared>) -> Self {
        let settings = &shared.settings;
        ProfileTask {
            partition,
            customers: Table::new().in_format(settings.state_format),
            nodes: Table::with_decoded(NODES_DECODED).in_format(settings.state_format),
            dedup: Dedup::new(settings.dedup_window, settings.dedup_limit),
            timers: TimerIndex::new(),
            expiry: TimerIndex::new(),
            asking: BTreeMap::new(),
            time: Time::new(settings),
            pointed: FxHashMap::default(),
            tally: Tally::default(),
            scored: vec![0; shared.models.len()],
            shared,
        }
    }

    /// Customers of this partition.
    #[must_use]
    pub fn customers(&self) -> &Table<NodeKey, Customer> {
        &self.customers
    }

    /// Nodes of this partition of which more is stored than a profile.
    #[must_use]
    pub fn nodes(&self) -> &Table<NodeKey, StoredNode> {
        &self.nodes
    }

    /// Ids of events that are remembered.
    #[must_use]
    pub fn dedup(&self) -> &Dedup {
        &self.dedup
    }

    /// About how much memory the state takes, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.customers.memory()
            + self.nodes.memory()
            + self.dedup.memory()
            + self.timers.memory()
            + self.expiry.memory()
    }

    /// Customers who are to be looked at one day, whether what is known of them has outlived its time.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.expiry.len()
    }

    /// Since when the root waits that has waited longest for the answer of another, by the wall clock; `None` if none does, or
    /// time is that of the events. An answer takes a moment: one that does not come was lost.
    #[must_use]
    pub fn asking_since(&self) -> Option<Millis> {
        if self.shared.settings.event_clock { None } else { self.asking.values().min().copied() }
    }

    /// Timers that are still due.
    #[must_use]
    pub fn pending_timers(&self) -> usize {
        self.timers.len()
    }

    fn take_event(
        &mut self,
        record: &Record<'_>,
        value: &[u8],
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        const WHAT: &str = "customer event";
        let schema = self.shared.settings.schemas.customer_event;
        let datum = wire::datum(value, schema).map_err(|error| unreadable(WHAT, &error))?;
        let canonical = CustomerEvent::decode(datum).map_err(|error| unreadable(WHAT, &error))?;
        self.set_clock(canonical.received_at, step);
        let key = node_key(WHAT, record)?;
        let id = self.dedup_id(key, canonical.source, canonical.event_id);
        let seen_at =
            if planted::is(Bug::DedupByEventTime) { canonical.occurred_at } else { record.append_time };
        if !self.dedup.check_and_insert(id, seen_at) {
            step.effects.push(ProfileEffect::Duplicate {
                source: canonical.source.to_owned(),
                event_id: canonical.event_id.to_owned(),
                partition: canonical.source_partition,
                offset: canonical.source_offset,
            });
            return Ok(());
        }
        let event = convert::event(canonical);
        let smallest = event.identifiers.first().map(|first| first.node).filter(|first| first.key == key);
        let own = smallest.ok_or_else(|| unreadable(WHAT, &"its key is not that of its first identifier"))?;
        let at = if self.shared.settings.event_clock { step.now } else { event.received_at };
        let hand = Hand { headers: record.headers, at, datum };
        let seen = Observation { event: &event, own, is_arrival: true, routed: false, stamp: None };
        self.observe(own, seen, hand, step)
    }

    /// An event is in the profile: what follows from it.
    fn applied(
        &mut self,
        key: NodeKey,
        event: &Event<'_>,
        hand: Hand<'_>,
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let shared = Arc::clone(&self.shared);
        self.tally.applied += 1;
        let Some(customer) = self.customers.get_mut(&key)? else { return Ok(()) };
        if customer.profile.events == 1
            && let Some(kept) = shared.settings.expiry.soonest()
        {
            self.expiry.set(customer.profile.last_seen.saturating_add(kept), key, 0);
        }
        let before = shared.score(&mut customer.profile, step.now, &mut self.scored);
        self.publish_now(key, step)?;
        let nothing = Ledger::default();
        let ledger = self.nodes.get(&key)?.and_then(StoredNode::ledger).unwrap_or(&nothing);
        let Some(customer) = self.customers.get(&key)? else { return Ok(()) };
        let reaction = shared.react(event, (&customer.profile, &before), ledger, hand.at);
        if reaction.is_empty() {
            return Ok(());
        }
        let trace = trace_context(hand.headers);
        self.carry_out(key, reaction, Origin { cause: Cause::of(event), trace: &trace }, step)
    }

    /// Publishes a profile as it is, where each change is published.
    fn publish_now(&mut self, key: NodeKey, step: &mut Step<ProfileEffect>) -> Result<(), Unreadable> {
        let settings = &self.shared.settings;
        if settings.publish == Publish::Event
            && let Some(customer) = self.customers.get(&key)?
        {
            step.emit(settings.profiles, self.partition, &key.0, |out| {
                wire::write_header(out, settings.schemas.customer_profile);
                customer.encode(settings.state_format, out);
            });
            self.tally.published += 1;
        }
        Ok(())
    }

    /// The ledger of a root, to change it.
    fn ledger_mut(&mut self, key: NodeKey) -> Result<&mut Ledger, Unreadable> {
        if !self.nodes.contains(&key) {
            let derived = StoredNode::derived(key, self.customers.get(&key)?);
            self.nodes.get_or_insert_with(key, || derived)?;
        }
        let node = self.nodes.get_mut(&key)?;
        let ledger = node.and_then(StoredNode::ledger_mut);
        ledger
            .ok_or_else(|| unreadable("node state", &format!("{key} is no root, and something is due there")))
    }

    /// What an event is known by at its node: 16 bytes of keyed BLAKE3 over node key, source, zero, id. The node key is
    /// in it, so that it does not matter which nodes share a partition.
    fn dedup_id(&self, key: NodeKey, source: &str, event_id: &str) -> [u8; 16] {
        // A hasher that takes its input in parts costs several times as much as one call over a short text.
        let mut text: SmallVec<[u8; 128]> = SmallVec::new();
        text.extend_from_slice(&key.0);
        text.extend_from_slice(source.as_bytes());
        text.push(0);
        text.extend_from_slice(event_id.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::keyed_hash(&self.shared.settings.dedup_key, &text).as_bytes()[..16]);
        id
    }

    fn flush_customers(&mut self, step: &mut Step<ProfileEffect>) {
        let (shared, to) = (Arc::clone(&self.shared), step.to(self.shared.settings.profiles, self.partition));
        let (schema, each_event) =
            (shared.settings.schemas.customer_profile, shared.settings.publish == Publish::Event);
        let published = &mut self.tally.published;
        self.customers.encode_dirty(|key, form, before| {
            // With one record for every event, what an event left is written already; and then something may be written of a
            // customer who came and went within the step, of whom no form is known before or after.
            let is_written = if each_event { form.is_some() } else { form == before };
            if is_written {
                return;
            }
            *published += 1;
            match form {
                Some(form) => step.outbox.push_with(to, Some(&key.0), Headers::default(), |out| {
                    wire::write_header(out, schema);
                    out.extend_from_slice(form);
                }),
                None => step.outbox.push(to, Some(&key.0), None, Headers::default()),
            }
        });
    }

    fn flush_nodes(&mut self, step: &mut Step<ProfileEffect>) {
        let touched: Vec<NodeKey> = self.nodes.dirty().map(|dirty: Dirty<'_, _, _>| dirty.key).collect();
        for key in touched {
            // Where it can't be told, it is stored.
            let Ok(known) = self.customers.get(&key) else { continue };
            if let Ok(Some(node)) = self.nodes.get(&key)
                && node.is_nothing(key, known)
            {
                self.nodes.remove(&key);
            }
        }
        let to = step.to(self.shared.settings.state, self.partition);
        let format = self.shared.settings.state_format;
        self.nodes.encode_dirty(|key, form, before| {
            if planted::is(Bug::TimersNotInChangelog) {
                let form = form.map(|form| StoredNode::without_timers(form, format));
                step.outbox.push(to, Some(&key.0), form.as_deref(), Headers::default());
            } else if form != before {
                step.outbox.push(to, Some(&key.0), form, Headers::default());
            }
        });
    }
}

/// The node that a record is for.
fn node_key(what: &str, record: &Record<'_>) -> Result<NodeKey, Unreadable> {
    let key = record.key.and_then(|key| <[u8; 16]>::try_from(key).ok()).map(NodeKey);
    key.ok_or_else(|| unreadable(what, &"the key is no node key"))
}

/// Tells timers of one node and moment apart: eight bytes of BLAKE3 over campaign, zero, scope.
fn token(timer: &Timer) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(timer.campaign.as_bytes()).update(&[0]).update(timer.scope.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_be_bytes(bytes)
}

impl Task for ProfileTask {
    type Effect = ProfileEffect;

    fn process(&mut self, record: &Record<'_>, step: &mut Step<ProfileEffect>) -> Result<(), Unreadable> {
        let is_letter = record.topic == self.shared.settings.inbox;
        match (record.value, record.headers.get(headers::WATERMARK)) {
            (Some(value), _) if is_letter => self.take_letter(record, value, step),
            (Some(value), _) => self.take_event(record, value, step),
            (None, Some(mark)) if is_letter => self.take_passed(mark, step),
            (None, Some(mark)) => self.take_watermark(mark, step),
            (None, None) => {
                let what = if is_letter { "inbox message" } else { "customer event" };
                Err(unreadable(what, &"it has no value"))
            }
        }
    }

    fn advance(&mut self, _step: &mut Step<ProfileEffect>) {}

    fn flush(&mut self, step: &mut Step<ProfileEffect>) {
        self.flush_customers(step);
        self.flush_nodes(step);
        let to = step.to(self.shared.settings.dedup, self.partition);
        let format = self.shared.settings.state_format;
        self.dedup.encode_step(format, |ids| step.outbox.push(to, None, Some(ids), Headers::default()));
        if self.tally != Tally::default() {
            step.effects.push(ProfileEffect::Did(std::mem::take(&mut self.tally)));
        }
        for (model, count) in self.shared.models.iter().zip(&mut self.scored) {
            let count = std::mem::take(count);
            if count > 0 {
                step.effects.push(ProfileEffect::Scored { model: model.name().to_owned(), count });
            }
        }
    }

    fn committed(&mut self) {
        self.customers.commit();
        self.nodes.commit();
        self.dedup.commit();
        self.timers.commit();
        self.expiry.commit();
        self.time.commit();
    }

    fn aborted(&mut self) -> Result<(), Unreadable> {
        self.tally = Tally::default();
        self.scored.fill(0);
        self.pointed.clear();
        self.dedup.undo();
        self.timers.undo();
        self.expiry.undo();
        self.time.undo();
        self.customers.undo();
        self.nodes.undo();
        Ok(())
    }

    fn changelogs(&self) -> Vec<TopicPartition> {
        let settings = &self.shared.settings;
        let topics = [settings.profiles, settings.state, settings.dedup];
        topics.iter().map(|topic| TopicPartition { topic: *topic, partition: self.partition }).collect()
    }

    fn restore(&mut self, record: &Record<'_>) -> Result<(), Unreadable> {
        let shared = Arc::clone(&self.shared);
        if record.topic == shared.settings.dedup {
            return record.value.map_or(Ok(()), |ids| self.dedup.restore(ids));
        }
        let key = node_key("stored record", record)?;
        if record.topic == shared.settings.profiles {
            let schema = shared.settings.schemas.customer_profile;
            let datum = record.value.map(|value| wire::datum(value, schema)).transpose();
            let datum = datum.map_err(|error| unreadable("customer profile", &error))?;
            self.restore_expiry(key, datum);
            return self.customers.restore(key, datum);
        }
        // Most wait for nothing, and need not be read for that.
        let waiting = |form: Option<&[u8]>| {
            form.filter(|form| StoredNode::may_wait(form)).map(StoredNode::decode).transpose()
        };
        if let Some(known) = waiting(self.nodes.form(&key))? {
            for timer in known.ledger().into_iter().flat_map(|ledger| &ledger.timers) {
                self.timers.cancel(timer.due, key, token(timer));
            }
        }
        match record.value.is_some_and(StoredNode::asks) {
            true => drop(self.asking.insert(key, record.append_time)),
            false => drop(self.asking.remove(&key)),
        }
        self.nodes.restore(key, record.value)?;
        if let Some(known) = waiting(record.value)? {
            for timer in known.ledger().into_iter().flat_map(|ledger| &ledger.timers) {
                self.timers.set(timer.due, key, token(timer));
            }
        }
        self.timers.commit();
        Ok(())
    }

    fn arrival(&mut self, record: &Record<'_>) -> Millis {
        time::arrival(record, &self.shared.settings)
    }

    fn rank(&self, record: &Record<'_>) -> usize {
        time::rank(record, &self.shared.settings)
    }
}
