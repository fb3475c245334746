use super::*;
use crate::event::{ConsentStatement, EventKind, LineItem, OrderTotal, SurveyResponse, TraitChange};

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
        local_hour: None,
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
    let order = Some(OrderTotal { order_id, total: Some(total), units: 1 });
    Event { items: vec![item("shoe-42")], order, ..event("Order Completed", at) }
}

fn fold(events: &[Event<'_>]) -> Profile {
    let mut profile = Profile::default();
    events.iter().for_each(|event| profile.apply(event));
    profile
}

/// What two customers become who turn out to be one; each of them absorbs the other once.
fn joined(events: &[Event<'_>], split: usize) -> Profile {
    let (one, other) = (fold(&events[..split]), fold(&events[split..]));
    let (mut first, mut second) = (one.clone(), other.clone());
    first.absorb(other);
    second.absorb(one);
    assert_eq!(first, second, "who absorbs whom does not matter");
    first
}

#[test]
fn the_newest_prediction_stays_when_two_become_one() {
    let predicted = |name: &'static str, at| {
        let mut profile = fold(&[event(name, at)]);
        profile.predict("churn", name, Score { value: 0.5, missing: false }, at);
        profile.predict(name, "1", Score { value: 0.1, missing: false }, at);
        profile
    };
    for (one, other) in [(5, 6), (6, 5)] {
        let mut profile = predicted("a", one);
        profile.absorb(predicted("b", other));
        let of = |model| profile.prediction(model).map(|known| (known.version.as_str(), known.at));
        assert_eq!(of("churn"), Some(if one > other { ("a", 6) } else { ("b", 6) }));
        assert_eq!((of("a"), of("b")), (Some(("1", one)), Some(("1", other))));
    }
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
    for order in [[Granted, Unknown], [Unknown, Granted]] {
        assert_eq!(status(&order.map(|status| says(status, 5))), Unknown, "which is no consent");
    }
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
    assert_eq!(profile.orders.iter().filter_map(|order| order.total).sum::<i64>(), 170);
}

/// Texts that live as long as a test asks.
fn texts(prefix: &str, count: usize) -> Vec<&'static str> {
    (0..count).map(|number| &*Box::leak(format!("{prefix}{number:03}").into_boxed_str())).collect()
}

#[test]
fn orders_beyond_the_list_are_summed() {
    let ids = texts("o", 300);
    let events: Vec<_> = ids.iter().zip(1..).map(|(id, at)| ordered(id, 10, at * HOUR)).collect();
    let profile = fold(&events);
    assert_eq!((profile.orders.len(), profile.order_count()), (MAX_ORDERS, 300));
    let usd = Some(Text::from("USD"));
    let sum = OrderSum { currency: usd, orders: 44, total: Some(440), units: 44, first_at: HOUR };
    assert_eq!(profile.older_orders, [sum]);
    assert_eq!(profile.orders[0].order_id, "o044");
}

#[test]
fn an_order_of_unknown_amount_is_an_order_and_no_amount() {
    let ids = texts("o", 258);
    let unknown = |event: Event<'static>| Event { currency: None, ..event };
    let mut events: Vec<_> = ids.iter().zip(0..).map(|(id, at)| ordered(id, 10, at)).collect();
    events[0] = unknown(events[0].clone());
    events[257] = unknown(events[257].clone());
    let profile = fold(&events);
    let sum = |currency, total, first_at| OrderSum { currency, orders: 1, total, units: 1, first_at };
    assert_eq!(profile.older_orders, [sum(None, None, 0), sum(Some("USD".into()), Some(10), 1)]);
    let newest = &profile.orders[255];
    assert_eq!((newest.order_id.as_str(), newest.total, &newest.currency), ("o257", None, &None));
}

