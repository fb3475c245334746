//! The task: one partition of `customer.events`.

use super::convert;
use super::fold::{Reaction, Shared};
use super::stored::{Customer, StoredLedger, unreadable};
use crate::trace::trace_context;
use catchment_contracts::{CustomerEvent, headers, watermark, wire};
use catchment_domain::campaign::{Campaign, Cause, Decision, Ledger, Outcome, Sent, Situation, Timer};
use catchment_domain::profile::Text;
use catchment_domain::{NodeKey, Profile};
use catchment_runtime::planted::{self, Bug};
use catchment_runtime::state::{Dedup, Dirty, Stored, Table, TimerIndex};
use catchment_runtime::{
    Headers, Millis, Partition, Record, Step, Task, TopicPartition, Unreadable, Watermarks,
};
use smallvec::SmallVec;
use std::sync::Arc;

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
    /// A timer of a campaign that is not configured any more was dropped.
    Orphaned {
        /// Campaign.
        campaign: String,
    },
}

/// What a decision comes from.
#[derive(Clone, Copy)]
struct Origin<'a> {
    /// The event.
    cause: Cause<'a>,
    /// The trace that the event belongs to. A timer keeps none: when it fires, that trace is long over.
    trace: &'a Headers,
}

/// One partition of the role `profile`.
#[derive(Debug)]
pub struct ProfileTask {
    partition: Partition,
    shared: Arc<Shared>,
    customers: Table<NodeKey, Customer>,
    ledgers: Table<NodeKey, StoredLedger>,
    dedup: Dedup,
    timers: TimerIndex<NodeKey>,
    watermarks: Watermarks<(u16, u32)>,
    tally: Tally,
    /// Scores of this step, by model.
    scored: Vec<u64>,
}

