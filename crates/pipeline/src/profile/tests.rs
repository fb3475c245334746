pub(super) mod any;
mod expiry;
mod identity;
mod size;
mod trace;

use super::*;
use catchment_contracts::wire::{self, SchemaIds};
use catchment_contracts::{
    CampaignDecision, CampaignTrigger, ConsentStatement, ConsentStatus, CustomerEvent, EventType, Identifier,
    IdentifierType, LineItem, OrderTotal, ReadUpTo, SurveyResponse, TraitChange, Watermark, headers,
    watermark,
};
use catchment_domain::campaign::Campaign;
use catchment_domain::identity::Rules;
use catchment_domain::{IdentifierType as Kind, KeySecret, NodeKey};
use catchment_runtime::state::Stored;
use catchment_runtime::{Headers, Millis, Offset, Record, Step, Task, TopicId};
use proptest::prelude::*;
use std::sync::Arc;

const CART: &str = "
name: cart
trigger: {event: Product Added, after: 30m, unless: [Order Completed]}
scope: cart
channel: onsite
";

const THANKS: &str = "
name: thanks
trigger: {event: Order Completed}
scope: order
channel: onsite
";

const MINUTE: Millis = 60_000;
const PROFILES: TopicId = TopicId(1);
const STATE: TopicId = TopicId(2);
const DEDUP: TopicId = TopicId(3);
const TRIGGERS: TopicId = TopicId(4);
const DECISIONS: TopicId = TopicId(5);
const INBOX: TopicId = TopicId(6);
const MERGES: TopicId = TopicId(7);

fn shared(campaigns: &[&str], publish: Publish, event_clock: bool) -> Arc<Shared> {
    let compile = |text: &&str| Campaign::new(serde_saphyr::from_str(text).unwrap(), &[]).unwrap();
    Arc::new(Shared {
        models: Vec::new(),
        campaigns: campaigns.iter().map(compile).collect(),
        settings: SharedSettings {
            sources: vec![("web".to_owned(), 1), ("crm".to_owned(), 1)],
            profiles: PROFILES,
            state: STATE,
            dedup: DEDUP,
            triggers: TRIGGERS,
            decisions: DECISIONS,
            inbox: INBOX,
            merges: MERGES,
            partitions: 1,
            identity: Rules::default(),
            expiry: Expiry::default(),
            schemas: SchemaIds::builtin(),
            state_format: NEWEST_FORMAT,
            dedup_key: [7; 32],
            timer_grace: 0,
            dedup_window: 48 * 60 * 60_000,
            dedup_limit: 10_000,
            publish,
            event_clock,
            reads_by_arrival: true,
        },
    })
}

/// A task with what its lane would keep.
struct Bench {
    task: ProfileTask,
    step: Step<ProfileEffect>,
    offset: u64,
    /// The log's clock.
    append_time: Millis,
}

fn key(user: &str) -> NodeKey {
    KeySecret::PUBLISHED.node_key(Kind::UserId, user)
}

