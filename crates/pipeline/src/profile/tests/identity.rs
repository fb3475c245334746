//! Who is who, through the task: several partitions, and what they say to each other in any order.

use super::*;
use catchment_contracts::{CustomerMerge, CustomerProfile, MergeKind};
use catchment_domain::NodeRef;
use catchment_domain::model::Model;
use catchment_runtime::TopicPartition;
use catchment_runtime::partition::for_key;
use std::collections::{BTreeMap, VecDeque};

const EVENTS: TopicId = TopicId(0);

/// Key, value and headers.
type Unread = (Option<Vec<u8>>, Option<Vec<u8>>, Headers);

/// Tasks of all partitions, and a log of what they read, in memory. Each partition is read in its order; which is next is
/// chosen from outside.
struct World {
    tasks: Vec<ProfileTask>,
    step: Step<ProfileEffect>,
    inputs: BTreeMap<(u32, TopicId), VecDeque<Unread>>,
    compacted: BTreeMap<(TopicId, Vec<u8>), Vec<u8>>,
    written: Vec<Written>,
}

fn shared_over(partitions: u32, campaigns: &[&str], by_arrival: bool) -> Arc<Shared> {
    let mut shared = Arc::into_inner(shared(campaigns, Publish::Step, true)).unwrap();
    shared.settings.partitions = partitions;
    shared.settings.reads_by_arrival = by_arrival;
    Arc::new(shared)
}

fn identifier(text: &str) -> Identifier<'_> {
    let (r#type, kind) = match &text[..1] {
        "u" => (IdentifierType::UserId, Kind::UserId),
        "c" => (IdentifierType::CrmId, Kind::CrmId),
        "e" => (IdentifierType::Email, Kind::Email),
        "p" => (IdentifierType::Phone, Kind::Phone),
        _ => (IdentifierType::AnonymousId, Kind::AnonymousId),
    };
    Identifier { r#type, value: text, key: KeySecret::PUBLISHED.node_key(kind, text).0 }
}

