use super::*;
use crate::event::{ConsentStatement, ConsentStatus, Event, EventKind, OrderTotal, TraitChange};
use crate::id::{Identifier, IdentifierType, KeySecret, NodeKey, NodeRef};
use crate::model::Score;
use crate::profile::{Profile, ProfileIdentifier, Text};
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

const NO_SCORES: &dyn Fn(&str) -> Option<f64> = &|_| None;

fn campaign(text: &str) -> Campaign {
    Campaign::new(serde_saphyr::from_str(text).unwrap(), &["churn"]).unwrap()
}

fn refusal(text: &str) -> String {
    Campaign::new(serde_saphyr::from_str(text).unwrap(), &["churn"]).unwrap_err().to_string()
}

/// Why a file can't even be read.
fn unreadable(text: &str) -> String {
    serde_saphyr::from_str::<CampaignFile>(text).unwrap_err().to_string()
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
        local_hour: None,
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
    Event {
        order: Some(OrderTotal { order_id: "o1", total: Some(1), units: 1 }),
        ..event("Order Completed", at)
    }
}

fn key() -> NodeKey {
    KeySecret::PUBLISHED.node_key(IdentifierType::UserId, "u-mia")
}

/// A profile of these events, with the address that they name.
fn profile(events: &[Event<'_>]) -> Profile {
    let mut profile = Profile::default();
    let named = events.iter().find_map(|event| Some((event.identifiers.first()?, event.occurred_at)));
    profile.identifiers.extend(named.map(|(named, at)| ProfileIdentifier {
        kind: named.node.kind,
        value: Text::from(named.value),
        at,
    }));
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
        campaign.on_event(&add, (&profile(std::slice::from_ref(&add)), NO_SCORES), &Ledger::default(), 0)
    else {
        panic!()
    };
    let scope = format!("cart:{}", at("14:00:00"));
    assert_eq!((timer.due, timer.scope.as_str()), (at("14:30:00"), scope.as_str()));
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
    let matched =
        campaign(CART).on_event(&add, (&profile(&[order, add.clone()]), NO_SCORES), &Ledger::default(), 0);
    assert_eq!(matched, Match::No);
}

#[test]
fn a_cart_that_arrives_late_waits_for_what_arrives_with_it() {
    let campaign = campaign(CART);
    let add = event("Product Added", at("10:00:00"));
    let earliest = at("14:00:05");
    let profile = profile(std::slice::from_ref(&add));
    let Match::Wait(timer) = campaign.on_event(&add, (&profile, NO_SCORES), &Ledger::default(), earliest)
    else {
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
    let Match::Wait(timer) =
        campaign.on_event(&add, (&profile(std::slice::from_ref(&add)), NO_SCORES), &ledger, 0)
    else {
        panic!()
    };
    assert!(ledger.set(timer));
    let again = event("Product Added", at("14:10:00"));
    assert_eq!(
        campaign.on_event(&again, (&profile(&[add, again.clone()]), NO_SCORES), &ledger, 0),
        Match::No
    );
}

const AGAIN: &str = "
name: come_back
trigger: {event: Order Completed, after: 30d, unless: [Order Completed]}
scope: customer
max_age: 2h
channel: onsite
";

#[test]
fn an_event_that_is_its_own_exception_starts_the_wait_anew() {
    let campaign = campaign(AGAIN);
    let numbered =
        |id, at| Event { order: Some(OrderTotal { order_id: id, total: None, units: 1 }), ..order(at) };
    let (first, second) = (numbered("o1", 0), numbered("o2", 3 * HOUR));
    let mut ledger = Ledger::default();
    let Match::Wait(timer) =
        campaign.on_event(&first, (&profile(std::slice::from_ref(&first)), NO_SCORES), &ledger, 0)
    else {
        panic!("it is no exception to itself")
    };
    assert!(ledger.set(timer.clone()));
    assert!(campaign.ends(&second, &timer));
    let both = profile(&[first.clone(), second.clone()]);
    let Match::Wait(again) = campaign.on_event(&second, (&both, NO_SCORES), &ledger, 0) else {
        panic!("the timer that it ends does not stand in its way")
    };
    assert_eq!(again.due, 3 * HOUR + 30 * crate::time::DAY);
    // In the other order of arrival, the older one has had its exception.
    assert_eq!(campaign.on_event(&first, (&both, NO_SCORES), &Ledger::default(), 0), Match::No);
}

/// What a campaign makes of events in the order of their arrival: triggers, decided when their timers are due.
fn triggers(campaign: &Campaign, arrivals: &[Event<'_>]) -> Vec<i64> {
    let identifiers = profile(arrivals).identifiers;
    let mut profile = Profile { identifiers, ..Profile::default() };
    let (mut ledger, mut sent) = (Ledger::default(), Vec::new());
    let fire = |profile: &Profile, ledger: &mut Ledger, now: i64, sent: &mut Vec<i64>| {
        while let Some(timer) = ledger.take_due(now) {
            let (event_id, source) = (timer.event_id.as_str(), timer.source.as_str());
            let cause = Cause { event_id, source, occurred_at: timer.occurred_at };
            let situation = Situation { key: key(), profile, ledger, cause, due: timer.due, now: timer.due };
            let decision = campaign.decide(timer.scope.clone(), &situation);
            if let Some(trigger) = decision.trigger {
                sent.push(timer.due);
                ledger.record(Sent {
                    campaign: campaign.name().into(),
                    scope: timer.scope.clone(),
                    trigger_id: trigger.id.into(),
                    at: timer.due,
                    occurred_at: timer.occurred_at,
                });
            }
        }
    };
    for event in arrivals {
        fire(&profile, &mut ledger, event.received_at, &mut sent);
        profile.apply(event);
        ledger.timers.retain(|timer| !campaign.ends(event, timer));
        if let Match::Wait(timer) =
            campaign.on_event(event, (&profile, NO_SCORES), &ledger, event.received_at)
        {
            assert!(ledger.set(timer));
        }
    }
    fire(&profile, &mut ledger, i64::MAX, &mut sent);
    sent
}

#[test]
fn one_cart_is_one_trigger_whatever_arrives_late() {
    let campaign = campaign(CART);
    let add = |clock: &str| event("Product Added", at(clock));
    let late = |clock: &str, arrival: &str| Event {
        received_at: at(arrival),
        order: Some(OrderTotal { order_id: "late", total: None, units: 1 }),
        ..order(at(clock))
    };
    let check = |arrivals: &[Event<'_>], expected: &[&str]| {
        let expected: Vec<i64> = expected.iter().map(|clock| at(clock)).collect();
        assert_eq!(triggers(&campaign, arrivals), expected);
    };
    // A late older order does not make the cart another one: neither while it waits, nor once it was spoken of.
    check(&[add("14:20:00"), late("14:00:00", "14:25:00"), add("14:26:00")], &["14:50:00"]);
    check(&[add("14:20:00"), late("14:00:00", "14:55:00"), add("14:56:00")], &["14:50:00"]);
    // An order that closed the cart does, also one that is heard of after the trigger.
    check(&[add("14:20:00"), order(at("14:52:00")), add("14:56:00")], &["14:50:00", "15:26:00"]);
    check(&[add("14:20:00"), late("14:45:00", "14:51:00"), add("15:10:00")], &["14:50:00", "15:40:00"]);
    // An order in time is the end of it, and what comes after is a new cart.
    check(&[add("14:20:00"), order(at("14:30:00")), add("14:40:00"), add("14:41:00")], &["15:10:00"]);
}

#[test]
fn sends_when_nothing_stops_it() {
    let profile = profile(&[event("Product Added", at("14:00:00"))]);
    let decision = decide(&campaign(CART), &profile, &Ledger::default(), at("14:30:00"), at("14:30:00"));
    assert_eq!((decision.outcome, decision.reason), (Outcome::Send, Reason::Matched));
    let trigger = decision.trigger.unwrap();
    assert_eq!((trigger.not_before, trigger.address.value.as_str()), (at("14:30:00"), "mia@example.com"));
    assert_eq!(trigger.id.len(), 32);
    assert_eq!(trigger.expires_at, at("14:30:00") + 2 * HOUR);
    let consent = trigger.consent.unwrap();
    assert_eq!(
        (consent.purpose.as_str(), consent.at, consent.source.as_str()),
        ("email_marketing", 0, "behaviour")
    );
}

#[test]
fn quiet_hours_defer_to_their_end_where_the_customer_is() {
    let profile = profile(&[event("Product Added", at("21:30:00"))]);
    let decision = decide(&campaign(CART), &profile, &Ledger::default(), at("22:00:00"), at("22:00:00"));
    assert_eq!((decision.outcome, decision.reason), (Outcome::Deferred, Reason::QuietHours));
    let trigger = decision.trigger.unwrap();
    assert_eq!(trigger.not_before, at("22:00:00") + 9 * HOUR, "08:00 in Berlin is 07:00 UTC");
    assert_eq!(trigger.expires_at, trigger.not_before + 2 * HOUR);
}

#[test]
fn the_first_step_that_stops_a_decision_is_its_reason() {
    let now = at("14:30:00");
    let full = profile(&[order(at("13:00:00")), event("Product Added", at("14:00:00"))]);
    let nobody = Profile::default();
    let says = |status| Event {
        consents: vec![ConsentStatement { purpose: "email_marketing", status, at: 1 }],
        identifiers: Vec::new(),
        ..event("Product Added", at("14:00:00"))
    };
    let mut sent = Ledger::default();
    let entry = |occurred_at: i64| Sent {
        campaign: "cart_abandoned".into(),
        scope: format!("cart:{occurred_at}").into(),
        trigger_id: "t".into(),
        at: now - HOUR,
        occurred_at,
    };
    sent.record(entry(now - 5));
    // Of a cart that was ordered since.
    let mut elsewhere = Ledger::default();
    elsewhere.record(entry(at("11:00:00")));
    let none = Ledger::default();
    let reason = |text: &str, profile: &Profile, ledger: &Ledger, due| {
        decide(&campaign(text), profile, ledger, due, now).reason
    };
    let with = |line: &str| format!("{CART}{line}\n");
    assert_eq!(reason(CART, &full, &none, now - 2 * HOUR - 1), Reason::TooLate);
    assert_eq!(reason(&with("condition: orders > 1"), &full, &none, now), Reason::Condition);
    assert_eq!(reason(&with("condition: score.churn > 0.5"), &full, &none, now), Reason::MissingData);
    let number = with("condition: double(traits.timezone) > 1.0");
    assert_eq!(reason(&number, &full, &none, now), Reason::ConditionError);
    assert_eq!(reason(&number, &nobody, &none, now), Reason::MissingData);
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
    for model in ["churn", "other"] {
        profile.predict(model, "2", Score { value: 0.75, missing: true }, at("14:00:00"));
    }
    let text = format!(
        "{CART}condition: score.churn > 0.5 && cart_items == 0 && traits.timezone == 'Europe/Berlin' && !known\n"
    );
    let decision = decide(&campaign(&text), &profile, &Ledger::default(), at("14:30:00"), at("14:30:00"));
    assert_eq!(decision.reason, Reason::Matched);
    let names: Vec<_> = decision.scores.iter().map(|score| (score.model.as_str(), score.missing)).collect();
    assert_eq!(names, [("churn", true)], "the other was not asked for");
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
fn a_busy_campaign_does_not_push_out_what_others_are_judged_by() {
    let sent = |campaign: &str, scope: String, at| Sent {
        campaign: campaign.into(),
        scope: scope.into(),
        trigger_id: "t".into(),
        at,
        occurred_at: at,
    };
    let mut ledger = Ledger::default();
    ledger.record(sent("welcome", FOR_EVER.to_owned(), 0));
    ledger.record(sent("early_access", "o1".to_owned(), 1));
    for number in 0..300 {
        ledger.record(sent("busy", format!("o{number}"), 2 + number));
    }
    assert_eq!(ledger.sent_by("welcome").count(), 1);
    assert_eq!(ledger.last_sent("early_access"), Some(1));
    assert_eq!(ledger.sent_by("busy").count(), MAX_SENT_OF_CAMPAIGN);
    assert_eq!(ledger.sent_by("busy").next().map(|sent| sent.at), Some(2 + 300 - 32));
    // Twenty busy campaigns meet the bound of them all; each keeps its newest.
    for number in 0..640 {
        ledger.record(sent(&format!("busy{}", number % 20), format!("o{number}"), 1_000 + number));
    }
    assert_eq!(ledger.sent.len(), MAX_SENT);
    assert_eq!(ledger.sent_by("welcome").count(), 1);
    assert_eq!(ledger.last_sent("early_access"), Some(1));
    assert_eq!(ledger.last_sent("busy"), Some(301));
    assert!(ledger.sent.is_sorted_by_key(|sent| sent.at));
}

#[test]
fn a_condition_that_fails_on_somebody_is_refused() {
    let check = |text: &str, expected: Result<(), &str>| {
        let got = Condition::new(text, &["churn"]).map(|_| ()).map_err(|error| error.to_string());
        match expected {
            Ok(()) => assert_eq!(got, Ok(()), "{text}"),
            Err(part) => assert!(got.as_ref().is_err_and(|error| error.contains(part)), "{text}: {got:?}"),
        }
    };
    for text in [
        "known && orders > 2",
        "score.churn > 0.5 && score['churn'] < 0.9",
        "has(score.churn) && score.churn > 0.5",
        "'churn' in score || known",
        "traits.plan in ['gold', 'silver']",
        "traits[known ? 'a' : 'b'] == 'x'",
        "['gold', 'silver'].exists(plan, plan == traits.plan)",
        "[1].all(score, score > 0)",
        "cart_items > 0 && orders / cart_items > 2",
        "int(traits.age) >= 18",
        "{'a': orders}['a'] > 1",
        "!known || (orders > 1 ? cart_items > 1 : known)",
    ] {
        check(text, Ok(()));
    }
    let not_bool = "must give true or false";
    for text in [
        "known && orders > '2'",
        "known ? 'a' : true",
        "orders > 5 && cart_items > 'x'",
        "!known && !orders",
        "score.churn > 0.99 && traits.plan",
        "orders > 1000000 && unheard_of(1)",
        "orders / cart_items > 2",
        "{'a': 1}.b > 1",
        "traits.plan > 1",
    ] {
        check(text, Err(not_bool));
    }
    let unknown = "score.chrun: no model of that name is configured";
    for text in [
        "score['chrun'] > 0.5",
        "has(score.chrun)",
        "'chrun' in score",
        "[score.chrun].exists(x, x > 0.5)",
        "[1].exists(x, score.chrun > 0.5)",
        "{'a': score.chrun}['a'] > 0.5",
        "double(score.chrun) > 0.5",
        "(known ? score.chrun : 0.0) > 0.5",
    ] {
        check(text, Err(unknown));
    }
    for text in ["score[traits.model] > 0.5", "score.exists(m, score[m] > 0.5)", "size(score) > 0"] {
        check(text, Err("`score` must be followed by the name of a model"));
    }
    check("[1].exists(x, y > 1)", Err("`y` is not known"));
}

#[test]
fn a_channel_that_reaches_out_says_what_allows_it() {
    let file = |rest: &str| format!("name: a\ntrigger: {{event: x}}\n{rest}\n");
    for channel in ["email", "sms", "push"] {
        for nothing in ["", "consent: ''", "consent:"] {
            let message = unreadable(&file(&format!("channel: {channel}\n{nothing}")));
            let expected =
                format!("channel {channel} needs `consent`: the purpose that must be granted, or `none`");
            assert!(message.contains(&expected), "{message}");
        }
        assert_eq!(campaign(&file(&format!("channel: {channel}\nconsent: none"))).file().purpose(), None);
        let asks = campaign(&file(&format!("channel: {channel}\nconsent: ads")));
        assert_eq!(asks.file().purpose(), Some("ads"));
    }
    assert_eq!(campaign(&file("channel: onsite")).file().purpose(), None);
}

#[test]
fn a_span_has_a_unit() {
    let message = |span: &str| unreadable(&format!("{CART}reentry: {span}\n"));
    for (span, got) in
        [("0", "the number 0"), ("-30", "the number -30"), ("1.5", "the number 1.5"), ("soon", "`soon`")]
    {
        let expected = format!("expected a span such as 30m, 48h or 7d, got {got}");
        assert!(message(span).contains(&expected), "{}", message(span));
    }
    assert!(message("[1]").contains("a span such as 30m, 48h or 7d"), "{}", message("[1]"));
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
        |name: &str, trigger: &str| refusal(&format!("channel: onsite\nname: {name}\ntrigger: {trigger}\n"));
    assert_eq!(trigger("a b", "{event: x}"), "name `a b`: expected 1 to 64 letters, digits, `_` or `-`");
    let no_event = "trigger.event must not be empty, and must be there where there is no trigger.score";
    assert_eq!(trigger("a", "{event: ' '}"), no_event);
    assert_eq!(trigger("a", "{}"), no_event);
    let score = |more: &str| trigger("a", &format!("{{{more}, score: {{model: churn, at_least: 0.5}}}}"));
    assert_eq!(score("after: 1h"), "trigger.after needs trigger.event");
    assert_eq!(
        trigger("a", "{score: {model: chrun, at_least: 0.5}}"),
        "trigger.score.model: there is no model `chrun`"
    );
    assert_eq!(
        trigger("a", "{score: {model: churn, at_least: 50}}"),
        "trigger.score.at_least: expected a number from 0 to 1, got 50"
    );
    assert_eq!(
        trigger("a", "{event: x, unless: [y]}"),
        "trigger.unless needs trigger.after: without a wait there is nothing to end"
    );
}

#[test]
fn a_score_starts_a_decision_at_any_event_or_at_the_one_that_is_named() {
    let starts_from = |before: Option<f64>, trigger: &str, score: Option<f64>| {
        let campaign = campaign(&format!("name: c\nchannel: onsite\ntrigger: {trigger}\n"));
        let mut profile = Profile::default();
        if let Some(value) = score {
            profile.predict("churn", "1", Score { value, missing: false }, 0);
        }
        let matched =
            campaign.on_event(&event("Product Viewed", 5), (&profile, &|_| before), &Ledger::default(), 0)
                != Match::No;
        let situation = Situation {
            key: key(),
            profile: &profile,
            ledger: &Ledger::default(),
            cause: Cause::of(&event("Product Viewed", 5)),
            due: 5,
            now: 5,
        };
        assert_eq!(campaign.decide(Text::from("x"), &situation).scores.len(), usize::from(score.is_some()));
        matched
    };
    let starts = |trigger: &str, score: Option<f64>| starts_from(Some(0.1), trigger, score);
    let any = "{score: {model: churn, at_least: 0.5}}";
    assert_eq!(
        [None, Some(0.49), Some(0.5)].map(|before| starts_from(before, any, Some(0.9))),
        [true, true, false]
    );
    assert_eq!([None, Some(0.49), Some(0.5)].map(|score| starts(any, score)), [false, false, true]);
    let named = "{event: Product Viewed, score: {model: churn, at_least: 0.5}}";
    assert_eq!([Some(0.49), Some(0.9)].map(|score| starts(named, score)), [false, true]);
    assert!(!starts("{event: Product Added, score: {model: churn, at_least: 0.5}}", Some(0.9)));
}
