//! The task: one partition of `customer.events`.

use super::convert;
use super::fold::{Reaction, Shared};
use super::stored::{Customer, StoredLedger, unreadable};
use catchment_contracts::{CustomerEvent, Watermark, headers, wire};
use catchment_domain::campaign::{Campaign, Cause, Decision, Ledger, Outcome, Sent, Situation, Timer};
use catchment_domain::profile::Text;
use catchment_domain::{NodeKey, Profile};
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
    /// Scores computed.
    pub predictions: u64,
    /// Profiles published.
    pub published: u64,
}

/// What is to be counted and logged once a step is committed.
#[derive(Clone, Debug, PartialEq)]
pub enum ProfileEffect {
    /// What the step did.
    Did(Tally),
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
            customers: Table::new(),
            ledgers: Table::new(),
            dedup: Dedup::new(settings.dedup_window, settings.dedup_limit),
            timers: TimerIndex::new(),
            watermarks: Watermarks::new(inputs),
            tally: Tally::default(),
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

    /// Timers that are still due.
    #[must_use]
    pub fn pending_timers(&self) -> usize {
        self.timers.len()
    }

    fn take_watermark(&mut self, bytes: &[u8], step: &mut Step<ProfileEffect>) -> Result<(), Unreadable> {
        let mark = Watermark::decode(bytes).map_err(|error| unreadable("watermark", &error))?;
        let mut grew = false;
        for read in &mark.read {
            let source = self.shared.settings.sources.iter().position(|(name, _)| name == read.source);
            // A source that is not configured any more holds nobody up.
            let Some(source) = source.and_then(|at| u16::try_from(at).ok()) else { continue };
            let Ok(partition) = u32::try_from(read.partition) else { continue };
            grew |= self.watermarks.advance((source, partition), read.arrival);
        }
        match self.watermarks.min() {
            Some(now) if grew && self.shared.settings.event_clock => {
                // Time passes through every moment at which something is due, so that a timer of 14:30 is decided
                // at 14:30 also where the next record is of 14:55.
                while let Some(due) = self.timers.next_due().filter(|due| *due <= now) {
                    step.now = step.now.max(due);
                    self.fire(step.now, step);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// With the clock of the events, `now` is this task's own watermark: the step is shared with the other tasks of
    /// the lane, which may have read further or less far.
    fn set_clock(&self, step: &mut Step<ProfileEffect>) {
        if self.shared.settings.event_clock {
            step.now = self.watermarks.min().unwrap_or(0);
        }
    }

    fn take_event(
        &mut self,
        record: &Record<'_>,
        value: &[u8],
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let (_, datum) = wire::split(value).map_err(|error| unreadable("customer event", &error))?;
        let canonical = CustomerEvent::decode(datum).map_err(|error| unreadable("customer event", &error))?;
        let key = record.key.and_then(|key| <[u8; 16]>::try_from(key).ok()).map(NodeKey);
        let key =
            key.ok_or_else(|| Unreadable { reason: "customer event: the key is no node key".to_owned() })?;
        if !self.dedup.check_and_insert(dedup_id(canonical.source, canonical.event_id), record.append_time) {
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
            self.customers.get_or_insert_with(key, || Customer { key, profile: Profile::default() });
        customer.profile.apply(&event);
        self.tally.applied += 1;
        self.tally.predictions += shared.score(&mut customer.profile, step.now);
        if shared.settings.publish == Publish::Event {
            step.emit(shared.settings.profiles, self.partition, &key.0, |out| {
                wire::write_header(out, shared.settings.schemas.customer_profile);
                customer.encode(out);
            });
            self.tally.published += 1;
        }
        let nothing = Ledger::default();
        let ledger = self.ledgers.get(&key).map_or(&nothing, |stored| &stored.0);
        let reaction = shared.react(&event, &customer.profile, ledger);
        if !reaction.is_empty() {
            self.carry_out(key, reaction, &Cause::of(&event), step);
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        key: NodeKey,
        reaction: Reaction,
        cause: &Cause<'_>,
        step: &mut Step<ProfileEffect>,
    ) {
        let shared = Arc::clone(&self.shared);
        for timer in &reaction.ended {
            let ledger = self.ledgers.get_or_insert_with(key, StoredLedger::default);
            ledger.0.timers.retain(|known| known != timer);
            self.timers.cancel(timer.due, key, token(timer));
        }
        for (place, timer) in reaction.set {
            let (due, token, scope) = (timer.due, token(&timer), timer.scope.clone());
            if self.ledgers.get_or_insert_with(key, StoredLedger::default).0.set(timer) {
                self.timers.set(due, key, token);
            } else if let Some(campaign) = shared.campaigns.get(place) {
                let decision = campaign.refuse_timer(scope, step.now);
                self.record(key, campaign, &decision, cause, step);
            }
        }
        for (place, scope) in reaction.now {
            if let Some(campaign) = shared.campaigns.get(place) {
                self.decide(key, campaign, scope, cause, cause.occurred_at, step);
            }
        }
    }

    /// Fires all timers that are due at `now`, in order of (due, node).
    fn fire(&mut self, now: Millis, step: &mut Step<ProfileEffect>) {
        let shared = Arc::clone(&self.shared);
        while let Some(entry) = self.timers.pop_due(now) {
            let ledger = &mut self.ledgers.get_or_insert_with(entry.key, StoredLedger::default).0;
            let place =
                ledger.timers.iter().position(|timer| timer.due == entry.due && token(timer) == entry.token);
            let Some(timer) = place.map(|place| ledger.timers.remove(place)) else { continue };
            let cause =
                Cause { event_id: &timer.event_id, source: &timer.source, occurred_at: timer.occurred_at };
            match shared.campaign(&timer.campaign) {
                Some(campaign) => {
                    self.decide(entry.key, campaign, timer.scope.clone(), &cause, timer.due, step);
                }
                None => step.effects.push(ProfileEffect::Orphaned { campaign: timer.campaign.to_string() }),
            }
        }
    }

    fn decide(
        &mut self,
        key: NodeKey,
        campaign: &Campaign,
        scope: Text,
        cause: &Cause<'_>,
        due: Millis,
        step: &mut Step<ProfileEffect>,
    ) {
        let (nobody, nothing) = (Profile::default(), Ledger::default());
        let decision = {
            let profile = self.customers.get(&key).map_or(&nobody, |customer| &customer.profile);
            let ledger = self.ledgers.get(&key).map_or(&nothing, |stored| &stored.0);
            let situation = Situation { key, profile, ledger, cause: *cause, due, now: step.now };
            campaign.decide(scope, &situation)
        };
        if let Some(trigger) = &decision.trigger {
            self.ledgers.get_or_insert_with(key, StoredLedger::default).0.record(Sent {
                campaign: Text::from(campaign.name()),
                scope: decision.scope.clone(),
                trigger_id: Text::from(trigger.id.as_str()),
                at: decision.decided_at,
            });
        }
        self.record(key, campaign, &decision, cause, step);
    }

    fn record(
        &self,
        key: NodeKey,
        campaign: &Campaign,
        decision: &Decision,
        cause: &Cause<'_>,
        step: &mut Step<ProfileEffect>,
    ) {
        let settings = &self.shared.settings;
        let name = campaign.name();
        step.emit(settings.decisions, self.partition, &key.0, |out| {
            wire::write_header(out, settings.schemas.campaign_decision);
            convert::wire_decision(name, key, cause, decision).encode(out);
        });
        let nobody = Profile::default();
        let profile = self.customers.get(&key).map_or(&nobody, |customer| &customer.profile);
        if let Some(trigger) = convert::wire_trigger(name, key, cause, decision, profile) {
            step.emit(settings.triggers, self.partition, &key.0, |out| {
                wire::write_header(out, settings.schemas.campaign_trigger);
                trigger.encode(out);
            });
        }
        step.effects.push(ProfileEffect::Decided {
            campaign: name.to_owned(),
            outcome: decision.outcome,
            reason: decision.reason.as_str(),
        });
    }

    fn flush_customers(&mut self, step: &mut Step<ProfileEffect>) {
        let (shared, to) = (Arc::clone(&self.shared), step.to(self.shared.settings.profiles, self.partition));
        let (schema, each_event) =
            (shared.settings.schemas.customer_profile, shared.settings.publish == Publish::Event);
        let published = &mut self.tally.published;
        self.customers.encode_dirty(|key, form, _| {
            // With one record for every event the last one is written already.
            if each_event {
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
        self.ledgers.encode_dirty(|key, form, before| {
            if form != before {
                step.outbox.push(to, Some(&key.0), form, Headers::default());
            }
        });
    }
}

/// What an event is known by: the first 16 bytes of BLAKE3 over source, zero, id.
fn dedup_id(source: &str, event_id: &str) -> [u8; 16] {
    // A hasher that takes its input in parts costs several times as much as one call over a short text.
    let mut text: SmallVec<[u8; 128]> = SmallVec::new();
    text.extend_from_slice(source.as_bytes());
    text.push(0);
    text.extend_from_slice(event_id.as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::hash(&text).as_bytes()[..16]);
    id
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
        self.set_clock(step);
        match (record.value, record.headers.get(headers::WATERMARK)) {
            (Some(value), _) => self.take_event(record, value, step),
            (None, Some(mark)) => self.take_watermark(mark, step),
            (None, None) => Err(Unreadable { reason: "customer event without a value".to_owned() }),
        }
    }

    fn advance(&mut self, step: &mut Step<ProfileEffect>) {
        if self.shared.settings.event_clock {
            return;
        }
        // A timer waits for the order that is still unread: it fires once the input, too, has come that far.
        if let Some(mark) = self.watermarks.min() {
            self.fire(step.now.min(mark), step);
        }
    }

    fn flush(&mut self, step: &mut Step<ProfileEffect>) {
        self.set_clock(step);
        self.flush_customers(step);
        self.flush_ledgers(step);
        let to = step.to(self.shared.settings.dedup, self.partition);
        let mut ids = Vec::new();
        if self.dedup.encode_step(&mut ids) {
            step.outbox.push(to, None, Some(&ids), Headers::default());
        }
        if self.tally != Tally::default() {
            step.effects.push(ProfileEffect::Did(std::mem::take(&mut self.tally)));
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
        self.dedup.undo();
        self.timers.undo();
        self.watermarks.undo();
        self.customers.undo().and(self.ledgers.undo())
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
            let datum =
                record.value.map(wire::split).transpose().map_err(|e| unreadable("customer profile", &e))?;
            return self.customers.restore(key, datum.map(|(_, datum)| datum));
        }
        if let Some(known) = self.ledgers.get(&key) {
            for timer in &known.0.timers {
                self.timers.cancel(timer.due, key, token(timer));
            }
        }
        self.ledgers.restore(key, record.value)?;
        if let Some(stored) = self.ledgers.get(&key) {
            for timer in &stored.0.timers {
                self.timers.set(timer.due, key, token(timer));
            }
        }
        self.timers.commit();
        Ok(())
    }
}
