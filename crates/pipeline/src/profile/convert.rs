//! Between contract records and domain values: names change, nothing is decided.
//!
//! The symbol `other` of the contracts' enums stands for one that a newer version added; this program writes it never. Read
//! as the kind of an event it is a track without a name, which is counted and means nothing; an identifier of such a type
//! is left out.

mod identity;

pub(super) use identity::{
    Foreign, ask, customer, evidence, kind as known_kind, limit, link, node, route, state, wire_ask,
    wire_customer, wire_evidence, wire_limit, wire_link, wire_node, wire_state,
};

use catchment_contracts::{self as wire, CustomerEvent, DecodeError};
use catchment_domain::campaign::{self, Channel, Decision, Ledger, Sent, Timer};
use catchment_domain::event::{
    ConsentStatement, ConsentStatus, EventKind, LineItem, OrderTotal, SurveyResponse, TraitChange,
};
use catchment_domain::profile::{self, Profile, Text};
use catchment_domain::{Event, Identifier, IdentifierType, NodeKey, NodeRef};

/// A canonical event as the domain sees it. Lists are converted where they stand: their elements have the same size,
/// so the standard library reuses the allocation.
#[must_use]
pub fn event(record: CustomerEvent<'_>) -> Event<'_> {
    Event {
        id: record.event_id,
        source: record.source,
        kind: kind(record.r#type),
        name: record.event.filter(|_| record.r#type != wire::EventType::Other),
        occurred_at: record.occurred_at,
        received_at: record.received_at,
        local_hour: record.local_hour.and_then(|hour| u8::try_from(hour).ok()),
        identifiers: record.identifiers.into_iter().filter_map(identifier).collect(),
        traits: record.traits.into_iter().map(|t| TraitChange { name: t.name, value: t.value }).collect(),
        consents: record.consents.into_iter().map(consent).collect(),
        currency: record.currency,
        items: record.items.into_iter().map(item).collect(),
        order: record.order.map(|order| OrderTotal {
            order_id: order.order_id,
            total: order.total,
            units: order.units,
        }),
        survey: record.survey.map(|survey| SurveyResponse {
            survey: survey.survey,
            question: survey.question,
            score: survey.score,
        }),
    }
}

fn kind(kind: wire::EventType) -> EventKind {
    match kind {
        wire::EventType::Identify => EventKind::Identify,
        wire::EventType::Track | wire::EventType::Other => EventKind::Track,
        wire::EventType::Page => EventKind::Page,
        wire::EventType::Screen => EventKind::Screen,
        wire::EventType::Group => EventKind::Group,
        wire::EventType::Alias => EventKind::Alias,
        wire::EventType::Contact => EventKind::Contact,
    }
}

fn identifier(record: wire::Identifier<'_>) -> Option<Identifier<'_>> {
    let node = NodeRef { kind: identifier_type(record.r#type)?, key: NodeKey(record.key) };
    Some(Identifier { node, value: record.value })
}

fn identifier_type(kind: wire::IdentifierType) -> Option<IdentifierType> {
    Some(match kind {
        wire::IdentifierType::UserId => IdentifierType::UserId,
        wire::IdentifierType::CrmId => IdentifierType::CrmId,
        wire::IdentifierType::Email => IdentifierType::Email,
        wire::IdentifierType::Phone => IdentifierType::Phone,
        wire::IdentifierType::AnonymousId => IdentifierType::AnonymousId,
        wire::IdentifierType::Other => return None,
    })
}

/// The contract's name of an identifier type.
pub(super) fn wire_identifier_type(kind: IdentifierType) -> wire::IdentifierType {
    match kind {
        IdentifierType::UserId => wire::IdentifierType::UserId,
        IdentifierType::CrmId => wire::IdentifierType::CrmId,
        IdentifierType::Email => wire::IdentifierType::Email,
        IdentifierType::Phone => wire::IdentifierType::Phone,
        IdentifierType::AnonymousId => wire::IdentifierType::AnonymousId,
    }
}

fn consent(record: wire::ConsentStatement<'_>) -> ConsentStatement<'_> {
    ConsentStatement { purpose: record.purpose, status: consent_status(record.status), at: record.at }
}

fn consent_status(status: wire::ConsentStatus) -> ConsentStatus {
    match status {
        wire::ConsentStatus::Granted => ConsentStatus::Granted,
        wire::ConsentStatus::Denied => ConsentStatus::Denied,
        wire::ConsentStatus::Unknown => ConsentStatus::Unknown,
    }
}

fn wire_consent_status(status: ConsentStatus) -> wire::ConsentStatus {
    match status {
        ConsentStatus::Granted => wire::ConsentStatus::Granted,
        ConsentStatus::Denied => wire::ConsentStatus::Denied,
        ConsentStatus::Unknown => wire::ConsentStatus::Unknown,
    }
}

fn item(record: wire::LineItem<'_>) -> LineItem<'_> {
    LineItem {
        product_id: record.product_id,
        sku: record.sku,
        category: record.category,
        price: record.price,
        quantity: record.quantity,
    }
}

/// Counts of a contract are signed, as Avro has it; ours are not. Neither end comes near the other's limits.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn signed32(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn unsigned32(count: i32) -> u32 {
    u32::try_from(count).unwrap_or(0)
}

/// Writes a profile as it is published. The lists go straight from one form to the other: this runs for every profile of
/// a step.
pub(super) fn encode_profile(key: NodeKey, profile: &Profile, out: &mut Vec<u8>) {
    let record = wire::CustomerProfile {
        profile_id: key.0,
        events: signed(profile.events),
        first_seen: profile.first_seen,
        last_seen: profile.last_seen,
        updated_at: profile.last_seen,
        identifiers: Vec::new(),
        traits: Vec::new(),
        consents: Vec::new(),
        counts: Vec::new(),
        days: Vec::new(),
        orders: Vec::new(),
        older_orders: Vec::new(),
        cart_closed_at: profile.cart_closed_at,
        cart: Vec::new(),
        recent: Vec::new(),
        affinity: Vec::new(),
        surveys: Vec::new(),
        freshness: Vec::new(),
        predictions: Vec::new(),
        hours: Vec::new(),
        returns: Vec::new(),
        older_returns: Vec::new(),
        lifetime: Vec::new(),
    };
    let lifetime = profile.lifetime();
    record.encode_with(
        out,
        profile.identifiers.iter().map(wire_identifier),
        profile.traits.iter().map(wire_trait),
        profile.consents.iter().map(wire_consent),
        profile.counts.iter().map(wire_count),
        profile.days.iter().map(wire_day),
        profile.orders.iter().map(wire_order),
        profile.older_orders.iter().map(wire_order_sum),
        profile.cart.iter().map(wire_cart_item),
        profile.recent.iter().map(wire_recent),
        profile.affinity.iter().map(wire_affinity),
        profile.surveys.iter().map(wire_survey),
        profile.freshness.iter().map(wire_freshness),
        profile.predictions.iter().map(wire_prediction),
        profile.hours.iter().map(wire_hour),
        profile.returns.iter().map(wire_return),
        profile.older_returns.iter().map(wire_return_sum),
        lifetime.iter().map(wire_lifetime),
    );
}

fn wire_hour(known: &profile::HourCount) -> wire::HourCount {
    wire::HourCount { hour: i32::from(known.hour), count: signed32(known.count) }
}

fn wire_return(known: &profile::Return) -> wire::Return<'_> {
    wire::Return {
        order_id: &known.order_id,
        at: known.at,
        currency: known.currency.as_deref(),
        amount: known.amount,
        whole: known.whole,
        statement: known.statement.cast_signed(),
    }
}

fn wire_return_sum(sum: &profile::ReturnSum) -> wire::ReturnSum<'_> {
    wire::ReturnSum { currency: &sum.currency, amount: sum.amount }
}

fn wire_lifetime(known: &profile::Lifetime) -> wire::Lifetime<'_> {
    wire::Lifetime {
        currency: known.currency.as_deref(),
        orders: signed(known.orders),
        total: known.total,
        last_at: known.last_at,
    }
}

fn wire_trait(known: &profile::Trait) -> wire::Trait<'_> {
    wire::Trait { name: &known.name, value: known.value.as_deref(), at: known.at, source: &known.source }
}

fn wire_consent(known: &profile::Consent) -> wire::Consent<'_> {
    wire::Consent {
        purpose: &known.purpose,
        status: wire_consent_status(known.status),
        at: known.at,
        source: &known.source,
    }
}

fn wire_count(known: &profile::EventCount) -> wire::EventCount<'_> {
    wire::EventCount { event: &known.event, count: signed(known.count), last_at: known.last_at }
}

fn wire_order_sum(sum: &profile::OrderSum) -> wire::OrderSum<'_> {
    wire::OrderSum {
        currency: sum.currency.as_deref(),
        orders: signed(sum.orders),
        total: sum.total,
        units: sum.units,
        first_at: sum.first_at,
    }
}

