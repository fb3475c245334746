//! Who an event is about: the way of an event to its customer, and what nodes say to each other.

use super::{Hand, Messages, ProfileEffect, ProfileTask, token};
use crate::profile::convert;
use crate::profile::message::{self, Content, Envelope};
use crate::profile::stored::{Customer, StoredNode, unreadable};
use crate::profile::whole::{Outcome, Whole};
use crate::trace::trace_context;
use catchment_contracts::{CustomerEvent, CustomerMerge, MergeKind, wire};
use catchment_domain::campaign::{Cause, Ledger, Timer};
use catchment_domain::identity::{
    self, Content as _, Effects, Evidence, Message, Note, Root, Seen, Stamp, Standing, Waiting,
};
use catchment_domain::profile::{ProfileIdentifier, Text};
use catchment_domain::{Event, Millis, NodeKey, NodeRef, Profile};
use catchment_runtime::partition::for_key;
use catchment_runtime::{Headers, Record, Step, Unreadable};
use std::sync::Arc;

/// Shortest time between two shorter ways that are shown to one alias.
const POINT_EVERY: Millis = 1_000;
/// Aliases of which is known when one was shown to them.
const MOST_POINTED: usize = 4_096;

/// An event at a node.
#[derive(Clone, Copy)]
pub(super) struct Observation<'e, 'a> {
    pub(super) event: &'e Event<'a>,
    /// The identifier that it counts for.
    pub(super) own: NodeRef,
    /// It arrived here, and did not come from another node.
    pub(super) is_arrival: bool,
    pub(super) routed: bool,
    pub(super) stamp: Option<Stamp>,
}

/// What is to be done with an event.
enum Way {
    /// Its customer is here, and it says nothing new of who that is.
    Apply,
    /// Here is an alias.
    Forward,
    /// It may change who is one with whom.
    Decide,
}

/// What the machine is given.
pub(super) enum Call {
    Arrive(Box<Seen<()>>),
    Take(Message<Whole>),
    /// Nothing: time has passed.
    Expire,
}

impl Call {
    /// Whether it may move or join the profile of this root, or end it.
    fn moves_content(&self, root: &Root<Whole>) -> bool {
        let message = match self {
            Call::Arrive(_) => return false,
            Call::Expire => return true,
            Call::Take(message) => message,
        };
        let ends_waiting = matches!(message, Message::No { .. } | Message::Absorb { .. });
        match message {
            Message::Yes { .. } | Message::Forget { .. } => true,
            Message::Absorb { customer, .. } if !customer.content.is_empty() => true,
            _ => ends_waiting && root.waiting.iter().any(|waits| matches!(waits, Waiting::Forget { .. })),
        }
    }
}

impl ProfileTask {
    /// Takes a message of another node.
    pub(super) fn take_letter(
        &mut self,
        record: &Record<'_>,
        value: &[u8],
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let letter = message::read(value)?;
        self.set_clock(letter.at, step);
        let at = NodeRef { kind: letter.to, key: super::node_key("inbox message", record)? };
        match letter.content {
            Content::Observe { own, routed, stamp, event: datum } => {
                let canonical =
                    CustomerEvent::decode(datum).map_err(|error| unreadable("inbox message", &error))?;
                let event = convert::event(canonical);
                let hand = Hand { headers: record.headers, at: letter.at, datum };
                let seen = Observation { event: &event, own, is_arrival: false, routed, stamp };
                self.observe(at, seen, hand, step)?;
            }
            Content::Other(message) => {
                let hand = Hand { headers: record.headers, at: letter.at, datum: &[] };
                self.drive(at, Call::Take(*message), None, hand, step)?;
            }
        }
        // What it brought may be due since the last watermark.
        self.let_known_time_pass(step)
    }

    /// Takes an event to its customer, or on its way there.
    pub(super) fn observe(
        &mut self,
        at: NodeRef,
        seen: Observation<'_, '_>,
        hand: Hand<'_>,
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        match self.way(at, &seen)? {
            Way::Apply => {
                let event = seen.event;
                let customer = self.customers.get_or_insert_with(at.key, || named(at, event))?;
                customer.profile.apply(event);
                self.applied(at.key, event, hand, step)
            }
            Way::Forward => {
                if let Some(node) = self.nodes.get_mut(&at.key)?
                    && let Standing::Alias(alias) = &mut node.standing
                {
                    let stamp = Some(alias.stamp(at, seen.stamp));
                    let parent = alias.parent;
                    let Observation { own, routed, .. } = seen;
                    // The machine would carry an event that nobody looks into.
                    let event = Box::new(Seen {
                        id: Text::default(),
                        source: Text::default(),
                        occurred_at: 0,
                        identifiers: Vec::new(),
                        event: (),
                    });
                    self.send(parent, &Message::Observe { event, own, routed, stamp }, hand, step);
                }
                Ok(())
            }
            Way::Decide => {
                let Observation { event, own, is_arrival, routed, stamp } = seen;
                let identifiers = event.identifiers.iter();
                let carried = Box::new(Seen {
                    id: Text::from(event.id),
                    source: Text::from(event.source),
                    occurred_at: event.occurred_at,
                    identifiers: identifiers.map(|named| (named.node, Text::from(named.value))).collect(),
                    event: (),
                });
                let call = if is_arrival {
                    Call::Arrive(carried)
                } else {
                    Call::Take(Message::Observe { event: carried, own, routed, stamp })
                };
                self.drive(at, call, Some(event), hand, step)
            }
        }
    }

