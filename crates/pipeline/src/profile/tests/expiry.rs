//! What is known of a customer goes when its time is over, and not before.

use super::*;
use crate::profile::Expiry;

const DAY: Millis = 86_400_000;

fn keeping(anonymous: Option<Millis>, known: Option<Millis>) -> Arc<Shared> {
    let mut shared = shared(&[], Publish::Step, true);
    let settings = &mut Arc::get_mut(&mut shared).unwrap().settings;
    settings.expiry = Expiry { anonymous, known };
    shared
}

fn named(kind: Kind, value: &'static str) -> Identifier<'static> {
    let r#type = if kind == Kind::UserId { IdentifierType::UserId } else { IdentifierType::AnonymousId };
    Identifier { r#type, value, key: KeySecret::PUBLISHED.node_key(kind, value).0 }
}

struct World(Bench);

impl World {
    fn seen(&mut self, id: &'static str, who: &[Identifier<'static>], at: Millis) {
        let mut value = Vec::new();
        wire::write_header(&mut value, SchemaIds::builtin().customer_event);
        CustomerEvent { identifiers: who.to_vec(), ..event(id, "Product Viewed", at) }.encode(&mut value);
        let offset = Offset(self.0.offset);
        self.0.offset += 1;
        let (key, headers) = (who[0].key, Headers::default());
        let record = Record {
            topic: TopicId(0),
            partition: 0,
            offset,
            append_time: self.0.append_time,
            key: Some(&key),
            value: Some(&value),
            headers: &headers,
        };
        self.0.task.process(&record, &mut self.0.step).unwrap();
        self.0.settle();
    }

    /// Time passes; gives the keys of the profiles that are gone.
    fn at(&mut self, at: Millis) -> Vec<Vec<u8>> {
        self.0.read_up_to(&["web", "crm"], at);
        let written = self.0.settle();
        let gone = of(&written, PROFILES).into_iter().filter(|record| record.value.is_none());
        gone.map(|record| record.key.clone().unwrap()).collect()
    }

    fn known(&self) -> usize {
        self.0.task.customers().len()
    }
}

#[test]
fn a_device_is_forgotten_after_its_time_and_its_next_event_begins_anew() {
    let device = named(Kind::AnonymousId, "d");
    let mut world = World(Bench::new(&keeping(Some(90 * DAY), None)));
    world.seen("e1", &[device], 0);
    world.seen("e2", &[device], 10 * DAY);
    assert_eq!(world.at(91 * DAY), Vec::<Vec<u8>>::new(), "it was seen again since it was first");
    assert_eq!(world.at(100 * DAY - 1), Vec::<Vec<u8>>::new());
    assert_eq!(world.at(100 * DAY), [device.key.to_vec()]);
    assert_eq!((world.known(), world.0.task.nodes().len()), (0, 0), "nothing is left of it");
    assert!(world.0.task.watched() == 0);
    world.seen("e3", &[device], 100 * DAY);
    let profile = world.0.task.customers().copied(&NodeKey(device.key)).unwrap().unwrap().profile;
    assert_eq!((profile.events, profile.first_seen), (1, 100 * DAY));
    assert_eq!(world.at(190 * DAY), [device.key.to_vec()]);
}

#[test]
fn who_is_known_is_kept_as_long_as_the_policy_says_with_all_her_devices() {
    let (device, user) = (named(Kind::AnonymousId, "d"), named(Kind::UserId, "u"));
    for (known, gone) in [(None, vec![]), (Some(365 * DAY), vec![user.key.to_vec()])] {
        let mut world = World(Bench::new(&keeping(Some(90 * DAY), known)));
        world.seen("e1", &[device], 0);
        world.seen("e2", &[user, device], DAY);
        assert_eq!(world.known(), 1);
        assert_eq!(world.at(200 * DAY), Vec::<Vec<u8>>::new());
        assert_eq!(world.at(366 * DAY), gone);
        // Who is one with whom is kept: pointers lead here.
        assert!(world.0.task.nodes().len() >= 2);
        world.seen("e3", &[device], 400 * DAY);
        let profile = world.0.task.customers().copied(&NodeKey(user.key)).unwrap().unwrap().profile;
        assert_eq!(profile.events, if gone.is_empty() { 3 } else { 1 });
    }
}

#[test]
fn a_step_that_is_undone_or_a_restore_changes_nothing_about_it() {
    let device = named(Kind::AnonymousId, "d");
    let mut world = World(Bench::new(&keeping(Some(90 * DAY), None)));
    world.seen("e1", &[device], 0);
    world.seen("e2", &[device], 10 * DAY);
    let profile = {
        let customer = world.0.task.customers().copied(&NodeKey(device.key)).unwrap().unwrap();
        let mut value = Vec::new();
        wire::write_header(&mut value, SchemaIds::builtin().customer_profile);
        customer.encode(crate::profile::NEWEST_FORMAT, &mut value);
        value
    };
    world.0.read_up_to(&["web", "crm"], 100 * DAY);
    world.0.flush();
    world.0.task.aborted().unwrap();
    world.0.step.clear();
    assert_eq!(world.known(), 1);
    assert_eq!(world.at(100 * DAY), [device.key.to_vec()]);

    let mut restored = World(Bench::new(&keeping(Some(90 * DAY), None)));
    let headers = Headers::default();
    let mut record = Record {
        topic: PROFILES,
        partition: 0,
        offset: Offset(0),
        append_time: 0,
        key: Some(&device.key),
        value: Some(&profile),
        headers: &headers,
    };
    restored.0.task.restore(&record).unwrap();
    restored.0.task.restore(&record).unwrap();
    restored.0.task.committed();
    assert_eq!(restored.0.task.watched(), 1);
    assert_eq!(restored.at(100 * DAY - 1), Vec::<Vec<u8>>::new());
    assert_eq!(restored.at(100 * DAY), [device.key.to_vec()]);
    record.value = None;
    restored.0.task.restore(&record).unwrap();
    assert_eq!((restored.known(), restored.0.task.watched()), (0, 0));
}

#[test]
fn nobody_is_forgotten_where_nothing_expires() {
    let mut world = World(Bench::new(&keeping(None, None)));
    world.seen("e1", &[named(Kind::AnonymousId, "d")], 0);
    assert!(world.0.task.watched() == 0);
    assert_eq!(world.at(9_999 * DAY), Vec::<Vec<u8>>::new());
}

#[test]
fn many_go_a_thousand_for_each_watermark() {
    let mut world = World(Bench::new(&keeping(Some(DAY), None)));
    for number in 0..1_200 {
        let value: &'static str = Box::leak(format!("d{number}").into_boxed_str());
        world.seen(value, &[named(Kind::AnonymousId, value)], number);
    }
    assert_eq!(world.at(10 * DAY).len(), 1_000);
    assert_eq!(world.at(10 * DAY + 1).len(), 200);
    assert_eq!(world.known(), 0);
}