fn wire_cart_item(item: &profile::CartItem) -> wire::CartItem<'_> {
    wire::CartItem {
        sku: &item.sku,
        product_id: &item.product_id,
        at: item.at,
        removed: item.removed,
        quantity: item.quantity,
    }
}

fn wire_recent(seen: &profile::RecentProduct) -> wire::RecentProduct<'_> {
    wire::RecentProduct { sku: &seen.sku, product_id: &seen.product_id, at: seen.at }
}

fn wire_affinity(entry: &profile::Affinity) -> wire::Affinity<'_> {
    wire::Affinity { category: &entry.category, day: entry.day, points: signed32(entry.points) }
}

fn wire_survey(answer: &profile::SurveyAnswer) -> wire::SurveyAnswer<'_> {
    wire::SurveyAnswer {
        survey: &answer.survey,
        question: &answer.question,
        score: answer.score,
        at: answer.at,
    }
}

fn wire_freshness(fresh: &profile::Freshness) -> wire::Freshness<'_> {
    wire::Freshness { source: &fresh.source, at: fresh.at }
}

fn wire_identifier(identifier: &profile::ProfileIdentifier) -> wire::ProfileIdentifier<'_> {
    let kind = wire_identifier_type(identifier.kind);
    wire::ProfileIdentifier { r#type: kind, value: &identifier.value, at: identifier.at }
}

