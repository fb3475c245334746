//! One rich instance of each hot record, used by the golden tests and by the bench.

// The bench needs only some of them.
#![allow(dead_code)]

use catchment_contracts::{
    AbsorbMessage, Address, Affinity, AskMessage, Availability, CampaignDecision, CampaignTrigger, CartItem,
    CatalogItem, Channel, Consent, ConsentStatement, ConsentStatus, CustomerEvent, CustomerMerge,
    CustomerProfile, Day, EventCount, EventType, Evidence, Forgotten, Freshness, HourCount, Identifier,
    IdentifierType, InboxMessage, Lifetime, Limit, LineItem, LinkMessage, Member, MergeKind, NoMessage,
    NodeRef, NodeState, ObserveMessage, Order, OrderSum, OrderTotal, Outcome, PointMessage, Prediction,
    ProfileIdentifier, ReadUpTo, RecentProduct, Return, ReturnSum, Route, Sent, SharedDevice, SurveyAnswer,
    SurveyResponse, Timer, Trait, TraitChange, Tried, TriggerConsent, TriggerItem, Variant, Waiting,
    Watermark,
};

/// 2026-03-05T09:00:00Z.
const AT: i64 = 1_772_701_200_000;
/// The UTC day of [`AT`].
const DAY: i32 = 20_517;

const fn key(first: u8) -> [u8; 16] {
    [first, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]
}

/// A product view, as most events are.
pub(crate) fn product_viewed() -> CustomerEvent<'static> {
    CustomerEvent {
        event_id: "79efa02c-652a-4859-a51b-20b1463ff9b0",
        source: "web",
        source_partition: 3,
        source_offset: 1_234_567,
        r#type: EventType::Track,
        event: Some("Product Viewed"),
        occurred_at: AT - 300,
        received_at: AT,
        identifiers: vec![
            Identifier { r#type: IdentifierType::UserId, value: "cdnow-18424", key: key(1) },
            Identifier {
                r#type: IdentifierType::AnonymousId,
                value: "0398ff44-23ae-425e-aaf6-18ff5c085066",
                key: key(2),
            },
        ],
        traits: vec![],
        consents: vec![],
        currency: Some("USD"),
        items: vec![LineItem {
            product_id: "run-aero",
            sku: Some("run-aero-42"),
            category: Some("running"),
            variant: Some("42"),
            price: Some(11_995),
            quantity: 1,
        }],
        order: None,
        survey: None,
        local_hour: None,
    }
}

/// An event in which every field is filled.
pub(crate) fn customer_event() -> CustomerEvent<'static> {
    CustomerEvent {
        event_id: "ü/1",
        r#type: EventType::Contact,
        traits: vec![
            TraitChange { name: "first_name", value: Some("Mia") },
            TraitChange { name: "plan", value: None },
        ],
        consents: vec![ConsentStatement {
            purpose: "email_marketing",
            status: ConsentStatus::Denied,
            at: -1,
        }],
        order: Some(OrderTotal { order_id: "AS-1", total: Some(i64::MAX), units: i32::MIN }),
        survey: Some(SurveyResponse { survey: "poll-nps-2025", question: "nps", score: 2 }),
        local_hour: Some(23),
        ..product_viewed()
    }
}

fn prediction() -> Prediction<'static> {
    Prediction { model: "churn", version: "2026-02", score: 0.8125, at: AT, missing: true }
}

const EMAIL: &str = "mia.okafor@example.com";