#[test]
fn three_hundred_daily_orders_are_a_day_apart() {
    use crate::features::{Facts, Feature};
    let ids = texts("o", 300);
    let events: Vec<_> = ids.iter().zip(0..).map(|(id, at)| ordered(id, 10, at * DAY)).collect();
    let profile = fold(&events);
    let facts = Facts::new(&profile, 300 * DAY, "USD", 2);
    let days = |feature| facts.get(feature).unwrap().exp() - 1.0;
    for (feature, expected) in [
        (Feature::MeanGapDaysLog, 1.0),
        (Feature::DaysSinceFirstOrderLog, 300.0),
        (Feature::DaysSinceLastOrderLog, 1.0),
        (Feature::OrdersLog, 300.0),
        (Feature::MeanOrderValueLog, 0.1),
    ] {
        assert!((days(feature) - expected).abs() < 1e-9, "{}: {}", feature.name(), days(feature));
    }
}

#[test]
fn unknown_amounts_are_left_out_of_means_and_sums() {
    use crate::features::{Facts, Feature};
    let unknown = Event { currency: None, ..ordered("o1", 5, 0) };
    let value = |events: &[Event<'_>], feature| Facts::new(&fold(events), DAY, "USD", 2).get(feature);
    assert_eq!(value(std::slice::from_ref(&unknown), Feature::MeanOrderValueLog), None);
    assert_eq!(value(std::slice::from_ref(&unknown), Feature::OrdersLog), Some(2f64.ln()));
    let both = [unknown, ordered("o2", 300, 1)];
    assert_eq!(value(&both, Feature::MeanOrderValueLog), Some(4f64.ln()));
    assert_eq!(value(&both, Feature::Revenue30dLog), Some(4f64.ln()));
    assert_eq!(value(&both, Feature::OrdersLog), Some(3f64.ln()));
}

#[test]
fn the_newest_address_is_the_one_that_came_last() {
    use crate::IdentifierType::{Email, UserId};
    let address = |known: &[(crate::IdentifierType, &str, Millis)]| {
        let identifiers = known.iter();
        let identifiers = identifiers.map(|(kind, value, at)| ProfileIdentifier {
            kind: *kind,
            value: Text::from(*value),
            at: *at,
        });
        let profile = Profile { identifiers: identifiers.collect(), ..Profile::default() };
        profile.identifier(Email).unwrap().value.to_string()
    };
    assert_eq!(address(&[(UserId, "u", 9), (Email, "a@x", 3), (Email, "b@x", 5)]), "b@x");
    assert_eq!(address(&[(Email, "a@x", 5), (Email, "b@x", 5)]), "a@x", "of two of one moment, the first");
}

#[test]
fn an_empty_variant_is_none() {
    let mut add = added("", 5);
    add.items[0].product_id = "boot";
    let profile = fold(&[add, added("shoe", 6)]);
    let skus: Vec<_> = profile.cart.iter().map(|item| item.sku.as_str()).collect();
    assert_eq!(skus, ["boot", "shoe"]);
    assert_eq!(profile.recent[1].sku, "boot");
}

#[test]
fn what_lies_between_two_orders_is_one_cart() {
    let profile = fold(&[ordered("o1", 1, 10), ordered("o2", 1, 20)]);
    for (one, other, same) in
        [(1, 10, true), (10, 11, false), (11, 20, true), (5, 15, false), (21, 90, true), (15, 21, false)]
    {
        assert_eq!(profile.same_cart(one, other), same, "{one} {other}");
        assert_eq!(profile.same_cart(other, one), same, "{other} {one}");
    }
}

#[test]
fn no_number_of_other_names_pushes_out_what_the_program_reads() {
    let names = texts("A ", 200);
    let mut events = vec![Event {
        traits: vec![TraitChange { name: TIMEZONE, value: Some("Europe/Berlin") }],
        ..event("Product Viewed", 7)
    }];
    events.extend(
        names
            .iter()
            .map(|name| Event { traits: vec![TraitChange { name, value: Some("x") }], ..event(name, 9) }),
    );
    let profile = fold(&events);
    assert_eq!(profile.trait_value(TIMEZONE), Some("Europe/Berlin"));
    assert_eq!(profile.last_done("Product Viewed"), Some(7));
    assert_eq!(profile.traits.len(), MAX_TRAITS);
    assert_eq!(profile.counts.len(), MAX_COUNTS - RESERVED_COUNTS.len() + 2);
    assert_eq!(profile.last_done(OTHER), Some(9));
}

#[test]
fn the_largest_profile_is_bounded() {
    let names = texts("n", 500);
    let mut profile = Profile::default();
    for (name, at) in names.iter().zip(0..) {
        let mut event = ordered(name, 1, at * DAY);
        event.traits = [*name, TIMEZONE].map(|name| TraitChange { name, value: Some("x") }).to_vec();
        event.consents = vec![ConsentStatement { purpose: name, status: ConsentStatus::Granted, at }];
        event.source = name;
        profile.apply(&event);
        let mut view = viewed(name, at * DAY);
        view.items[0].category = Some(name);
        profile.apply(&view);
        let survey = Some(SurveyResponse { survey: name, question: "nps", score: 9 });
        profile.apply(&Event { survey, ..self::event(name, at) });
    }
    // After the last order, which closes the cart.
    for name in &names {
        profile.apply(&added(name, 500 * DAY));
    }
    assert_eq!(profile.traits.len(), MAX_TRAITS);
    assert_eq!(profile.consents.len(), MAX_CONSENTS);
    assert!(profile.counts.len() <= MAX_COUNTS);
    assert_eq!(profile.counts.iter().map(|count| count.count).sum::<u64>(), 2_000);
    assert_eq!(profile.days.len(), MAX_DAYS);
    assert_eq!(profile.orders.len(), MAX_ORDERS);
    assert_eq!(profile.cart.len(), MAX_CART);
    assert_eq!(profile.recent.len(), MAX_RECENT);
    assert_eq!(profile.affinity.len(), MAX_AFFINITIES);
    assert_eq!(profile.surveys.len(), MAX_SURVEYS);
    assert_eq!(profile.freshness.len(), MAX_SOURCES);
}

fn refunded(order_id: &'static str, amount: Option<i64>, at: Millis) -> Event<'static> {
    Event { name: Some("Order Refunded"), items: vec![], ..ordered_for(order_id, amount, at) }
}

fn cancelled(order_id: &'static str, at: Millis) -> Event<'static> {
    Event { name: Some("Order Cancelled"), items: vec![], ..ordered_for(order_id, None, at) }
}

fn ordered_for(order_id: &'static str, total: Option<i64>, at: Millis) -> Event<'static> {
    let order = Some(OrderTotal { order_id, total, units: 1 });
    Event { order, ..ordered(order_id, 0, at) }
}

/// Orders and what they came to, by currency.
fn lifetime(events: &[Event<'_>]) -> Vec<(Option<String>, u64, i64)> {
    let of = |known: Lifetime| (known.currency.map(String::from), known.orders, known.total);
    fold(events).lifetime().into_iter().map(of).collect()
}

#[test]
fn refunds_and_cancellations_subtract_whatever_comes_first() {
    let usd = |orders, total| vec![(Some("USD".to_owned()), orders, total)];
    let orders = [ordered("o1", 1_000, 1), ordered("o2", 500, 2)];
    let with = |more: &[Event<'static>]| {
        let mut events = [&orders[..], more].concat();
        let last = lifetime(&events);
        events.reverse();
        assert_eq!(lifetime(&events), last, "in the other order");
        last
    };
    assert_eq!(with(&[]), usd(2, 1_500));
    assert_eq!(with(&[refunded("o1", Some(300), 5)]), usd(2, 1_200));
    let another = Event { id: "another", ..refunded("o1", Some(200), 6) };
    assert_eq!(with(&[refunded("o1", Some(300), 5), another]), usd(2, 1_000));
    assert_eq!(with(&[refunded("o1", Some(9_999), 5)]), usd(2, 500), "never more than was paid");
    assert_eq!(with(&[refunded("o1", None, 5)]), usd(1, 500), "all of it");
    assert_eq!(with(&[cancelled("o2", 5), refunded("o2", Some(100), 6)]), usd(1, 1_000));
    assert_eq!(with(&[refunded("another", Some(700), 5)]), usd(2, 1_500), "nobody paid for that one");
    let in_euro = Event { currency: Some("EUR"), ..refunded("o1", Some(300), 5) };
    assert_eq!(with(&[in_euro]), usd(2, 1_500), "amounts of different currencies are never added");
    let of_unknown = Event { currency: None, ..refunded("o1", None, 5) };
    assert_eq!(with(&[of_unknown]), usd(2, 1_500), "something was given back, nobody knows what");
}

#[test]
fn what_is_given_back_of_summed_orders_is_taken_from_their_sum() {
    let count = MAX_ORDERS + 2;
    let mut events: Vec<_> =
        (0..count).map(|at| ordered(ORDER_IDS[at], 100, i64::try_from(at).unwrap())).collect();
    events.push(refunded(ORDER_IDS[0], Some(40), 1_000));
    let total = i64::try_from(count).unwrap() * 100 - 40;
    assert_eq!(lifetime(&events), [(Some("USD".to_owned()), count as u64, total)]);
}

#[test]
fn of_more_returns_than_are_kept_the_sum_is_taken_off() {
    let orders =
        (0..70).flat_map(|at| [ordered(ORDER_IDS[at], 100, 1), refunded(ORDER_IDS[at], Some(100), 2)]);
    let events: Vec<_> = orders.collect();
    assert_eq!(lifetime(&events), [(Some("USD".to_owned()), 70, 0)]);
}

#[test]
fn a_return_that_is_told_again_counts_once() {
    let events = [ordered("o1", 1_000, 1), refunded("o1", Some(300), 5), refunded("o1", Some(300), 5)];
    let mut other = events[1].clone();
    other.id = "another";
    assert_eq!(lifetime(&events)[0].2, 700, "whenever it comes: an id is forgotten after a while");
    assert_eq!(lifetime(&[&events[..], &[other]].concat())[0].2, 400);
}

#[test]
fn an_order_that_two_know_is_one_whoever_absorbs_whom() {
    let full: Vec<_> =
        (0..MAX_ORDERS).map(|at| ordered(ORDER_IDS[at], 100, i64::try_from(at).unwrap() + 1)).collect();
    let one = fold(&full);
    let other = fold(&[ordered("another", 100, 0), ordered(ORDER_IDS[0], 100, 500)]);
    let (mut first, mut second) = (one.clone(), other.clone());
    first.absorb(other);
    second.absorb(one);
    assert_eq!((&first.orders, &first.older_orders), (&second.orders, &second.older_orders));
    assert_eq!(first.lifetime()[0].orders, MAX_ORDERS as u64 + 1);
}

#[test]
fn models_know_of_refunds() {
    let features = |events: &[Event<'_>]| {
        let profile = fold(events);
        let facts = crate::features::Facts::new(&profile, 10, "USD", 2);
        use crate::features::Feature::{MeanOrderValueLog, OrdersLog};
        [OrdersLog, MeanOrderValueLog].map(|feature| facts.get(feature))
    };
    let orders = [ordered("o1", 1_000, 1), ordered("o2", 500, 2)];
    let [after, before] = [vec![cancelled("o2", 3), refunded("o1", Some(400), 4)], vec![]]
        .map(|more| features(&[&orders[..], &more].concat()));
    assert_eq!(after, features(&[ordered("o1", 600, 1)]));
    assert_ne!(after, before);
}

#[test]
fn hours_are_counted_where_the_event_says_where_she_was() {
    let seen = |hour, kind| Event { local_hour: hour, kind, ..event("x", 1) };
    let profile = fold(&[
        seen(Some(9), EventKind::Track),
        seen(Some(9), EventKind::Page),
        seen(Some(21), EventKind::Screen),
        seen(None, EventKind::Track),
        seen(Some(8), EventKind::Identify),
        seen(Some(8), EventKind::Contact),
    ]);
    let hours: Vec<_> = profile.hours.iter().map(|known| (known.hour, known.count)).collect();
    assert_eq!(hours, [(9, 2), (21, 1)]);
}

const SKUS: [&str; 3] = ["shoe-41", "shoe-42", "boot-40"];
const ORDERS: [&str; 3] = ["o1", "o2", "o3"];
const SOURCES: [&str; 2] = ["behaviour", "crm"];
const PRODUCTS: [&str; 2] = ["shoe", "boot"];

/// Events within a few days, so that equal times, equal skus and equal orders are common.
fn any_event() -> impl Strategy<Value = Event<'static>> {
    let time = (0i64..200).prop_map(|hours| hours * HOUR);
    (0..10usize, time, 0..3usize, 0..2usize, prop::option::of(0..3usize), 0i64..10).prop_map(
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
                7 => Event { currency: value.map(|_| "EUR"), ..refunded(ORDERS[which], Some(late), at) },
                8 => cancelled(ORDERS[which], at),
                _ => event(SKUS[which], at),
            };
            for item in &mut event.items {
                item.product_id = PRODUCTS[value.unwrap_or_default() % 2];
                item.quantity = i32::try_from(late).unwrap_or(1) % 3 + 1;
            }
            event.source = SOURCES[source];
            event.received_at = at + late;
            event.local_hour = value.and_then(|hour| u8::try_from(hour * 7).ok());
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
        split in any::<prop::sample::Index>(),
    ) {
        let whole = fold(&events);
        prop_assert_eq!(&fold(&shuffled), &whole);
        prop_assert_eq!(&joined(&shuffled, split.index(events.len() + 1)), &whole);
    }
}

/// More of everything than is kept: skus, orders, names, days, categories, sources, answers.
fn any_event_of_many() -> impl Strategy<Value = Event<'static>> {
    static NAMES: std::sync::LazyLock<Vec<&'static str>> = std::sync::LazyLock::new(|| texts("N ", 120));
    let drawn = (0..8usize, 0i64..150 * 24, 0..120usize, 0..120usize);
    drawn.prop_map(|(kind, hours, name, other)| {
        let (name, other, at) = (NAMES[name], NAMES[other], hours * HOUR);
        let mut event = match kind {
            0 => viewed(name, at),
            1 => added(name, at),
            2 => Event { name: Some("Product Removed"), ..added(name, at) },
            3 => ordered("", hours, at),
            6 => refunded(name, Some(hours), at),
            7 => refunded(other, None, at),
            4 => Event {
                survey: Some(SurveyResponse { survey: name, question: "nps", score: 5 }),
                ..event("Survey Completed", at)
            },
            _ => event(name, at),
        };
        for item in &mut event.items {
            (item.product_id, item.category) = (other, Some(other));
        }
        event.traits = vec![
            TraitChange { name, value: Some(other) },
            TraitChange { name: if kind == 0 { TIMEZONE } else { other }, value: Some(name) },
        ];
        event.consents = vec![ConsentStatement { purpose: other, status: ConsentStatus::Granted, at }];
        event.source = name;
        event
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_beyond_the_bounds_does_not_depend_on_arrival(
        (events, shuffled) in prop::collection::vec(any_event_of_many(), 600..1_200)
            .prop_map(|mut events| {
                // Each order is told once: of orders that were summed up, one told again would count twice.
                for (number, event) in events.iter_mut().enumerate() {
                    event.order = event.order.map(|order| OrderTotal { order_id: ORDER_IDS[number], ..order });
                    event.currency = [Some("USD"), Some("EUR"), None][number % 3];
                }
                events
            })
            .prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        split in any::<prop::sample::Index>(),
    ) {
        let whole = fold(&events);
        prop_assert_eq!(&fold(&shuffled), &whole);
        prop_assert_eq!(&joined(&shuffled, split.index(events.len() + 1)), &whole);
    }

    #[test]
    fn the_sum_of_all_orders_does_not_depend_on_arrival(
        at in prop::collection::vec(0i64..2_000, 300..600),
    ) {
        let events: Vec<_> = at.iter().zip(ORDER_IDS.iter()).map(|(at, id)| ordered(id, *at, *at * HOUR)).collect();
        let profile = fold(&events);
        let listed: i64 = profile.orders.iter().filter_map(|order| order.total).sum();
        let summed: i64 = profile.older_orders.iter().filter_map(|sum| sum.total).sum();
        prop_assert_eq!(listed + summed, at.iter().sum::<i64>());
        prop_assert_eq!(profile.order_count(), at.len() as u64);
        let first = profile.older_orders.iter().map(|sum| sum.first_at).min();
        prop_assert_eq!(first, at.iter().min().map(|at| at * HOUR));
    }
}

static ORDER_IDS: std::sync::LazyLock<Vec<&'static str>> = std::sync::LazyLock::new(|| texts("o", 1_200));