    /// Most events name nobody but members of the customer that they arrive at, or arrive at an alias: these need not be
    /// taken apart for the machine.
    fn way(&mut self, at: NodeRef, seen: &Observation<'_, '_>) -> Result<Way, Unreadable> {
        let event = seen.event;
        let mut named = event.identifiers.iter().map(|named| named.node);
        let is_near = seen.stamp.is_none_or(|stamp| stamp.aliases < 2);
        Ok(match self.nodes.get(&at.key)? {
            Some(node) if seen.is_arrival && node.route.is_some() => Way::Decide,
            Some(StoredNode { standing: Standing::Alias(_), .. }) => Way::Forward,
            Some(StoredNode { standing: Standing::Root(root), kind: Some(_), .. }) if is_near => {
                let customer = &root.customer;
                let says_nothing = seen.routed && customer.forgotten.is_empty();
                let known = says_nothing || customer.knows(named, event.occurred_at);
                if known { Way::Apply } else { Way::Decide }
            }
            Some(_) => Way::Decide,
            None if seen.routed || !is_near || named.any(|node| node != at) => Way::Decide,
            None => match self.customers.get(&at.key)? {
                Some(customer) => match customer.profile.identifiers.as_slice() {
                    [only] if only.kind == at.kind && only.at <= event.occurred_at => Way::Apply,
                    _ => Way::Decide,
                },
                None => Way::Apply,
            },
        })
    }

    /// Lets the machine decide, and does what it says.
    pub(super) fn drive(
        &mut self,
        own: NodeRef,
        call: Call,
        event: Option<&Event<'_>>,
        hand: Hand<'_>,
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let shared = Arc::clone(&self.shared);
        let rules = &shared.settings.identity;
        let mut node = self.lift(own)?;
        let (mut timers_before, mut moves_content) = (Vec::new(), false);
        if let Standing::Root(root) = &mut node.standing {
            moves_content = call.moves_content(root);
            timers_before.clone_from(&root.customer.content.ledger.timers);
            if moves_content && let Some(customer) = self.customers.get_mut(&own.key)? {
                let mut profile = std::mem::take(&mut customer.profile);
                // They follow from the members, and do not move.
                customer.profile.identifiers = std::mem::take(&mut profile.identifiers);
                root.customer.content.profile = Some(Box::new(profile));
            }
        }
        let mut effects = Effects::default();
        let taken = match call {
            Call::Arrive(event) => node.arrive(event, rules, step.now, &mut effects),
            Call::Take(message) => node.take(message, rules, step.now, &mut effects),
            Call::Expire => {
                node.expire(&mut effects);
                Ok(())
            }
        };
        taken.map_err(|impossible| unreadable("inbox message", &impossible))?;
        let (mut outcome, mut is_changed, mut beyond) = (Outcome::default(), false, Vec::new());
        match &mut node.standing {
            Standing::Root(root) => {
                outcome = std::mem::take(&mut root.customer.content.outcome);
                let moved = moves_content.then(|| root.customer.content.profile.take());
                let applied = event.filter(|_| outcome.is_applied);
                is_changed = self.settle_profile(own.key, &root.customer, moved, applied)?;
                if outcome.is_joined {
                    let ledger = &mut root.customer.content.ledger;
                    self.drop_pointless(own.key, &mut ledger.timers)?;
                    beyond = ledger.bound();
                }
            }
            Standing::Alias(_) => drop(self.customers.remove(&own.key)),
            Standing::New => {}
        }
        if matches!(&node.standing, Standing::Root(root) if root.asking.is_some()) {
            self.asking.entry(own.key).or_insert(step.now);
        } else if !self.asking.is_empty() {
            self.asking.remove(&own.key);
        }
        let stored = StoredNode { kind: Some(own.kind), standing: node.standing, route: node.route };
        self.index_timers(own.key, &timers_before, stored.ledger().map_or(&[], |ledger| &ledger.timers));
        *self.nodes.get_or_insert_with(own.key, StoredNode::nothing)? = stored;
        let merged = effects.notes.iter().find_map(|note| match note {
            Note::Merged { evidence, .. } => evidence.clone(),
            _ => None,
        });
        for note in effects.notes {
            self.tell(own, note, step);
        }
        for (to, message) in &effects.sent {
            self.send(*to, message, hand, step);
        }
        if outcome.is_joined {
            self.joined(own.key, (beyond, &outcome.scores), merged.as_ref(), hand, step)?;
        }
        match event.filter(|_| outcome.is_applied) {
            Some(event) => self.applied(own.key, event, hand, step),
            None if is_changed || outcome.is_joined => self.publish_now(own.key, step),
            None => Ok(()),
        }
    }