/// The profile of a customer of middling activity, about 1 KB.
pub(crate) fn customer_profile() -> CustomerProfile<'static> {
    let trait_of = |name, value| Trait { name, value, at: AT, source: "crm" };
    let count = |event| EventCount { event, count: 17, last_at: AT };
    let identifier = |kind, value| ProfileIdentifier { r#type: kind, value, at: AT };
    let order = |order_id, at| Order { order_id, at, total: Some(13_500), currency: Some("USD"), units: 2 };
    let unknown = Order { total: None, currency: None, ..order("AS-18424-12", AT) };
    let older = |currency, total| OrderSum { currency, orders: 1, total, units: 1, first_at: AT - 9_000_000 };
    CustomerProfile {
        profile_id: key(1),
        events: 57,
        first_seen: AT - 9_000_000_000,
        last_seen: AT,
        updated_at: AT + 1,
        identifiers: vec![
            identifier(IdentifierType::UserId, "u-mia"),
            identifier(IdentifierType::Email, EMAIL),
            identifier(IdentifierType::AnonymousId, "anon-u-mia-1"),
        ],
        traits: vec![
            trait_of("country", Some("DE")),
            trait_of("first_name", Some("Mia")),
            trait_of("last_name", Some("Okafor")),
            trait_of("plan", None),
            trait_of("timezone", Some("Europe/Berlin")),
        ],
        consents: vec![Consent {
            purpose: "email_marketing",
            status: ConsentStatus::Granted,
            at: AT,
            source: "crm",
        }],
        counts: vec![
            count("Order Completed"),
            count("Product Added"),
            count("Product Viewed"),
            count("page"),
        ],
        days: (0..12).map(|day| Day { day: DAY - day, viewed: 3, added: 1, ordered: 0, other: 2 }).collect(),
        orders: vec![order("AS-18424-10", AT - 5_000_000), order("AS-18424-11", AT), unknown],
        older_orders: vec![older(None, None), older(Some("USD"), Some(4_999))],
        cart_closed_at: Some(AT),
        cart: vec![CartItem {
            sku: "run-aero-42",
            product_id: "run-aero",
            at: AT,
            removed: true,
            quantity: 1,
        }],
        recent: vec![
            RecentProduct { sku: "run-aero-42", product_id: "run-aero", at: AT },
            RecentProduct { sku: "run-tempo-42", product_id: "run-tempo", at: AT - 60_000 },
        ],
        affinity: (0..8).map(|day| Affinity { category: "running", day: DAY - day, points: 4 }).collect(),
        surveys: vec![SurveyAnswer { survey: "poll-nps-2025", question: "nps", score: 9, at: AT }],
        freshness: vec![Freshness { source: "crm", at: AT }, Freshness { source: "web", at: AT }],
        predictions: vec![prediction()],
        hours: vec![HourCount { hour: 9, count: 40 }, HourCount { hour: 21, count: 3 }],
        returns: vec![
            Return {
                order_id: "AS-18424-10",
                at: AT,
                currency: Some("USD"),
                amount: 2_500,
                whole: false,
                statement: 7,
            },
            Return { order_id: "AS-18424-12", at: AT, currency: None, amount: 0, whole: true, statement: -1 },
        ],
        older_returns: vec![ReturnSum { currency: "USD", amount: 99 }],
        lifetime: vec![
            Lifetime { currency: None, orders: 1, total: 0, last_at: None },
            Lifetime { currency: Some("USD"), orders: 3, total: 29_400, last_at: Some(AT) },
        ],
    }
}

/// A ledger entry of each kind and a timer: all that the first version had.
pub(crate) fn ledger() -> NodeState<'static> {
    let sent = |trigger_id| Sent {
        campaign: "back_in_stock",
        scope: "run-aero-42",
        trigger_id,
        at: AT,
        occurred_at: AT - 60_000,
    };
    NodeState {
        sent: vec![sent(Some("t-1")), sent(None)],
        timers: vec![Timer {
            due: AT + 1_800_000,
            campaign: "cart_abandoned",
            scope: "cart",
            event_id: "e-1",
            source: "web",
            occurred_at: AT,
        }],
        r#type: None,
        parent: None,
        forwarded: 0,
        route: None,
        asking: None,
        waiting: vec![],
        members: vec![],
        expected: vec![],
        tried: vec![],
        shared: vec![],
        forgotten: vec![],
    }
}

const fn node(kind: IdentifierType, first: u8) -> NodeRef {
    NodeRef { r#type: kind, key: key(first) }
}

const USER: NodeRef = node(IdentifierType::UserId, 1);
const DEVICE: NodeRef = node(IdentifierType::AnonymousId, 2);

const fn evidence() -> Evidence<'static> {
    Evidence { p: USER, j: DEVICE, event_id: "e-1", source: "web", at: AT }
}

fn link() -> LinkMessage<'static> {
    LinkMessage { x: DEVICE, target: USER, y: USER, evidence: evidence() }
}

fn ask() -> AskMessage<'static> {
    let forgotten = vec![Forgotten { node: DEVICE, at: AT }];
    AskMessage { from: DEVICE, members: vec![DEVICE, USER], forgotten, evidence: evidence() }
}