fn event<'a>(id: &'a str, name: &'a str, at: Millis) -> CustomerEvent<'a> {
    CustomerEvent {
        event_id: id,
        source: "web",
        source_partition: 0,
        source_offset: 7,
        r#type: EventType::Track,
        event: Some(name),
        occurred_at: at,
        received_at: at,
        identifiers: vec![Identifier { r#type: IdentifierType::UserId, value: "u", key: key("u").0 }],
        traits: Vec::new(),
        consents: Vec::new(),
        currency: Some("USD"),
        items: vec![LineItem {
            product_id: "shoe",
            sku: None,
            category: Some("running"),
            variant: None,
            price: None,
            quantity: 1,
        }],
        order: (name == "Order Completed").then_some(OrderTotal { order_id: id, total: Some(100), units: 1 }),
        survey: None,
        local_hour: None,
    }
}

impl Bench {
    fn new(shared: &Arc<Shared>) -> Bench {
        Bench { task: ProfileTask::new(0, Arc::clone(shared)), step: Step::new(), offset: 0, append_time: 0 }
    }

    fn record(&mut self, value: Option<&[u8]>, headers: &Headers) {
        let offset = Offset(self.offset);
        self.offset += 1;
        let key = value.map(|_| key("u").0);
        let (topic, key) = (TopicId(0), key.as_ref().map(<[u8; 16]>::as_slice));
        let record =
            Record { topic, partition: 0, offset, append_time: self.append_time, key, value, headers };
        self.task.process(&record, &mut self.step).unwrap();
    }

    fn take(&mut self, event: &CustomerEvent<'_>) {
        let mut value = Vec::new();
        wire::write_header(&mut value, SchemaIds::builtin().customer_event);
        event.encode(&mut value);
        self.record(Some(&value), &Headers::default());
    }

    /// All sources, or one, are read up to `at`.
    fn read_up_to(&mut self, sources: &[&str], at: Millis) {
        self.append_time = self.append_time.max(at);
        let read = sources.iter().map(|source| ReadUpTo { source, partition: 0, arrival: at }).collect();
        let (mut datum, mut headers) = (Vec::new(), Headers::default());
        watermark::write(&Watermark { read }, &mut datum);
        headers.push(headers::WATERMARK, datum);
        self.record(None, &headers);
    }

    /// Ends the step and returns what it wrote.
    fn flush(&mut self) -> Vec<Written> {
        self.task.advance(&mut self.step);
        self.task.flush(&mut self.step);
        let outbox = &self.step.outbox;
        let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let written = outbox.records().iter().map(|record| Written {
            topic: record.topic,
            key: own(outbox.key(record)),
            value: own(outbox.value(record)),
        });
        written.collect()
    }

    fn commit(&mut self) -> Vec<Written> {
        let written = self.flush();
        self.task.committed();
        self.step.clear();
        written
    }

    /// Ends the step, and takes what the task says to itself, until it has nothing more to say.
    fn settle(&mut self) -> Vec<Written> {
        let mut all = Vec::new();
        loop {
            let written = self.commit();
            let letters: Vec<Written> = of(&written, INBOX).into_iter().cloned().collect();
            all.extend(written);
            if letters.is_empty() {
                return all;
            }
            for Written { topic, key, value } in letters {
                let (offset, headers, append_time) =
                    (Offset(self.offset), &Headers::default(), self.append_time);
                let (key, value) = (key.as_deref(), value.as_deref());
                let record = Record { topic, partition: 0, offset, append_time, key, value, headers };
                self.task.process(&record, &mut self.step).unwrap();
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Written {
    topic: TopicId,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

fn of(written: &[Written], topic: TopicId) -> Vec<&Written> {
    written.iter().filter(|record| record.topic == topic).collect()
}

/// Reason and time of each decision.
fn decisions(written: &[Written]) -> Vec<(String, Millis)> {
    let decisions = of(written, DECISIONS);
    let decode = |record: &&Written| {
        let value = record.value.clone().unwrap();
        let decision = CampaignDecision::decode(wire::split(&value).unwrap().1).unwrap();
        (decision.reason.to_owned(), decision.decided_at)
    };
    decisions.iter().map(decode).collect()
}

#[test]
fn an_event_that_comes_again_changes_nothing_and_is_named() {
    let mut bench = Bench::new(&shared(&[], Publish::Step, true));
    bench.take(&event("e1", "Product Viewed", 5));
    bench.commit();
    let before = bench.task.customers().copied(&key("u")).unwrap();
    bench.take(&event("e1", "Product Viewed", 5));
    assert_eq!(
        bench.step.effects,
        [ProfileEffect::Duplicate { source: "web".into(), event_id: "e1".into(), partition: 0, offset: 7 }]
    );
    assert_eq!(bench.commit(), []);
    assert_eq!(bench.task.customers().copied(&key("u")).unwrap(), before);
    // The same id of another source is another event, and so is the same id at another node.
    bench.take(&CustomerEvent { source: "crm", ..event("e1", "Product Viewed", 5) });
    assert_eq!(
        bench.task.customers().copied(&key("u")).unwrap().map(|customer| customer.profile.events),
        Some(2)
    );
}

#[test]
fn a_profile_is_published_once_a_step_or_for_every_event() {
    for (publish, expected) in [(Publish::Step, 1), (Publish::Event, 3)] {
        let mut bench = Bench::new(&shared(&[], publish, true));
        for id in ["e1", "e2", "e3"] {
            bench.take(&event(id, "Product Viewed", 5));
        }
        let written = bench.commit();
        assert_eq!(of(&written, PROFILES).len(), expected);
        assert_eq!(of(&written, DEDUP).len(), 1, "one record holds all ids of a step");
        assert!(of(&written, STATE).is_empty(), "nothing private changed");
    }
}

#[test]
fn a_cart_is_decided_at_the_end_of_its_wait_also_where_time_jumps() {
    let mut bench = Bench::new(&shared(&[CART], Publish::Step, true));
    bench.read_up_to(&["web", "crm"], 0);
    bench.take(&event("e1", "Product Added", 0));
    assert!(decisions(&bench.commit()).is_empty());
    assert_eq!(bench.task.pending_timers(), 1);
    bench.read_up_to(&["web", "crm"], 55 * MINUTE);
    let written = bench.commit();
    assert_eq!(decisions(&written), [("matched".to_owned(), 30 * MINUTE)]);
    assert_eq!((of(&written, TRIGGERS).len(), bench.task.pending_timers()), (1, 0));
}

#[test]
fn a_timer_waits_until_every_source_is_read_that_far() {
    for event_clock in [true, false] {
        let mut bench = Bench::new(&shared(&[CART], Publish::Step, event_clock));
        bench.read_up_to(&["web", "crm"], 0);
        bench.take(&event("e1", "Product Added", 0));
        bench.read_up_to(&["web"], 40 * MINUTE);
        assert!(decisions(&bench.commit()).is_empty(), "an order may still stand in the other source");
        if !event_clock {
            bench.step.now = 41 * MINUTE;
        }
        bench.read_up_to(&["crm"], 40 * MINUTE);
        let at = if event_clock { 30 } else { 41 };
        assert_eq!(decisions(&bench.commit()), [("matched".to_owned(), at * MINUTE)]);
    }
}

#[test]
fn a_cart_that_arrives_late_waits_for_the_order_behind_it() {
    let mut shared = shared(&[CART], Publish::Step, true);
    Arc::get_mut(&mut shared).unwrap().settings.timer_grace = 5_000;
    for late in [4_000, 6_000] {
        let mut bench = Bench::new(&shared);
        bench.read_up_to(&["web", "crm"], 240 * MINUTE);
        bench.take(&CustomerEvent { received_at: 240 * MINUTE, ..event("e1", "Product Added", 0) });
        bench.read_up_to(&["web", "crm"], 240 * MINUTE + late);
        bench.take(&event("o1", "Order Completed", 10 * MINUTE));
        bench.read_up_to(&["web", "crm"], 300 * MINUTE);
        let expected = (late > 5_000).then_some(("matched".to_owned(), 240 * MINUTE + 5_000));
        assert_eq!(decisions(&bench.commit()), Vec::from_iter(expected), "{late} ms later");
    }
}

#[test]
fn a_restored_task_knows_the_time_by_its_records() {
    let mut bench = Bench::new(&shared(&[THANKS], Publish::Step, true));
    // The broker's clock, which is another one.
    bench.append_time = 9_000 * MINUTE;
    let order = CustomerEvent { received_at: 90 * MINUTE, ..event("o1", "Order Completed", 89 * MINUTE) };
    bench.take(&order);
    assert_eq!(decisions(&bench.commit()), [("matched".to_owned(), 90 * MINUTE)]);
}

#[test]
fn an_event_of_another_schema_stops_the_partition() {
    let mut bench = Bench::new(&shared(&[], Publish::Step, true));
    let (mut value, headers) = (Vec::new(), Headers::default());
    wire::write_header(&mut value, wire::SchemaId(99));
    event("e1", "x", 0).encode(&mut value);
    let key = key("u").0;
    let record = Record {
        topic: TopicId(0),
        partition: 0,
        offset: Offset(0),
        append_time: 0,
        key: Some(&key),
        value: Some(&value),
        headers: &headers,
    };
    let refusal = bench.task.process(&record, &mut bench.step).unwrap_err().to_string();
    assert_eq!(refusal, "customer event: schema id 99, where this program knows 4");
}

#[test]
fn an_order_ends_the_wait_of_its_cart() {
    let mut bench = Bench::new(&shared(&[CART], Publish::Step, true));
    bench.read_up_to(&["web", "crm"], 0);
    bench.take(&event("e1", "Product Added", 0));
    bench.commit();
    bench.take(&event("o1", "Order Completed", 20 * MINUTE));
    let written = bench.commit();
    assert_eq!(bench.task.pending_timers(), 0);
    let state = of(&written, STATE);
    assert_eq!((state.len(), &state[0].value), (1, &None), "an empty ledger leaves a tombstone");
    bench.read_up_to(&["web", "crm"], 55 * MINUTE);
    assert!(decisions(&bench.commit()).is_empty());
}

#[test]
fn nobody_is_sent_the_same_twice() {
    let mut bench = Bench::new(&shared(&[THANKS], Publish::Step, true));
    bench.take(&event("o1", "Order Completed", 5));
    assert_eq!(decisions(&bench.commit()), [("matched".to_owned(), 5)]);
    // The same order under another event id, as a backfill would send it.
    bench.take(&CustomerEvent { event_id: "again", ..event("o1", "Order Completed", 5) });
    let written = bench.commit();
    assert_eq!(decisions(&written), [("already_sent".to_owned(), 5)]);
    assert!(of(&written, TRIGGERS).is_empty());
}

#[test]
fn a_late_older_order_does_not_make_a_cart_two() {
    let mut bench = Bench::new(&shared(&[CART], Publish::Step, true));
    let mut take = |id, name, at: Millis, arrival: Millis| {
        bench.read_up_to(&["web", "crm"], arrival * MINUTE);
        bench.take(&event(id, name, at * MINUTE));
    };
    take("a1", "Product Added", 20, 20);
    take("o1", "Order Completed", 0, 25);
    take("a2", "Product Added", 26, 26);
    take("a3", "Product Added", 55, 55);
    bench.read_up_to(&["web", "crm"], 120 * MINUTE);
    let written = bench.commit();
    let expected = [("matched".to_owned(), 50 * MINUTE), ("already_sent".to_owned(), 85 * MINUTE)];
    assert_eq!(decisions(&written), expected);
    assert_eq!(of(&written, TRIGGERS).len(), 1);
}

#[test]
fn a_trigger_says_what_it_rests_on_and_until_when_it_holds() {
    let campaign = "
name: cart
trigger: {event: Product Added, after: 30m}
scope: cart
max_age: 2h
channel: email
consent: email_marketing
";
    let mut bench = Bench::new(&shared(&[campaign], Publish::Step, true));
    bench.read_up_to(&["web", "crm"], 0);
    let node = |value| KeySecret::PUBLISHED.node_key(Kind::Email, value).0;
    let email = |value| Identifier { r#type: IdentifierType::Email, value, key: node(value) };
    let add = |id: &'static str, product_id: &'static str, at: Millis, address: &'static str| {
        let mut add = event(id, "Product Added", at);
        add.identifiers.push(email(address));
        add.items[0].product_id = product_id;
        add
    };
    let status = ConsentStatus::Granted;
    let consents = vec![ConsentStatement { purpose: "email_marketing", status, at: 3 }];
    bench.take(&CustomerEvent { consents, source: "crm", ..add("e1", "a", 0, "new@x") });
    bench.take(&add("e2", "c", 2, "z@x"));
    bench.take(&add("e3", "b", 2, "a@x"));
    bench.take(&add("e4", "d", 1, "m@x"));
    bench.settle();
    bench.read_up_to(&["web", "crm"], 40 * MINUTE);
    let written = bench.commit();
    let value = of(&written, TRIGGERS)[0].value.clone().unwrap();
    let trigger = CampaignTrigger::decode(wire::split(&value).unwrap().1).unwrap();
    assert_eq!((trigger.source, trigger.event_id), ("crm", "e1"));
    let (address, consent) = (trigger.address.unwrap(), trigger.consent.unwrap());
    assert_eq!(
        (address.r#type, address.value),
        (IdentifierType::Email, "a@x"),
        "the newest, then the smallest"
    );
    assert_eq!((consent.purpose, consent.at, consent.source), ("email_marketing", 3, "crm"));
    assert_eq!((trigger.not_before, trigger.expires_at), (30 * MINUTE, 150 * MINUTE));
    let items: Vec<_> = trigger.items.iter().map(|item| item.product_id).collect();
    assert_eq!(items, ["b", "c", "d", "a"], "the newest first");
    let value = of(&written, DECISIONS)[0].value.clone().unwrap();
    assert_eq!(CampaignDecision::decode(wire::split(&value).unwrap().1).unwrap().source, "crm");
}

#[test]
fn symbols_of_newer_versions_mean_nothing() {
    let mut newer = event("e1", "Product Added", 0);
    newer.r#type = EventType::Other;
    newer.identifiers.push(Identifier { r#type: IdentifierType::Other, value: "x", key: [0; 16] });
    let event = super::event(newer);
    assert_eq!((event.label(), event.identifiers.len()), ("track", 1));
}

#[test]
fn a_timer_of_a_campaign_that_is_gone_is_dropped_and_named() {
    let mut bench = Bench::new(&shared(&[CART], Publish::Step, true));
    bench.read_up_to(&["web", "crm"], 0);
    bench.take(&event("e1", "Product Added", 0));
    let written = bench.commit();
    let mut after = restored(&shared(&[], Publish::Step, true), &written);
    after.read_up_to(&["web", "crm"], 60 * MINUTE);
    assert_eq!(after.step.effects, [ProfileEffect::Orphaned { campaign: "cart".into() }]);
    assert_eq!(after.task.pending_timers(), 0);
}

/// A new task that took back what another one wrote.
fn restored(shared: &Arc<Shared>, written: &[Written]) -> Bench {
    let mut bench = Bench::new(shared);
    let changelogs = bench.task.changelogs();
    for changelog in changelogs {
        for (offset, record) in written.iter().filter(|record| record.topic == changelog.topic).enumerate() {
            let record = Record {
                topic: record.topic,
                partition: 0,
                offset: Offset(offset as u64),
                append_time: 0,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &Headers::default(),
            };
            bench.task.restore(&record).unwrap();
        }
    }
    bench
}

/// Customers, nodes, and the number of timers.
type State = (Vec<(NodeKey, Customer)>, Vec<(NodeKey, StoredNode)>, usize);

fn state(task: &ProfileTask) -> State {
    let customers = task.customers().sorted().unwrap();
    let nodes = task.nodes().sorted().unwrap();
    (customers, nodes, task.pending_timers())
}

#[test]
fn a_record_that_is_not_ours_stops_the_partition() {
    let mut task = ProfileTask::new(0, shared(&[], Publish::Step, true));
    let headers = Headers::default();
    let mut refusal = |key: &[u8], value: Option<&[u8]>| {
        let (topic, offset) = (TopicId(0), Offset(0));
        let record =
            Record { topic, partition: 0, offset, append_time: 0, key: Some(key), value, headers: &headers };
        task.process(&record, &mut Step::new()).unwrap_err().to_string()
    };
    assert_eq!(refusal(&key("u").0, None), "customer event: it has no value");
    assert!(refusal(&key("u").0, Some(b"{}")).starts_with("customer event: "));
    let mut value = Vec::new();
    wire::write_header(&mut value, SchemaIds::builtin().customer_event);
    event("e1", "x", 0).encode(&mut value);
    assert_eq!(refusal(b"short", Some(&value)), "customer event: the key is no node key");
}

/// Names that are short and few, so that events meet.
const WORDS: [&str; 4] = ["Product Viewed", "Product Added", "Order Completed", "Survey Completed"];

fn any_event() -> impl Strategy<Value = CustomerEvent<'static>> {
    (0..4usize, 0i64..100, 0..20usize, 0..4usize, any::<bool>()).prop_map(
        |(name, minutes, id, which, flag)| {
            const IDS: [&str; 20] = [
                "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f", "g", "h",
                "i", "j",
            ];
            let mut event = event(IDS[id], WORDS[name], minutes * MINUTE);
            event.traits = vec![TraitChange { name: WORDS[which], value: flag.then_some(WORDS[name]) }];
            let status = ConsentStatus::ALL[which % 3];
            event.consents = vec![ConsentStatement { purpose: "email_marketing", status, at: minutes }];
            event.survey = flag.then_some(SurveyResponse { survey: "s", question: "nps", score: 9 });
            if which == 0 {
                event.currency = None;
                event.order = event.order.map(|order| OrderTotal { total: None, ..order });
            }
            event
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn state_is_what_its_changelog_says(events in prop::collection::vec(any_event(), 1..40), every in 1usize..8) {
        let shared = shared(&[CART, THANKS], Publish::Step, true);
        let (mut bench, mut written) = (Bench::new(&shared), Vec::new());
        for (at, event) in events.iter().enumerate() {
            bench.read_up_to(&["web", "crm"], i64::try_from(at).unwrap() * 7 * MINUTE);
            bench.take(event);
            if at % every == 0 {
                written.extend(bench.commit());
            }
        }
        written.extend(bench.commit());
        let mut again = restored(&shared, &written);
        prop_assert_eq!(state(&bench.task), state(&again.task));
        // What was seen stays seen.
        again.take(&events[0]);
        let dropped = matches!(again.step.effects[..], [ProfileEffect::Duplicate { .. }]);
        prop_assert!(dropped);
    }

    #[test]
    fn an_aborted_step_leaves_no_trace(
        before in prop::collection::vec(any_event(), 0..20),
        during in prop::collection::vec(any_event(), 1..20),
    ) {
        let shared = shared(&[CART, THANKS], Publish::Step, true);
        let mut bench = Bench::new(&shared);
        bench.read_up_to(&["web", "crm"], 0);
        before.iter().for_each(|event| bench.take(event));
        bench.commit();
        let (committed, now) = (state(&bench.task), bench.step.now);
        let step = |bench: &mut Bench| {
            bench.read_up_to(&["web", "crm"], 45 * MINUTE);
            during.iter().for_each(|event| bench.take(event));
            bench.flush()
        };
        let first = step(&mut bench);
        bench.task.aborted().unwrap();
        bench.step.clear();
        bench.step.now = now;
        prop_assert_eq!(state(&bench.task), committed);
        prop_assert_eq!(step(&mut bench), first);
    }

    #[test]
    fn stored_forms_read_back(events in prop::collection::vec(any_event(), 1..60)) {
        let mut bench = Bench::new(&shared(&[CART], Publish::Step, true));
        events.iter().for_each(|event| bench.take(event));
        for (_, customer) in bench.task.customers().sorted().unwrap() {
            let mut form = Vec::new();
            customer.encode(NEWEST_FORMAT, &mut form);
            prop_assert_eq!(&Customer::decode(&form).unwrap(), &customer);
            let mut same = Vec::new();
            catchment_contracts::CustomerProfile::decode(&form).unwrap().encode(&mut same);
            prop_assert_eq!(same, form);
        }
        for (_, node) in bench.task.nodes().sorted().unwrap() {
            let mut form = Vec::new();
            node.encode(NEWEST_FORMAT, &mut form);
            prop_assert_eq!(&StoredNode::decode(&form).unwrap(), &node);
        }
    }
}