    /// A node as it is, taken out of its table: to be put back.
    fn lift(&mut self, own: NodeRef) -> Result<identity::Node<Whole>, Unreadable> {
        let stored = match self.nodes.get_mut(&own.key)? {
            Some(stored) => std::mem::replace(stored, StoredNode::nothing()),
            None => StoredNode::derived(own.key, self.customers.get(&own.key)?),
        };
        if stored.kind.is_some_and(|kind| kind != own.kind) {
            let what = format!("node {}", own.key);
            return Err(unreadable(&what, &"it is of another kind than whoever speaks to it says"));
        }
        Ok(stored.into_node(own))
    }

    /// Puts the profile of a root where it belongs, with the identifiers that may be published. True if these are others
    /// than before.
    fn settle_profile(
        &mut self,
        key: NodeKey,
        customer: &identity::Customer<Whole>,
        moved: Option<Option<Box<Profile>>>,
        applied: Option<&Event<'_>>,
    ) -> Result<bool, Unreadable> {
        let identifiers = published(customer);
        match moved {
            Some(None) => {
                self.customers.remove(&key);
                return Ok(false);
            }
            Some(Some(profile)) => {
                let known = self
                    .customers
                    .get_or_insert_with(key, || Customer { key, profile: Profile::default() })?;
                let identifiers = std::mem::take(&mut known.profile.identifiers);
                known.profile = Profile { identifiers, ..*profile };
            }
            None => {}
        }
        if let Some(event) = applied {
            let known =
                self.customers.get_or_insert_with(key, || Customer { key, profile: Profile::default() })?;
            known.profile.apply(event);
        }
        if self.customers.get(&key)?.is_some_and(|known| known.profile.identifiers != identifiers)
            && let Some(known) = self.customers.get_mut(&key)?
        {
            known.profile.identifiers = identifiers;
            return Ok(true);
        }
        Ok(false)
    }

    /// What one of two customers did may have ended what the other waited for.
    fn drop_pointless(&mut self, key: NodeKey, timers: &mut Vec<Timer>) -> Result<(), Unreadable> {
        let Some(customer) = self.customers.get(&key)? else { return Ok(()) };
        let campaigns = self.shared.campaigns.iter();
        let pointless: Vec<Timer> =
            campaigns.flat_map(|campaign| campaign.pointless(&customer.profile, timers)).cloned().collect();
        timers.retain(|timer| !pointless.contains(timer));
        Ok(())
    }

    fn index_timers(&mut self, key: NodeKey, before: &[Timer], after: &[Timer]) {
        let entry = |timer: &Timer| (timer.due, token(timer));
        for timer in before.iter().filter(|timer| !after.iter().any(|other| entry(other) == entry(timer))) {
            self.timers.cancel(timer.due, key, token(timer));
        }
        for timer in after {
            self.timers.set(timer.due, key, token(timer));
        }
    }

    /// Two customers are one from now on.
    fn joined(
        &mut self,
        key: NodeKey,
        (beyond, scores): (Vec<Timer>, &[(Text, f64)]),
        evidence: Option<&Evidence>,
        hand: Hand<'_>,
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let shared = Arc::clone(&self.shared);
        if let Some(customer) = self.customers.get_mut(&key)? {
            shared.score(&mut customer.profile, step.now, &mut self.scored);
            let seen = customer.profile.last_seen;
            self.watch_expiry(key, seen);
        }
        for timer in beyond {
            if let Some(campaign) = shared.campaign(&timer.campaign) {
                let decision = campaign.refuse_timer(timer.scope.clone(), step.now);
                let origin =
                    super::decide::Origin { cause: Cause::of_timer(&timer), trace: &Headers::default() };
                self.record(key, campaign, &decision, origin, step)?;
            }
        }
        let nothing = Ledger::default();
        let ledger = self.nodes.get(&key)?.and_then(StoredNode::ledger).unwrap_or(&nothing);
        let (Some(customer), Some(evidence)) = (self.customers.get(&key)?, evidence) else { return Ok(()) };
        let reaction = shared.react_to_merge(evidence, (&customer.profile, scores), ledger, hand.at);
        if reaction.is_empty() {
            return Ok(());
        }
        let origin = super::decide::Origin { cause: Cause::of_merge(evidence), trace: &Headers::default() };
        self.carry_out(key, reaction, origin, step)
    }