fn wire_prediction(prediction: &profile::Prediction) -> wire::Prediction<'_> {
    wire::Prediction {
        model: &prediction.model,
        version: &prediction.version,
        score: prediction.score,
        at: prediction.at,
        missing: prediction.missing,
    }
}

fn wire_day(day: &profile::Day) -> wire::Day {
    wire::Day {
        day: day.day,
        viewed: signed32(day.viewed),
        added: signed32(day.added),
        ordered: signed32(day.ordered),
        other: signed32(day.other),
    }
}

fn wire_order(order: &profile::Order) -> wire::Order<'_> {
    wire::Order {
        order_id: &order.order_id,
        at: order.at,
        total: order.total,
        currency: order.currency.as_deref(),
        units: order.units,
    }
}

/// A published profile back as the domain keeps it, with its key. The record holds everything, so nothing is lost.
pub(super) fn decode_profile(bytes: &[u8]) -> Result<(NodeKey, Profile), DecodeError> {
    let mut profile = Profile::default();
    let record = wire::CustomerProfile::decode_with(bytes, &mut Lists(&mut profile))?;
    profile.events = unsigned(record.events);
    profile.first_seen = record.first_seen;
    profile.last_seen = record.last_seen;
    profile.cart_closed_at = record.cart_closed_at;
    Ok((NodeKey(record.profile_id), profile))
}

/// Takes the lists of a record straight into a profile. This runs for every customer that comes back.
struct Lists<'p>(&'p mut Profile);

fn push<T>(list: &mut Vec<T>, left: usize, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(left);
    }
    list.push(item);
}

