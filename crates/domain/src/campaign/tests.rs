use super::*;
use crate::event::{ConsentStatement, ConsentStatus, Event, EventKind, OrderTotal, TraitChange};
use crate::id::{Identifier, IdentifierType, KeySecret, NodeKey, NodeRef};
use crate::profile::{Profile, Text};
use crate::time::{HOUR, MINUTE, parse_rfc3339};

const CART: &str = r#"
name: cart_abandoned
trigger: {event: Product Added, after: 30m, unless: [Order Completed]}
scope: cart
max_age: 2h
channel: email
consent: email_marketing
quiet_hours: {from: "22:00", to: "08:00"}
"#;

fn campaign(text: &str) -> Campaign {
    Campaign::new(serde_saphyr::from_str(text).unwrap(), &["churn"]).unwrap()
}

fn refusal(text: &str) -> String {
    Campaign::new(serde_saphyr::from_str(text).unwrap(), &["churn"]).unwrap_err().to_string()
}

fn at(clock: &str) -> i64 {
    parse_rfc3339(&format!("2026-03-05T{clock}Z")).unwrap()
}

fn event(name: &'static str, at: i64) -> Event<'static> {
    let node = NodeRef { kind: IdentifierType::Email, key: key() };
    Event {
        id: "e1",
        source: "behaviour",
        kind: EventKind::Track,
        name: Some(name),
        occurred_at: at,
        received_at: at,
        identifiers: vec![Identifier { node, value: "mia@example.com" }],
        traits: vec![TraitChange { name: "timezone", value: Some("Europe/Berlin") }],
        consents: vec![ConsentStatement {
            purpose: "email_marketing",
            status: ConsentStatus::Granted,
            at: 0,
        }],
        currency: None,
        items: Vec::new(),
        order: None,
        survey: None,
    }
}

fn order(at: i64) -> Event<'static> {
    Event { order: Some(OrderTotal { order_id: "o1", total: 1, units: 1 }), ..event("Order Completed", at) }
}

fn key() -> NodeKey {
    KeySecret::PUBLISHED.node_key(IdentifierType::UserId, "u-mia")
}