    /// Writes down what became of two customers, and counts.
    fn tell(&mut self, own: NodeRef, note: Note, step: &mut Step<ProfileEffect>) {
        let (kind, other, evidence, limit) = match note {
            Note::Merged { from, evidence } => (MergeKind::Merged, Some(from), evidence, None),
            Note::Refused { evidence, limit, other } => {
                (MergeKind::Refused, other, Some(evidence), Some(limit))
            }
            Note::Forgotten => {
                self.tally.forgotten += 1;
                return;
            }
            Note::Erased => {
                self.tally.erased += 1;
                return;
            }
            Note::Expired => {
                self.tally.expired += 1;
                return;
            }
        };
        match limit {
            Some(limit) => step.effects.push(ProfileEffect::Refused { limit }),
            None => self.tally.merged += 1,
        }
        let settings = &self.shared.settings;
        let (to, now) = (step.to(settings.merges, self.partition), step.now);
        step.outbox.push_with(to, Some(&own.key.0), Headers::default(), |out| {
            wire::write_header(out, settings.schemas.customer_merge);
            let record = CustomerMerge {
                kind,
                profile_id: own.key.0,
                other_id: other.map(|other| other.key.0),
                evidence: evidence.as_ref().map(convert::wire_evidence),
                limit: limit.map(convert::wire_limit),
                at: now,
            };
            record.encode(out);
        });
    }

    /// Sends a message to a node, which may be of this very partition.
    fn send(
        &mut self,
        to: NodeRef,
        message: &Message<Whole>,
        hand: Hand<'_>,
        step: &mut Step<ProfileEffect>,
    ) {
        if matches!(message, Message::Point { .. }) && !self.may_point(to.key, step.now) {
            return;
        }
        self.tally.messages.count(message);
        let settings = &self.shared.settings;
        let headers = match message {
            Message::Observe { .. } => trace_context(hand.headers),
            _ => Headers::default(),
        };
        let place = step.to(settings.inbox, for_key(&to.key.0, settings.partitions));
        let envelope = Envelope { to: to.kind, at: hand.at, event: hand.datum };
        step.outbox.push_with(place, Some(&to.key.0), headers, |out| {
            message::write(message, &envelope, settings.state_format, out);
        });
    }

    /// Whether a shorter way may be shown to an alias again. This is not state: one too many or too few is no matter.
    fn may_point(&mut self, to: NodeKey, now: Millis) -> bool {
        if self.pointed.get(&to).is_some_and(|last| now < last.saturating_add(POINT_EVERY)) {
            return false;
        }
        if self.pointed.len() >= MOST_POINTED {
            self.pointed.clear();
        }
        self.pointed.insert(to, now);
        true
    }
}

/// A customer of one identifier, of whom nothing is known yet.
fn named(at: NodeRef, event: &Event<'_>) -> Customer {
    let own = event.identifiers.iter().find(|named| named.node == at);
    let own = own.map(|own| ProfileIdentifier {
        kind: at.kind,
        value: Text::from(own.value),
        at: event.occurred_at,
    });
    let identifiers = own.into_iter().collect();
    Customer { key: at.key, profile: Profile { identifiers, ..Profile::default() } }
}

/// The identifiers of a customer that may be published, in order of type and value.
fn published(customer: &identity::Customer<Whole>) -> Vec<ProfileIdentifier> {
    let published = customer.published();
    let mut identifiers: Vec<ProfileIdentifier> = published
        .map(|(node, value, since)| ProfileIdentifier { kind: node.kind, value: value.clone(), at: since })
        .collect();
    identifiers.sort_unstable();
    identifiers
}

impl Messages {
    fn count(&mut self, message: &Message<Whole>) {
        let place = match message {
            Message::Observe { .. } => 0,
            Message::Link(_) => 1,
            Message::Ask(_) => 2,
            Message::Yes { .. } => 3,
            Message::No { .. } => 4,
            Message::Absorb { .. } => 5,
            Message::Point { .. } => 6,
            Message::Route { .. } => 7,
            Message::Forget { .. } => 8,
        };
        self.0[place] += 1;
    }
}