impl<'a> wire::CustomerProfileLists<'a> for Lists<'_> {
    fn identifiers(&mut self, item: wire::ProfileIdentifier<'a>, left: usize) {
        if let Some(kind) = identifier_type(item.r#type) {
            let value = Text::from(item.value);
            push(&mut self.0.identifiers, left, profile::ProfileIdentifier { kind, value, at: item.at });
        }
    }

    fn traits(&mut self, item: wire::Trait<'a>, left: usize) {
        let known = profile::Trait {
            name: Text::from(item.name),
            value: item.value.map(Text::from),
            at: item.at,
            source: Text::from(item.source),
        };
        push(&mut self.0.traits, left, known);
    }

    fn consents(&mut self, item: wire::Consent<'a>, left: usize) {
        let known = profile::Consent {
            purpose: Text::from(item.purpose),
            status: consent_status(item.status),
            at: item.at,
            source: Text::from(item.source),
        };
        push(&mut self.0.consents, left, known);
    }

    fn counts(&mut self, item: wire::EventCount<'a>, left: usize) {
        let (event, count) = (Text::from(item.event), unsigned(item.count));
        push(&mut self.0.counts, left, profile::EventCount { event, count, last_at: item.last_at });
    }

    fn days(&mut self, item: wire::Day, left: usize) {
        push(&mut self.0.days, left, day(&item));
    }

    fn orders(&mut self, item: wire::Order<'a>, left: usize) {
        push(&mut self.0.orders, left, order(&item));
    }

    fn older_orders(&mut self, item: wire::OrderSum<'a>, left: usize) {
        let sum = profile::OrderSum {
            currency: item.currency.map(Text::from),
            orders: unsigned(item.orders),
            total: item.total,
            units: item.units,
            first_at: item.first_at,
        };
        push(&mut self.0.older_orders, left, sum);
    }

    fn cart(&mut self, item: wire::CartItem<'a>, left: usize) {
        let known = profile::CartItem {
            sku: Text::from(item.sku),
            product_id: Text::from(item.product_id),
            at: item.at,
            removed: item.removed,
            quantity: item.quantity,
        };
        push(&mut self.0.cart, left, known);
    }

    fn recent(&mut self, item: wire::RecentProduct<'a>, left: usize) {
        let (sku, product_id) = (Text::from(item.sku), Text::from(item.product_id));
        push(&mut self.0.recent, left, profile::RecentProduct { sku, product_id, at: item.at });
    }

    fn affinity(&mut self, item: wire::Affinity<'a>, left: usize) {
        let (category, points) = (Text::from(item.category), unsigned32(item.points));
        push(&mut self.0.affinity, left, profile::Affinity { day: item.day, category, points });
    }

    fn surveys(&mut self, item: wire::SurveyAnswer<'a>, left: usize) {
        let answer = profile::SurveyAnswer {
            at: item.at,
            survey: Text::from(item.survey),
            question: Text::from(item.question),
            score: item.score,
        };
        push(&mut self.0.surveys, left, answer);
    }

    fn freshness(&mut self, item: wire::Freshness<'a>, left: usize) {
        let source = Text::from(item.source);
        push(&mut self.0.freshness, left, profile::Freshness { source, at: item.at });
    }

    fn predictions(&mut self, item: wire::Prediction<'a>, left: usize) {
        let known = profile::Prediction {
            model: Text::from(item.model),
            version: Text::from(item.version),
            score: item.score,
            at: item.at,
            missing: item.missing,
        };
        push(&mut self.0.predictions, left, known);
    }

    fn hours(&mut self, item: wire::HourCount, left: usize) {
        if let Ok(hour) = u8::try_from(item.hour) {
            push(&mut self.0.hours, left, profile::HourCount { hour, count: unsigned32(item.count) });
        }
    }

    fn returns(&mut self, item: wire::Return<'a>, left: usize) {
        let known = profile::Return {
            order_id: Text::from(item.order_id),
            currency: item.currency.map(Text::from),
            at: item.at,
            amount: item.amount,
            whole: item.whole,
            statement: item.statement.cast_unsigned(),
        };
        push(&mut self.0.returns, left, known);
    }

    fn older_returns(&mut self, item: wire::ReturnSum<'a>, left: usize) {
        let sum = profile::ReturnSum { currency: Text::from(item.currency), amount: item.amount };
        push(&mut self.0.older_returns, left, sum);
    }

    /// It follows from the others.
    fn lifetime(&mut self, _: wire::Lifetime<'a>, _: usize) {}
}

fn day(day: &wire::Day) -> profile::Day {
    profile::Day {
        day: day.day,
        viewed: unsigned32(day.viewed),
        added: unsigned32(day.added),
        ordered: unsigned32(day.ordered),
        other: unsigned32(day.other),
    }
}

fn order(order: &wire::Order<'_>) -> profile::Order {
    profile::Order {
        at: order.at,
        order_id: Text::from(order.order_id),
        total: order.total,
        currency: order.currency.map(Text::from),
        units: order.units,
    }
}

fn wire_sent(sent: &Sent) -> wire::Sent<'_> {
    wire::Sent {
        campaign: &sent.campaign,
        scope: &sent.scope,
        trigger_id: Some(&sent.trigger_id),
        at: sent.at,
        occurred_at: sent.occurred_at,
    }
}