fn profile(events: &[Event<'_>]) -> Profile {
    let mut profile = Profile::default();
    events.iter().for_each(|event| profile.apply(event));
    profile
}

fn decide(campaign: &Campaign, profile: &Profile, ledger: &Ledger, due: i64, now: i64) -> Decision {
    let cause = Cause { event_id: "e1", source: "behaviour", occurred_at: due };
    campaign.decide(Text::from("cart:0"), &Situation { key: key(), profile, ledger, cause, due, now })
}

#[test]
fn a_cart_waits_for_its_order() {
    let campaign = campaign(CART);
    let add = event("Product Added", at("14:00:00"));
    let Match::Wait(timer) =
        campaign.on_event(&add, &profile(std::slice::from_ref(&add)), &Ledger::default(), 0)
    else {
        panic!()
    };
    assert_eq!((timer.due, timer.scope.as_str()), (at("14:30:00"), "cart:0"));
    assert!(campaign.ends(&order(at("14:20:00")), &timer));
    assert!(!campaign.ends(&order(at("13:59:00")), &timer), "an order of before is of another cart");
    assert!(
        !campaign.ends(&order(at("14:31:00")), &timer),
        "an order after the end of the wait ends nothing"
    );
    assert!(!campaign.ends(&event("Product Viewed", at("14:20:00")), &timer));
}

#[test]
fn an_order_that_overtook_its_cart_ends_the_wait_before_it_begins() {
    let (add, order) = (event("Product Added", at("14:06:00")), order(at("14:12:00")));
    let matched = campaign(CART).on_event(&add, &profile(&[order, add.clone()]), &Ledger::default(), 0);
    assert_eq!(matched, Match::No);
}

#[test]
fn a_cart_that_arrives_late_waits_for_what_arrives_with_it() {
    let campaign = campaign(CART);
    let add = event("Product Added", at("10:00:00"));
    let earliest = at("14:00:05");
    let profile = profile(std::slice::from_ref(&add));
    let Match::Wait(timer) = campaign.on_event(&add, &profile, &Ledger::default(), earliest) else {
        panic!()
    };
    assert_eq!(timer.due, earliest);
    assert!(campaign.ends(&order(at("10:10:00")), &timer));
    assert!(!campaign.ends(&order(at("10:31:00")), &timer), "half an hour stays half an hour");
}

#[test]
fn a_second_addition_to_a_cart_that_waits_sets_no_second_timer() {
    let campaign = campaign(CART);
    let add = event("Product Added", at("14:00:00"));
    let mut ledger = Ledger::default();
    let Match::Wait(timer) = campaign.on_event(&add, &profile(std::slice::from_ref(&add)), &ledger, 0) else {
        panic!()
    };
    assert!(ledger.set(timer));
    let again = event("Product Added", at("14:10:00"));
    assert_eq!(campaign.on_event(&again, &profile(&[add, again.clone()]), &ledger, 0), Match::No);
}

#[test]
fn sends_when_nothing_stops_it() {
    let profile = profile(&[event("Product Added", at("14:00:00"))]);
    let decision = decide(&campaign(CART), &profile, &Ledger::default(), at("14:30:00"), at("14:30:00"));
    assert_eq!((decision.outcome, decision.reason), (Outcome::Send, Reason::Matched));
    let trigger = decision.trigger.unwrap();
    assert_eq!((trigger.not_before, trigger.address.value.as_str()), (at("14:30:00"), "mia@example.com"));
    assert_eq!(trigger.id.len(), 32);
}

#[test]
fn quiet_hours_defer_to_their_end_where_the_customer_is() {
    let profile = profile(&[event("Product Added", at("21:30:00"))]);
    let decision = decide(&campaign(CART), &profile, &Ledger::default(), at("22:00:00"), at("22:00:00"));
    assert_eq!((decision.outcome, decision.reason), (Outcome::Deferred, Reason::QuietHours));
    assert_eq!(
        decision.trigger.unwrap().not_before,
        at("22:00:00") + 9 * HOUR,
        "08:00 in Berlin is 07:00 UTC"
    );
}

#[test]
fn the_first_step_that_stops_a_decision_is_its_reason() {
    let now = at("14:30:00");
    let full = profile(&[event("Product Added", at("14:00:00"))]);
    let nobody = Profile::default();
    let says = |status| Event {
        consents: vec![ConsentStatement { purpose: "email_marketing", status, at: 1 }],
        identifiers: Vec::new(),
        ..event("Product Added", at("14:00:00"))
    };
    let mut sent = Ledger::default();
    let entry =
        |scope| Sent { campaign: "cart_abandoned".into(), scope, trigger_id: "t".into(), at: now - HOUR };
    sent.record(entry("cart:0".into()));
    let mut elsewhere = Ledger::default();
    elsewhere.record(entry("cart:9".into()));
    let none = Ledger::default();
    let reason = |text: &str, profile: &Profile, ledger: &Ledger, due| {
        decide(&campaign(text), profile, ledger, due, now).reason
    };
    let with = |line: &str| format!("{CART}{line}\n");
    assert_eq!(reason(CART, &full, &none, now - 2 * HOUR - 1), Reason::TooLate);
    assert_eq!(reason(&with("condition: orders > 0"), &full, &none, now), Reason::Condition);
    assert_eq!(reason(&with("condition: score.churn > 0.5"), &full, &none, now), Reason::MissingData);
    assert_eq!(reason(CART, &full, &sent, now), Reason::AlreadySent);
    assert_eq!(reason(CART, &full, &elsewhere, now), Reason::Matched);
    assert_eq!(reason(&with("reentry: 61m"), &full, &elsewhere, now), Reason::Reentry);
    assert_eq!(reason(&with("reentry: 60m"), &full, &elsewhere, now), Reason::Matched);
    assert_eq!(reason(CART, &profile(&[says(ConsentStatus::Denied)]), &none, now), Reason::ConsentDenied);
    assert_eq!(reason(CART, &nobody, &none, now), Reason::ConsentUnknown);
    assert_eq!(reason(CART, &profile(&[says(ConsentStatus::Granted)]), &none, now), Reason::Unreachable);
}

#[test]
fn a_decision_names_the_scores_it_used() {
    let mut profile = profile(&[event("Product Added", at("14:00:00"))]);
    profile.predict("churn", "2", 0.75, at("14:00:00"));
    let text = format!(
        "{CART}condition: score.churn > 0.5 && cart_items == 0 && traits.timezone == 'Europe/Berlin' && !known\n"
    );
    let decision = decide(&campaign(&text), &profile, &Ledger::default(), at("14:30:00"), at("14:30:00"));
    assert_eq!(decision.reason, Reason::Matched);
    assert_eq!(decision.scores[0].version, "2");
    let without = decide(&campaign(CART), &profile, &Ledger::default(), at("14:30:00"), at("14:30:00"));
    assert!(without.scores.is_empty());
}

#[test]
fn the_same_decision_has_the_same_trigger_id_again() {
    let profile = profile(&[event("Product Added", at("14:00:00"))]);
    let id = |now| decide(&campaign(CART), &profile, &Ledger::default(), now, now).trigger.unwrap().id;
    assert_eq!(id(at("14:30:00")), id(at("14:30:00") + MINUTE));
}

#[test]
fn timers_are_bounded_and_come_in_order() {
    let timer = |due| Timer {
        due,
        campaign: "c".into(),
        scope: "s".into(),
        event_id: "e".into(),
        source: "b".into(),
        occurred_at: 0,
    };
    let mut ledger = Ledger::default();
    for due in (0..64).rev() {
        assert!(ledger.set(timer(due)));
    }
    assert!(!ledger.set(timer(1)));
    assert_eq!(ledger.next_due(), Some(0));
    assert_eq!(ledger.take_due(1).map(|timer| timer.due), Some(0));
    assert_eq!(ledger.take_due(1).map(|timer| timer.due), Some(1));
    assert_eq!(ledger.take_due(1), None);
}

#[test]
fn a_file_that_is_wrong_is_refused_with_the_reason() {
    let with = |line: &str| refusal(&format!("{CART}{line}\n"));
    assert_eq!(
        with("condition: ordres > 0"),
        "condition: `ordres` is not known; known are score, orders, cart_items, known, traits"
    );
    assert_eq!(
        with("condition: score.chrun > 0.5"),
        "condition: score.chrun: no model of that name is configured"
    );
    assert_eq!(with("condition: orders"), "condition: must give true or false: it gives a value of type int");
    assert!(with("condition: orders >").starts_with("condition: can't be read: "));
    assert!(with("condition: orders > 'a'").starts_with("condition: must give true or false: "));
    let trigger =
        |name: &str, trigger: &str| refusal(&format!("channel: email\nname: {name}\ntrigger: {trigger}\n"));
    assert_eq!(trigger("a b", "{event: x}"), "name `a b`: expected 1 to 64 letters, digits, `_` or `-`");
    assert_eq!(trigger("a", "{event: ' '}"), "trigger.event must not be empty");
    assert_eq!(
        trigger("a", "{event: x, unless: [y]}"),
        "trigger.unless needs trigger.after: without a wait there is nothing to end"
    );
}