impl ProfileTask {
    /// A task without state; the lane restores it.
    #[must_use]
    pub fn new(partition: Partition, shared: Arc<Shared>) -> Self {
        let settings = &shared.settings;
        let inputs = settings.sources.iter().zip(0u16..);
        let inputs =
            inputs.flat_map(|((_, partitions), source)| (0..*partitions).map(move |at| (source, at)));
        ProfileTask {
            partition,
            customers: Table::new().in_format(settings.state_format),
            ledgers: Table::new().in_format(settings.state_format),
            dedup: Dedup::new(settings.dedup_window, settings.dedup_limit),
            timers: TimerIndex::new(),
            watermarks: Watermarks::new(inputs),
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

    /// Ledgers of this partition.
    #[must_use]
    pub fn ledgers(&self) -> &Table<NodeKey, StoredLedger> {
        &self.ledgers
    }

    /// Ids of events that are remembered.
    #[must_use]
    pub fn dedup(&self) -> &Dedup {
        &self.dedup
    }

    /// About how much memory the state takes, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.customers.memory() + self.ledgers.memory() + self.dedup.memory() + self.timers.memory()
    }

    /// Timers that are still due.
    #[must_use]
    pub fn pending_timers(&self) -> usize {
        self.timers.len()
    }

    /// Takes what is said of the input's progress, and decides what is due by now. Timers fire here and nowhere else, so
    /// that it does not matter where a batch ends: a watermark stands among the events, behind all that arrived before
    /// it.
    fn take_watermark(&mut self, bytes: &[u8], step: &mut Step<ProfileEffect>) -> Result<(), Unreadable> {
        let mark = watermark::read(bytes).map_err(|error| unreadable("watermark", &error))?;
        for read in &mark.read {
            let source = self.shared.settings.sources.iter().position(|(name, _)| name == read.source);
            // A source that is not configured any more holds nobody up.
            let Some(source) = source.and_then(|at| u16::try_from(at).ok()) else { continue };
            let Ok(partition) = u32::try_from(read.partition) else { continue };
            // A partition that upstream added is waited for from now on.
            self.watermarks.expect((source, partition));
            self.watermarks.advance((source, partition), read.arrival);
        }
        let Some(read) = self.watermarks.min() else { return Ok(()) };
        let now = if self.shared.settings.event_clock { read } else { read.min(step.now) };
        while let Some(due) = self.timers.next_due().filter(|due| *due <= now) {
            if self.shared.settings.event_clock {
                // Time passes through every moment at which something is due, so that a timer of 14:30 is decided at
                // 14:30 also where the next record is of 14:55.
                step.now = step.now.max(due);
            }
            self.fire(due, step)?;
        }
        if self.shared.settings.event_clock {
            step.now = step.now.max(read);
        }
        Ok(())
    }

    /// With the clock of the events, `now` is the watermark of the task's input. A task that was just restored has not
    /// heard of it yet: it takes the arrival of the event, which is what the watermark before it said.
    fn set_clock(&self, arrival: Millis, step: &mut Step<ProfileEffect>) {
        if self.shared.settings.event_clock {
            step.now = step.now.max(self.watermarks.min().unwrap_or(arrival));
        }
    }

    fn take_event(
        &mut self,
        record: &Record<'_>,
        value: &[u8],
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let schema = self.shared.settings.schemas.customer_event;
        let datum = wire::datum(value, schema).map_err(|error| unreadable("customer event", &error))?;
        let canonical = CustomerEvent::decode(datum).map_err(|error| unreadable("customer event", &error))?;
        self.set_clock(canonical.received_at, step);
        let key = record.key.and_then(|key| <[u8; 16]>::try_from(key).ok()).map(NodeKey);
        let key =
            key.ok_or_else(|| Unreadable { reason: "customer event: the key is no node key".to_owned() })?;
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
        let shared = Arc::clone(&self.shared);
        let customer =
            self.customers.get_or_insert_with(key, || Customer { key, profile: Profile::default() })?;
        customer.profile.apply(&event);
        self.tally.applied += 1;
        let before = shared.score(&mut customer.profile, step.now, &mut self.scored);
        if shared.settings.publish == Publish::Event {
            step.emit(shared.settings.profiles, self.partition, &key.0, |out| {
                wire::write_header(out, shared.settings.schemas.customer_profile);
                customer.encode(shared.settings.state_format, out);
            });
            self.tally.published += 1;
        }
        let nothing = Ledger::default();
        let ledger = self.ledgers.get(&key)?.map_or(&nothing, |stored| &stored.0);
        let reaction = shared.react(&event, (&customer.profile, &before), ledger, step.now);
        if reaction.is_empty() {
            return Ok(());
        }
        let trace = trace_context(record.headers);
        self.carry_out(key, reaction, Origin { cause: Cause::of(&event), trace: &trace }, step)
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

    fn carry_out(
        &mut self,
        key: NodeKey,
        reaction: Reaction,
        origin: Origin<'_>,
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let shared = Arc::clone(&self.shared);
        for timer in &reaction.ended {
            let ledger = self.ledgers.get_or_insert_with(key, StoredLedger::default)?;
            ledger.0.timers.retain(|known| known != timer);
            self.timers.cancel(timer.due, key, token(timer));
        }
        for (place, timer) in reaction.set {
            let (due, token, scope) = (timer.due, token(&timer), timer.scope.clone());
            if self.ledgers.get_or_insert_with(key, StoredLedger::default)?.0.set(timer) {
                self.timers.set(due, key, token);
            } else if let Some(campaign) = shared.campaigns.get(place) {
                let decision = campaign.refuse_timer(scope, step.now);
                self.record(key, campaign, &decision, origin, step)?;
            }
        }
        for (place, scope) in reaction.now {
            if let Some(campaign) = shared.campaigns.get(place) {
                self.decide(key, campaign, scope, origin, origin.cause.occurred_at, step)?;
            }
        }
        Ok(())
    }

    /// Fires all timers that are due at `now`, in order of (due, node).
    fn fire(&mut self, now: Millis, step: &mut Step<ProfileEffect>) -> Result<(), Unreadable> {
        let shared = Arc::clone(&self.shared);
        while let Some(entry) = self.timers.pop_due(now) {
            let ledger = &mut self.ledgers.get_or_insert_with(entry.key, StoredLedger::default)?.0;
            let place =
                ledger.timers.iter().position(|timer| timer.due == entry.due && token(timer) == entry.token);
            let Some(timer) = place.map(|place| ledger.timers.remove(place)) else { continue };
            let cause =
                Cause { event_id: &timer.event_id, source: &timer.source, occurred_at: timer.occurred_at };
            match shared.campaign(&timer.campaign) {
                Some(campaign) => {
                    let due = campaign.end_of_wait(timer.occurred_at);
                    let origin = Origin { cause, trace: &Headers::default() };
                    self.decide(entry.key, campaign, timer.scope.clone(), origin, due, step)?;
                }
                None => step.effects.push(ProfileEffect::Orphaned { campaign: timer.campaign.to_string() }),
            }
        }
        Ok(())
    }

    fn decide(
        &mut self,
        key: NodeKey,
        campaign: &Campaign,
        scope: Text,
        origin: Origin<'_>,
        due: Millis,
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let (nobody, nothing) = (Profile::default(), Ledger::default());
        let profile = self.customers.get(&key)?.map_or(&nobody, |customer| &customer.profile);
        let ledger = self.ledgers.get(&key)?.map_or(&nothing, |stored| &stored.0);
        let situation = Situation { key, profile, ledger, cause: origin.cause, due, now: step.now };
        let decision = campaign.decide(scope, &situation);
        if let Some(trigger) = &decision.trigger {
            self.ledgers.get_or_insert_with(key, StoredLedger::default)?.0.record(Sent {
                campaign: Text::from(campaign.name()),
                scope: decision.scope.clone(),
                trigger_id: Text::from(trigger.id.as_str()),
                at: decision.decided_at,
                occurred_at: origin.cause.occurred_at,
            });
        }
        self.record(key, campaign, &decision, origin, step)
    }

    fn record(
        &mut self,
        key: NodeKey,
        campaign: &Campaign,
        decision: &Decision,
        Origin { cause, trace }: Origin<'_>,
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let settings = &self.shared.settings;
        let name = campaign.name();
        let to = step.to(settings.decisions, self.partition);
        step.outbox.push_with(to, Some(&key.0), trace.clone(), |out| {
            wire::write_header(out, settings.schemas.campaign_decision);
            convert::wire_decision(name, key, &cause, decision).encode(out);
        });
        let nobody = Profile::default();
        let profile = self.customers.get(&key)?.map_or(&nobody, |customer| &customer.profile);
        if let Some(trigger) = convert::wire_trigger(name, key, &cause, decision, profile) {
            let to = step.to(settings.triggers, self.partition);
            step.outbox.push_with(to, Some(&key.0), trace.clone(), |out| {
                wire::write_header(out, settings.schemas.campaign_trigger);
                trigger.encode(out);
            });
        }
        step.effects.push(ProfileEffect::Decided {
            campaign: name.to_owned(),
            outcome: decision.outcome,
            reason: decision.reason.as_str(),
        });
        Ok(())
    }

    fn flush_customers(&mut self, step: &mut Step<ProfileEffect>) {
        let (shared, to) = (Arc::clone(&self.shared), step.to(self.shared.settings.profiles, self.partition));
        let (schema, each_event) =
            (shared.settings.schemas.customer_profile, shared.settings.publish == Publish::Event);
        let published = &mut self.tally.published;
        self.customers.encode_dirty(|key, form, _| {
            // With one record for every event, what an event left is written already.
            if each_event && form.is_some() {
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

    fn flush_ledgers(&mut self, step: &mut Step<ProfileEffect>) {
        let empty =
            |dirty: &Dirty<'_, NodeKey, StoredLedger>| dirty.value.is_some_and(|stored| stored.0.is_empty());
        let gone: Vec<NodeKey> = self.ledgers.dirty().filter(empty).map(|dirty| dirty.key).collect();
        for key in gone {
            self.ledgers.remove(&key);
        }
        let to = step.to(self.shared.settings.state, self.partition);
        let format = self.shared.settings.state_format;
        self.ledgers.encode_dirty(|key, form, before| {
            if planted::is(Bug::TimersNotInChangelog) {
                let form = form.map(|form| StoredLedger::without_timers(form, format));
                step.outbox.push(to, Some(&key.0), form.as_deref(), Headers::default());
            } else if form != before {
                step.outbox.push(to, Some(&key.0), form, Headers::default());
            }
        });
    }
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
        match (record.value, record.headers.get(headers::WATERMARK)) {
            (Some(value), _) => self.take_event(record, value, step),
            (None, Some(mark)) => self.take_watermark(mark, step),
            (None, None) => Err(Unreadable { reason: "customer event without a value".to_owned() }),
        }
    }

    fn advance(&mut self, _step: &mut Step<ProfileEffect>) {}

    fn flush(&mut self, step: &mut Step<ProfileEffect>) {
        self.flush_customers(step);
        self.flush_ledgers(step);
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
        self.ledgers.commit();
        self.dedup.commit();
        self.timers.commit();
        self.watermarks.commit();
    }

    fn aborted(&mut self) -> Result<(), Unreadable> {
        self.tally = Tally::default();
        self.scored.fill(0);
        self.dedup.undo();
        self.timers.undo();
        self.watermarks.undo();
        self.customers.undo();
        self.ledgers.undo();
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
        let key = record.key.and_then(|key| <[u8; 16]>::try_from(key).ok()).map(NodeKey);
        let key =
            key.ok_or_else(|| Unreadable { reason: "stored record: the key is no node key".to_owned() })?;
        if record.topic == shared.settings.profiles {
            let schema = shared.settings.schemas.customer_profile;
            let datum = record.value.map(|value| wire::datum(value, schema)).transpose();
            let datum = datum.map_err(|error| unreadable("customer profile", &error))?;
            return self.customers.restore(key, datum);
        }
        if let Some(known) = self.ledgers.get(&key)? {
            for timer in &known.0.timers {
                self.timers.cancel(timer.due, key, token(timer));
            }
        }
        self.ledgers.restore(key, record.value)?;
        if let Some(stored) = self.ledgers.get(&key)? {
            for timer in &stored.0.timers {
                self.timers.set(timer.due, key, token(timer));
            }
        }
        self.timers.commit();
        Ok(())
    }
}