fn of_whom<'a>(id: &'a str, name: &'a str, at: Millis, who: &[&'a str]) -> CustomerEvent<'a> {
    let mut identifiers: Vec<Identifier<'_>> = who.iter().map(|text| identifier(text)).collect();
    identifiers.sort_by_key(|identifier| (identifier.r#type, identifier.key));
    CustomerEvent { identifiers, ..event(id, name, at) }
}

impl World {
    fn new(shared: &Arc<Shared>) -> World {
        let partitions = 0..shared.settings.partitions;
        World {
            tasks: partitions.map(|partition| ProfileTask::new(partition, Arc::clone(shared))).collect(),
            step: Step::new(),
            inputs: BTreeMap::new(),
            compacted: BTreeMap::new(),
            written: Vec::new(),
        }
    }

    fn partitions(&self) -> u32 {
        u32::try_from(self.tasks.len()).unwrap()
    }

    fn arrive(&mut self, event: &CustomerEvent<'_>) {
        let key = event.identifiers[0].key;
        let mut value = Vec::new();
        wire::write_header(&mut value, SchemaIds::builtin().customer_event);
        event.encode(&mut value);
        let partition = for_key(&key, self.partitions());
        self.inputs.entry((partition, EVENTS)).or_default().push_back((
            Some(key.to_vec()),
            Some(value),
            Headers::default(),
        ));
    }

    /// All sources are read up to `at`, as every partition is told.
    fn read_up_to(&mut self, at: Millis) {
        let read = ["web", "crm"].map(|source| ReadUpTo { source, partition: 0, arrival: at });
        let mut datum = Vec::new();
        watermark::write(&Watermark { read: read.to_vec() }, &mut datum);
        for partition in 0..self.partitions() {
            let mut headers = Headers::default();
            headers.push(headers::WATERMARK, datum.clone());
            self.inputs.entry((partition, EVENTS)).or_default().push_back((None, None, headers));
        }
    }

    /// Reads one record of the partition that `choose` says, of those that have one. False if none has.
    fn turn(&mut self, choose: &mut dyn FnMut(usize) -> usize) -> bool {
        let full: Vec<(u32, TopicId)> =
            self.inputs.iter().filter(|(_, queue)| !queue.is_empty()).map(|(at, _)| *at).collect();
        if full.is_empty() {
            return false;
        }
        let (partition, topic) = full[choose(full.len())];
        let Some((key, value, headers)) = self.inputs.get_mut(&(partition, topic)).unwrap().pop_front()
        else {
            return false;
        };
        let task = &mut self.tasks[partition as usize];
        let record = Record {
            topic,
            partition,
            offset: Offset(0),
            append_time: 0,
            key: key.as_deref(),
            value: value.as_deref(),
            headers: &headers,
        };
        self.step.now = 0;
        task.process(&record, &mut self.step).unwrap();
        task.flush(&mut self.step);
        task.committed();
        let outbox = &self.step.outbox;
        for record in outbox.records() {
            let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            let (key, value) = (own(outbox.key(record)), own(outbox.value(record)));
            if record.topic == INBOX {
                let at = (record.partition, INBOX);
                self.inputs.entry(at).or_default().push_back((key, value, record.headers.clone()));
                continue;
            }
            if record.topic == PROFILES || record.topic == STATE {
                let place = (record.topic, key.clone().unwrap());
                match value.clone() {
                    Some(value) => drop(self.compacted.insert(place, value)),
                    None => drop(self.compacted.remove(&place)),
                }
            }
            self.written.push(Written { topic: record.topic, key, value });
        }
        self.step.clear();
        true
    }

    fn rest(&mut self) {
        while self.turn(&mut |_| 0) {}
    }

    /// The identifiers of each customer, with the number of events.
    fn customers(&self) -> Vec<(Vec<String>, i64)> {
        let profiles = self.compacted.iter().filter(|((topic, _), _)| *topic == PROFILES);
        let mut customers: Vec<_> = profiles
            .map(|(_, value)| {
                let profile = CustomerProfile::decode(wire::split(value).unwrap().1).unwrap();
                let who = profile.identifiers.iter().map(|identifier| identifier.value.to_owned()).collect();
                (who, profile.events)
            })
            .collect();
        customers.sort();
        customers
    }

    /// All tasks anew, from what is left of them.
    fn restart(&mut self, shared: &Arc<Shared>) {
        for (partition, task) in (0..).zip(&mut self.tasks) {
            *task = ProfileTask::new(partition, Arc::clone(shared));
        }
        for ((topic, key), value) in &self.compacted {
            let mut node = [0; 16];
            node.copy_from_slice(key);
            let partition = for_key(&node, u32::try_from(self.tasks.len()).unwrap());
            let record = Record {
                topic: *topic,
                partition,
                offset: Offset(0),
                append_time: 0,
                key: Some(key),
                value: Some(value),
                headers: &Headers::default(),
            };
            self.tasks[partition as usize].restore(&record).unwrap();
        }
    }

    fn merges(&self) -> Vec<MergeKind> {
        let merges = self.written.iter().filter(|record| record.topic == MERGES);
        let kind = |record: &Written| {
            let value = record.value.clone().unwrap();
            CustomerMerge::decode(wire::split(&value).unwrap().1).unwrap().kind
        };
        merges.map(kind).collect()
    }

    fn decisions(&self) -> Vec<String> {
        decisions(&self.written).into_iter().map(|(reason, _)| reason).collect()
    }
}

fn who(customer: &[&str], events: i64) -> (Vec<String>, i64) {
    (customer.iter().map(|text| (*text).to_owned()).collect(), events)
}

#[test]
fn what_an_anonymous_visitor_did_counts_for_the_customer() {
    for partitions in [1, 3, 8] {
        let mut world = World::new(&shared_over(partitions, &[], true));
        world.arrive(&of_whom("1", "Product Viewed", 1, &["a1"]));
        world.arrive(&of_whom("2", "Product Viewed", 2, &["a1"]));
        world.arrive(&of_whom("3", "Product Viewed", 3, &["u1"]));
        world.rest();
        assert_eq!(world.customers(), [who(&["a1"], 2), who(&["u1"], 1)]);
        world.arrive(&of_whom("4", "Product Viewed", 4, &["u1", "a1"]));
        world.rest();
        assert_eq!(world.customers(), [who(&["u1", "a1"], 4)]);
        assert_eq!(world.merges(), [MergeKind::Merged]);
        // From now on, the device is hers.
        world.arrive(&of_whom("5", "Product Viewed", 5, &["a1"]));
        world.rest();
        assert_eq!(world.customers(), [who(&["u1", "a1"], 5)]);
        // The same event again is known where it arrives.
        world.arrive(&of_whom("5", "Product Viewed", 5, &["a1"]));
        world.rest();
        assert_eq!(world.customers(), [who(&["u1", "a1"], 5)]);
    }
}

const BUYER: &str = "
format: 1
name: buyer
version: '1'
kind: linear
description: More with each order.
currency: USD
output: {kind: probability, link: logistic}
intercept: 0
features:
  - {name: orders_log, coefficient: 1, mean: 0, scale: 1, missing: {value: 0}}
golden:
  - {inputs: {orders_log: 0.693147}, score: 0.6666666265422332}
";

/// Two orders are needed, and who ordered twice as two ordered twice as one.
#[test]
fn a_score_that_two_reach_as_one_starts_what_waits_for_it_once() {
    const LOYAL: &str = "
name: loyal
trigger: {score: {model: buyer, at_least: 0.7}}
scope: customer
channel: onsite
";
    let mut shared = Arc::into_inner(shared_over(3, &[], true)).unwrap();
    shared.models = vec![Model::new(serde_saphyr::from_str(BUYER).unwrap()).unwrap()];
    shared.campaigns = vec![Campaign::new(serde_saphyr::from_str(LOYAL).unwrap(), &["buyer"]).unwrap()];
    let shared = Arc::new(shared);
    let ordered = |id, at, who: &[&'static str]| of_whom(id, "Order Completed", at, who);
    // The orders of the device, and what is decided before and after it is known whose it is.
    for (of_device, decided) in [(1, [0, 1]), (2, [1, 1])] {
        let mut world = World::new(&shared);
        for (id, at) in [("1", 1), ("2", 2)].into_iter().take(of_device) {
            world.arrive(&ordered(id, at, &["a1"]));
        }
        world.arrive(&ordered("3", 3, &["u1"]));
        world.rest();
        let before = world.decisions().len();
        world.arrive(&of_whom("4", "Product Viewed", 4, &["u1", "a1"]));
        world.arrive(&of_whom("5", "Product Viewed", 5, &["u1"]));
        world.rest();
        assert_eq!([before, world.decisions().len()], decided, "{of_device} orders of the device");
    }
}

#[test]
fn a_device_that_two_use_belongs_to_neither() {
    let mut world = World::new(&shared_over(3, &[], true));
    world.arrive(&of_whom("1", "Product Viewed", 1, &["u1", "a1"]));
    world.rest();
    world.arrive(&of_whom("2", "Product Viewed", 2, &["u2", "a1"]));
    world.rest();
    assert_eq!(world.customers(), [who(&["u1"], 1), who(&["u2"], 1)], "both know that it is shared");
    assert_eq!(world.merges(), [MergeKind::Refused]);
    // What is done on it counts for who was seen with it last.
    world.arrive(&of_whom("3", "Product Viewed", 3, &["a1"]));
    world.rest();
    assert_eq!(world.customers(), [who(&["u1"], 1), who(&["u2"], 2)]);
}

#[test]
fn a_restart_changes_nothing() {
    let shared = shared_over(3, &[CART], true);
    let mut world = World::new(&shared);
    world.read_up_to(0);
    world.arrive(&of_whom("1", "Product Added", 1, &["a1"]));
    world.arrive(&of_whom("2", "Product Viewed", 2, &["u1", "a1", "e1"]));
    world.arrive(&of_whom("3", "Product Viewed", 3, &["u2", "a1"]));
    for _ in 0..40 {
        world.restart(&shared);
        world.turn(&mut |_| 0);
    }
    world.rest();
    assert_eq!(world.customers().len(), 2);
    // Time has to be told again.
    world.read_up_to(60 * MINUTE);
    world.rest();
    assert_eq!(world.decisions(), ["matched"], "the timer of the visitor went along");
}

#[test]
fn nothing_is_sent_twice_because_two_became_one() {
    for by_arrival in [true, false] {
        let mut world = World::new(&shared_over(3, &[CART], by_arrival));
        world.read_up_to(0);
        world.arrive(&of_whom("1", "Product Added", MINUTE, &["a1"]));
        world.arrive(&of_whom("2", "Product Added", 2 * MINUTE, &["u1"]));
        world.rest();
        world.arrive(&of_whom("3", "Product Viewed", 3 * MINUTE, &["u1", "a1"]));
        world.rest();
        world.read_up_to(90 * MINUTE);
        world.rest();
        assert_eq!(world.decisions(), ["matched"], "by arrival: {by_arrival}");
    }
}

#[test]
fn an_order_of_the_one_ends_the_wait_of_the_other() {
    let mut world = World::new(&shared_over(3, &[CART], true));
    world.read_up_to(0);
    world.arrive(&of_whom("1", "Product Added", MINUTE, &["a1"]));
    world.arrive(&of_whom("2", "Order Completed", 5 * MINUTE, &["u1"]));
    world.rest();
    world.arrive(&of_whom("3", "Product Viewed", 6 * MINUTE, &["u1", "a1"]));
    world.rest();
    world.read_up_to(90 * MINUTE);
    world.rest();
    assert_eq!(world.decisions(), Vec::<String>::new());
}

#[test]
fn a_timer_waits_for_what_other_partitions_have_not_sent_on_yet() {
    let mut world = World::new(&shared_over(8, &[CART], false));
    world.arrive(&of_whom("1", "Product Viewed", 0, &["u1", "a1"]));
    world.rest();
    world.arrive(&of_whom("2", "Product Added", MINUTE, &["u1"]));
    world.rest();
    // The order lies unread in the partition of the device, behind which the time has come everywhere else.
    let [user, device] = ["u1", "a1"].map(|text| for_key(&identifier(text).key, 8));
    assert_ne!(user, device);
    world.arrive(&of_whom("3", "Order Completed", 20 * MINUTE, &["a1"]));
    world.read_up_to(90 * MINUTE);
    let slow = world.inputs.remove(&(device, EVENTS)).unwrap();
    world.rest();
    assert_eq!(world.decisions(), Vec::<String>::new());
    world.inputs.insert((device, EVENTS), slow);
    world.rest();
    assert_eq!(world.decisions(), Vec::<String>::new(), "the order came first");
    assert_eq!(world.tasks.iter().map(ProfileTask::pending_timers).sum::<usize>(), 0);
}

/// Events over few identifiers, so that customers meet.
fn events() -> impl Strategy<Value = Vec<(Vec<&'static str>, u8)>> {
    let names = vec!["u1", "u2", "c1", "e1", "e2", "p1", "a1", "a2", "a3"];
    let who = prop::sample::subsequence(names, 1..4);
    prop::collection::vec((who, 0..3_u8), 1..14)
}

/// The connected components of what is seen together, with the number of events.
fn components(events: &[(Vec<&'static str>, u8)]) -> Vec<(Vec<String>, i64)> {
    let mut groups: Vec<(Vec<&str>, i64)> = Vec::new();
    for (who, _) in events {
        let (meet, apart): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(group, _)| group.iter().any(|one| who.contains(one)));
        let mut joined = (who.clone(), 1);
        for (group, count) in meet {
            joined.0.extend(group);
            joined.1 += count;
        }
        groups = apart;
        groups.push(joined);
    }
    let order = |text: &&str| (identifier(text).r#type, (*text).to_owned());
    let mut groups: Vec<_> = groups
        .into_iter()
        .map(|(mut who, count)| {
            who.sort_by_key(order);
            who.dedup();
            (who.into_iter().map(str::to_owned).collect(), count)
        })
        .collect();
    groups.sort();
    groups
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn without_limits_customers_are_the_components_and_profiles_their_folds(
        events in events(),
        partitions in 1..5_u32,
        choices in prop::collection::vec(any::<prop::sample::Index>(), 400),
        restarts in prop::collection::vec(0..60_usize, 0..3),
    ) {
        let mut settings = Arc::into_inner(shared_over(partitions, &[], true)).unwrap();
        settings.settings.identity.limits.of_type = [9; 5];
        let settings = Arc::new(settings);
        let mut world = World::new(&settings);
        let ids: Vec<String> = (0..events.len()).map(|id| format!("m{id}")).collect();
        let all: Vec<CustomerEvent<'_>> = events
            .iter()
            .zip(&ids)
            .map(|((who, kind), id)| {
                let at = Millis::try_from(id.len()).unwrap() + Millis::from(*kind);
                of_whom(id, ["Product Viewed", "Product Added", "Order Completed"][usize::from(*kind)], at, who)
            })
            .collect();
        all.iter().for_each(|event| world.arrive(event));
        let mut choices = choices.into_iter();
        let mut turns = 0;
        let mut choose = |count: usize| choices.next().map_or(0, |index| index.index(count));
        while world.turn(&mut choose) {
            turns += 1;
            if restarts.contains(&turns) {
                world.restart(&settings);
            }
        }
        prop_assert_eq!(world.customers(), components(&events));
        // The profile of each is that of one task which sees its events alone, under one identifier.
        for value in world.compacted.iter().filter(|((topic, _), _)| *topic == PROFILES).map(|(_, value)| value) {
            let (_, profile) = Customer::decode(wire::split(value).unwrap().1).map(|c| (c.key, c.profile)).unwrap();
            let mut alone = catchment_domain::Profile::default();
            for event in &all {
                if profile.identifiers.iter().any(|known| known.value == event.identifiers[0].value) {
                    alone.apply(&super::super::event(event.clone()));
                }
            }
            alone.identifiers.clone_from(&profile.identifiers);
            prop_assert_eq!(profile, alone);
        }
        // What is left is what would be restored.
        let nodes: Vec<_> = world.tasks.iter().map(super::state).collect();
        world.restart(&settings);
        prop_assert_eq!(world.tasks.iter().map(super::state).collect::<Vec<_>>(), nodes);
    }
}

#[test]
fn an_order_to_forget_goes_to_the_customer_and_nothing_of_before_comes_back() {
    let mut world = World::new(&shared_over(3, &[], true));
    world.arrive(&of_whom("1", "Product Viewed", 10, &["u1", "a1"]));
    world.rest();
    let device = identifier("a1").key;
    let own = NodeRef { kind: Kind::AnonymousId, key: NodeKey(device) };
    let at = TopicPartition { topic: INBOX, partition: for_key(&device, 3) };
    let mut letter = Vec::new();
    let envelope = message::Envelope { to: own.kind, at: 0, event: &[] };
    message::write(
        &catchment_domain::identity::Message::Forget { at: 20 },
        &envelope,
        NEWEST_FORMAT,
        &mut letter,
    );
    world.inputs.entry((at.partition, INBOX)).or_default().push_back((
        Some(device.to_vec()),
        Some(letter),
        Headers::default(),
    ));
    world.rest();
    assert_eq!(world.customers(), []);
    world.arrive(&of_whom("late", "Product Viewed", 15, &["a1"]));
    world.rest();
    assert_eq!(world.customers(), [], "it occurred before");
    world.arrive(&of_whom("new", "Product Viewed", 25, &["a1"]));
    world.rest();
    assert_eq!(world.customers(), [who(&["a1"], 1)]);
    let text: Vec<u8> = world.compacted.values().flatten().copied().collect();
    assert!(!text.windows(2).any(|part| part == b"u1"), "the value of the user is gone");
}

#[test]
fn who_waits_for_an_answer_is_known_until_it_comes() {
    let mut shared = Arc::into_inner(shared_over(4, &[], false)).unwrap();
    shared.settings.event_clock = false;
    let mut world = World::new(&Arc::new(shared));
    world.arrive(&of_whom("e1", "seen", 1, &["a-1"]));
    world.arrive(&of_whom("e2", "seen", 2, &["u-1", "a-1"]));
    let asking = |world: &World| world.tasks.iter().filter_map(ProfileTask::asking_since).count();
    let mut most = 0;
    while world.turn(&mut |_| 0) {
        most = most.max(asking(&world));
    }
    assert_eq!((most, asking(&world)), (1, 0));
}

/// Found by the simulation: an event came to a device that had asked its user, and the answer right behind it, in one step.
#[test]
fn a_customer_who_comes_and_goes_within_a_step_leaves_no_record() {
    let shared = shared(&[], Publish::Event, true);
    let (mut bench, mut all) = (Bench::new(&shared), Vec::new());
    let take = |bench: &mut Bench, topic: TopicId, key: &[u8], value: &[u8]| {
        let headers = Headers::default();
        let (key, value) = (Some(key), Some(value));
        let record =
            Record { topic, partition: 0, offset: Offset(0), append_time: 0, key, value, headers: &headers };
        bench.task.process(&record, &mut bench.step).unwrap();
    };
    let encoded = |event: CustomerEvent<'_>| {
        let mut value = Vec::new();
        wire::write_header(&mut value, SchemaIds::builtin().customer_event);
        event.encode(&mut value);
        (event.identifiers[0].key, value)
    };
    let (user, both) = encoded(of_whom("e1", "seen", 1, &["u-1", "a-1"]));
    take(&mut bench, EVENTS, &user, &both);
    // Link, Ask: the next letter is the answer.
    for _ in 0..2 {
        let written = bench.commit();
        let letters: Vec<Written> = of(&written, INBOX).into_iter().cloned().collect();
        all.extend(written);
        for Written { key, value, .. } in letters {
            take(&mut bench, INBOX, &key.unwrap(), &value.unwrap());
        }
    }
    let written = bench.commit();
    let answer: Vec<Written> = of(&written, INBOX).into_iter().cloned().collect();
    all.extend(written);
    let (device, alone) = encoded(of_whom("e2", "seen", 2, &["a-1"]));
    take(&mut bench, EVENTS, &device, &alone);
    for Written { key, value, .. } in answer {
        take(&mut bench, INBOX, &key.unwrap(), &value.unwrap());
    }
    all.extend(bench.settle());
    let records: Vec<_> =
        of(&all, PROFILES).into_iter().filter(|record| record.key.as_deref() == Some(&device[..])).collect();
    assert!(records.iter().any(|record| record.value.is_some()), "it was a customer of its own for a moment");
    assert!(records.last().unwrap().value.is_none(), "{records:?}");
}