/// A node in which every field is filled.
pub(crate) fn node_state() -> NodeState<'static> {
    let waiting = |link, ask, forget| Waiting { link, ask, forget };
    NodeState {
        r#type: Some(IdentifierType::Email),
        parent: Some(USER),
        forwarded: 300,
        route: Some(Route { at: AT, to: USER }),
        asking: Some(USER),
        waiting: vec![
            waiting(Some(link()), None, None),
            waiting(None, Some(ask()), None),
            waiting(None, None, Some(AT)),
        ],
        members: vec![
            Member { node: USER, value: Some("u-mia"), since: Some(AT), evidence: None, awaits: None },
            Member {
                node: DEVICE,
                value: None,
                since: None,
                evidence: Some(evidence()),
                awaits: Some(DEVICE),
            },
        ],
        expected: vec![DEVICE],
        tried: vec![Tried {
            node: DEVICE,
            value: "anon-1",
            since: AT - 1,
            until: AT + 86_400_000,
            refused: Some(Limit::AnonymousId),
        }],
        shared: vec![SharedDevice { node: DEVICE, routed_at: AT }],
        forgotten: vec![Forgotten { node: USER, at: AT }],
        ..ledger()
    }
}

/// A message in which every part is there, as none is that is sent.
pub(crate) fn inbox_message() -> InboxMessage<'static> {
    InboxMessage {
        to: IdentifierType::Phone,
        at: AT,
        observe: Some(ObserveMessage {
            own: USER,
            routed: true,
            first: Some(DEVICE),
            count: 7,
            aliases: 2,
            event: b"event",
        }),
        link: Some(link()),
        ask: Some(ask()),
        yes: Some(USER),
        no: Some(NoMessage { evidence: evidence(), limit: Limit::Busy }),
        absorb: Some(AbsorbMessage { from: DEVICE, state: b"state", profile: b"" }),
        point: Some(PointMessage { root: USER, count: 7 }),
        route: Some(Route { at: AT, to: USER }),
        forget: Some(AT),
    }
}

/// A refusal, in which every field is filled.
pub(crate) fn customer_merge() -> CustomerMerge<'static> {
    CustomerMerge {
        kind: MergeKind::Refused,
        profile_id: key(1),
        other_id: Some(key(2)),
        evidence: Some(evidence()),
        limit: Some(Limit::Members),
        at: AT,
    }
}

/// A trigger in which every field is filled.
pub(crate) fn campaign_trigger() -> CampaignTrigger<'static> {
    CampaignTrigger {
        trigger_id: "t-1",
        campaign: "back_in_stock",
        profile_id: key(1),
        scope: "run-aero-42",
        channel: Channel::Push,
        address: Some(Address { r#type: IdentifierType::Email, value: EMAIL }),
        decided_at: AT,
        not_before: AT + 1,
        expires_at: AT + 86_400_001,
        consent: Some(TriggerConsent { purpose: "push_marketing", at: AT - 2, source: "crm" }),
        timezone: Some("Europe/Berlin"),
        event_id: "e-1",
        source: "web",
        occurred_at: AT - 1,
        items: vec![TriggerItem { product_id: "run-aero", sku: "run-aero-42" }],
        predictions: vec![prediction()],
    }
}

/// A decision in which every field is filled.
pub(crate) fn campaign_decision() -> CampaignDecision<'static> {
    CampaignDecision {
        campaign: "back_in_stock",
        profile_id: key(1),
        scope: "run-aero-42",
        outcome: Outcome::HeldOut,
        reason: "holdout",
        decided_at: AT,
        not_before: Some(AT + 1),
        trigger_id: Some("t-1"),
        event_id: "e-1",
        source: "web",
        occurred_at: AT - 1,
        predictions: vec![prediction(), prediction()],
    }
}

/// A product with a full variant and one of which little is known.
pub(crate) fn catalog_item() -> CatalogItem<'static> {
    CatalogItem {
        product_id: "run-aero",
        source: "shop",
        source_partition: 0,
        source_offset: 39,
        title: Some("Aero Glide 3"),
        brand: Some("Stride"),
        category: Some("running"),
        currency: Some("USD"),
        withdrawn: false,
        updated_at: AT,
        received_at: AT + 2_000,
        variants: vec![
            Variant {
                sku: "run-aero-42",
                size: Some("42"),
                price: Some(11_995),
                stock: Some(24),
                updated_at: AT,
                colour: Some("blue"),
                currency: Some("USD"),
                availability: Some(Availability::Backorder),
            },
            Variant {
                sku: "run-aero-41",
                size: None,
                price: None,
                stock: None,
                updated_at: AT,
                colour: None,
                currency: None,
                availability: None,
            },
        ],
        listed_at: Some(AT),
        withdrawn_at: Some(AT - 5),
    }
}

/// Two partitions.
pub(crate) fn watermark() -> Watermark<'static> {
    Watermark {
        read: vec![
            ReadUpTo { source: "web", partition: 0, arrival: AT },
            ReadUpTo { source: "crm", partition: 1, arrival: 0 },
        ],
    }
}
