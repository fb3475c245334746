use super::*;
use crate::event::{ConsentStatement, EventKind, LineItem, OrderTotal, SurveyResponse, TraitChange};
use crate::id::{Identifier, KeySecret, NodeRef};
use crate::time::{DAY, HOUR};
use proptest::prelude::*;

fn event(name: &'static str, at: Millis) -> Event<'static> {
    Event {
        id: "e",
        source: "behaviour",
        kind: EventKind::Track,
        name: Some(name),
        occurred_at: at,
        received_at: at,
        identifiers: Vec::new(),
        traits: Vec::new(),
        consents: Vec::new(),
        currency: Some("USD"),
        items: Vec::new(),
        order: None,
        survey: None,
    }
}

fn item(sku: &'static str) -> LineItem<'static> {
    LineItem { product_id: "shoe", sku: Some(sku), category: Some("running"), price: Some(100), quantity: 1 }
}

fn viewed(sku: &'static str, at: Millis) -> Event<'static> {
    Event { items: vec![item(sku)], ..event("Product Viewed", at) }
}

fn added(sku: &'static str, at: Millis) -> Event<'static> {
    Event { items: vec![item(sku)], ..event("Product Added", at) }
}

fn ordered(order_id: &'static str, total: i64, at: Millis) -> Event<'static> {
    let order = Some(OrderTotal { order_id, total, units: 1 });
    Event { items: vec![item("shoe-42")], order, ..event("Order Completed", at) }
}

fn fold(events: &[Event<'_>]) -> Profile {
    let mut profile = Profile::default();
    events.iter().for_each(|event| profile.apply(event));
    profile
}

#[test]
fn newest_statement_of_a_trait_wins_whenever_it_arrives() {
    let states = |value: Option<&'static str>, at| Event {
        traits: vec![TraitChange { name: "city", value }],
        ..event("identify", at)
    };
    let value = |events: &[Event<'_>]| fold(events).trait_value("city").map(str::to_owned);
    assert_eq!(value(&[states(Some("Rome"), 2), states(Some("Oslo"), 1)]).as_deref(), Some("Rome"));
    assert_eq!(value(&[states(Some("Rome"), 1), states(None, 2)]), None);
    assert_eq!(
        value(&[states(None, 2), states(Some("Rome"), 1)]),
        None,
        "an older statement brings nothing back"
    );
    assert_eq!(value(&[states(Some(""), 1)]).as_deref(), Some(""), "an empty text does not delete");
}

#[test]
fn stricter_consent_wins_at_the_same_moment() {
    let says = |status, at| Event {
        consents: vec![ConsentStatement { purpose: "email_marketing", status, at }],
        ..event("x", 9)
    };
    let status = |events: &[Event<'_>]| fold(events).consent("email_marketing");
    use ConsentStatus::{Denied, Granted, Unknown};
    assert_eq!(status(&[says(Denied, 5), says(Granted, 5)]), Denied);
    assert_eq!(status(&[says(Granted, 5), says(Denied, 5)]), Denied);
    assert_eq!(status(&[says(Granted, 6), says(Denied, 5)]), Granted);
    assert_eq!(fold(&[]).consent("email_marketing"), Unknown);
}

#[test]
fn an_order_closes_the_cart_also_when_it_arrives_before_what_was_added() {
    let cart = |events: &[Event<'_>]| fold(events).cart.len();
    assert_eq!(cart(&[added("shoe-42", 6), ordered("o1", 100, 12)]), 0);
    assert_eq!(cart(&[ordered("o1", 100, 12), added("shoe-42", 6)]), 0);
    assert_eq!(cart(&[ordered("o1", 100, 12), added("shoe-42", 13)]), 1);
}

#[test]
fn an_order_is_its_number() {
    let profile = fold(&[ordered("o1", 100, 5), ordered("o1", 100, 5), ordered("o2", 70, 6)]);
    assert_eq!(profile.orders.iter().map(|order| order.total).sum::<i64>(), 170);
}

#[test]
fn orders_beyond_the_list_are_summed() {
    let ids: Vec<&'static str> = (0..300).map(|i| &*Box::leak(format!("o{i:03}").into_boxed_str())).collect();
    let events: Vec<_> = ids.iter().zip(0..).map(|(id, at)| ordered(id, 10, at * HOUR)).collect();
    let profile = fold(&events);
    assert_eq!(profile.orders.len(), MAX_ORDERS);
    assert_eq!((profile.older_orders[0].orders, profile.older_orders[0].total), (44, 440));
    assert_eq!(profile.orders[0].order_id, "o044");
}

#[test]
fn the_largest_profile_is_bounded() {
    let names: Vec<&'static str> =
        (0..500).map(|i| &*Box::leak(format!("n{i:03}").into_boxed_str())).collect();
    let mut profile = Profile::default();
    for (name, at) in names.iter().zip(0..) {
        let mut event = ordered(name, 1, at * DAY);
        event.traits = vec![TraitChange { name, value: Some("x") }];
        event.consents = vec![ConsentStatement { purpose: name, status: ConsentStatus::Granted, at }];
        event.source = name;
        profile.apply(&event);
        profile.apply(&viewed(name, at * DAY));
        profile.apply(&added(name, at * DAY + 1));
        let survey = Some(SurveyResponse { survey: name, question: "nps", score: 9 });
        profile.apply(&Event { survey, ..self::event(name, at) });
    }
    assert_eq!(profile.traits.len(), MAX_TRAITS);
    assert_eq!(profile.consents.len(), MAX_CONSENTS);
    assert_eq!(profile.counts.len(), MAX_COUNTS);
    assert_eq!(profile.counts.iter().map(|count| count.count).sum::<u64>(), 2_000);
    assert_eq!(profile.days.len(), MAX_DAYS);
    assert_eq!(profile.recent.len(), MAX_RECENT);
    assert_eq!(profile.affinity.len(), MAX_AFFINITIES);
    assert_eq!(profile.surveys.len(), MAX_SURVEYS);
    assert_eq!(profile.freshness.len(), MAX_SOURCES);
    assert!(profile.cart.len() <= MAX_CART);
}

const SKUS: [&str; 3] = ["shoe-41", "shoe-42", "boot-40"];
const ORDERS: [&str; 3] = ["o1", "o2", "o3"];
const SOURCES: [&str; 2] = ["behaviour", "crm"];

/// Events within a few days, so that equal times, equal skus and equal orders are common.
fn any_event() -> impl Strategy<Value = Event<'static>> {
    let time = (0i64..200).prop_map(|hours| hours * HOUR);
    (0..8usize, time, 0..3usize, 0..2usize, prop::option::of(0..3usize), 0i64..10).prop_map(
        |(kind, at, which, source, value, late)| {
            let mut event = match kind {
                0 => viewed(SKUS[which], at),
                1 => added(SKUS[which], at),
                2 => Event { name: Some("Product Removed"), ..added(SKUS[which], at) },
                3 => ordered(ORDERS[which], late * 100, at),
                4 => Event {
                    traits: vec![TraitChange { name: SKUS[which], value: value.map(|v| ORDERS[v]) }],
                    kind: EventKind::Identify,
                    ..event("", at)
                },
                5 => Event {
                    consents: vec![ConsentStatement {
                        purpose: "email_marketing",
                        status: [ConsentStatus::Unknown, ConsentStatus::Granted, ConsentStatus::Denied]
                            [which],
                        at,
                    }],
                    ..event("Consent", at)
                },
                6 => Event {
                    survey: Some(SurveyResponse { survey: "poll", question: "nps", score: 5 }),
                    ..event("Survey Completed", at)
                },
                _ => event(SKUS[which], at),
            };
            let kind = crate::IdentifierType::ALL[which];
            let node = NodeRef { kind, key: KeySecret::PUBLISHED.node_key(kind, SKUS[which]) };
            event.identifiers = vec![Identifier { node, value: SKUS[which] }];
            event.source = SOURCES[source];
            event.received_at = at + late;
            event
        },
    )
}

// Orders with one number differ in their amounts here on purpose; the greatest by (time, …) must stay.
proptest! {
    #[test]
    fn any_order_of_arrival_gives_the_same_profile(
        (events, shuffled) in prop::collection::vec(any_event(), 1..60)
            .prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
    ) {
        prop_assert_eq!(fold(&events), fold(&shuffled));
    }
}