fn wire_timer(timer: &Timer) -> wire::Timer<'_> {
    wire::Timer {
        due: timer.due,
        campaign: &timer.campaign,
        scope: &timer.scope,
        event_id: &timer.event_id,
        source: &timer.source,
        occurred_at: timer.occurred_at,
    }
}

/// The ledger of a stored node.
fn ledger(record: &wire::NodeState<'_>) -> Ledger {
    let sent = |sent: &wire::Sent<'_>| Sent {
        campaign: Text::from(sent.campaign),
        scope: Text::from(sent.scope),
        trigger_id: Text::from(sent.trigger_id.unwrap_or_default()),
        at: sent.at,
        occurred_at: sent.occurred_at,
    };
    let timer = |timer: &wire::Timer<'_>| Timer {
        due: timer.due,
        campaign: Text::from(timer.campaign),
        scope: Text::from(timer.scope),
        event_id: Text::from(timer.event_id),
        source: Text::from(timer.source),
        occurred_at: timer.occurred_at,
    };
    Ledger { sent: record.sent.iter().map(sent).collect(), timers: record.timers.iter().map(timer).collect() }
}

/// A decision as it is published.
pub(super) fn wire_decision<'a>(
    campaign: &'a str,
    key: NodeKey,
    cause: &campaign::Cause<'a>,
    decision: &'a Decision,
) -> wire::CampaignDecision<'a> {
    wire::CampaignDecision {
        campaign,
        profile_id: key.0,
        scope: &decision.scope,
        outcome: outcome(decision.outcome),
        reason: decision.reason.as_str(),
        decided_at: decision.decided_at,
        not_before: decision.trigger.as_ref().map(|trigger| trigger.not_before),
        trigger_id: decision.trigger.as_ref().map(|trigger| trigger.id.as_str()),
        event_id: cause.event_id,
        source: cause.source,
        occurred_at: cause.occurred_at,
        predictions: decision.scores.iter().map(wire_prediction).collect(),
    }
}

/// The trigger of a decision as it is published; `None` if it has none.
pub(super) fn wire_trigger<'a>(
    campaign: &'a str,
    key: NodeKey,
    cause: &campaign::Cause<'a>,
    decision: &'a Decision,
    profile: &'a Profile,
) -> Option<wire::CampaignTrigger<'a>> {
    let trigger = decision.trigger.as_ref()?;
    let consent = trigger.consent.as_ref();
    Some(wire::CampaignTrigger {
        trigger_id: &trigger.id,
        campaign,
        profile_id: key.0,
        scope: &decision.scope,
        channel: channel(trigger.channel),
        address: Some(wire::Address {
            r#type: wire_identifier_type(trigger.address.kind),
            value: &trigger.address.value,
        }),
        decided_at: decision.decided_at,
        not_before: trigger.not_before,
        expires_at: trigger.expires_at,
        consent: consent.map(|c| wire::TriggerConsent { purpose: &c.purpose, at: c.at, source: &c.source }),
        timezone: trigger.timezone.as_deref(),
        event_id: cause.event_id,
        source: cause.source,
        occurred_at: cause.occurred_at,
        items: items(profile),
        predictions: decision.scores.iter().map(wire_prediction).collect(),
    })
}

/// What is in the cart, the newest first.
fn items(profile: &Profile) -> Vec<wire::TriggerItem<'_>> {
    let mut cart: Vec<&profile::CartItem> = profile.cart.iter().filter(|item| !item.removed).collect();
    // They come in order of sku, which stays for those of one moment.
    cart.sort_by_key(|item| std::cmp::Reverse(item.at));
    cart.into_iter().map(|item| wire::TriggerItem { product_id: &item.product_id, sku: &item.sku }).collect()
}

fn outcome(outcome: campaign::Outcome) -> wire::Outcome {
    match outcome {
        campaign::Outcome::Send => wire::Outcome::Send,
        campaign::Outcome::Deferred => wire::Outcome::Deferred,
        campaign::Outcome::Suppressed => wire::Outcome::Suppressed,
        campaign::Outcome::HeldOut => wire::Outcome::HeldOut,
        campaign::Outcome::Expired => wire::Outcome::Expired,
    }
}

fn channel(channel: Channel) -> wire::Channel {
    match channel {
        Channel::Email => wire::Channel::Email,
        Channel::Sms => wire::Channel::Sms,
        Channel::Push => wire::Channel::Push,
        Channel::Onsite => wire::Channel::Onsite,
    }
}
