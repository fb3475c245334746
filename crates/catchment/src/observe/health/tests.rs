use super::report::is_ready;
use super::*;
use crate::observe::metrics::tests::{page_of, value_of};
use serde_json::{Value, json};

const INTERVAL: Duration = Duration::from_secs(10);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn body(answer: &Answer) -> Value {
    assert_eq!(answer.content_type, "application/json");
    serde_json::from_str(&answer.body).unwrap()
}

fn held(partition: u32, reason: &'static str, missing: u64) -> HeldPartition {
    HeldPartition {
        at: ("events".to_owned(), partition),
        reason,
        why: format!("events/{partition} stands"),
        missing,
    }
}

#[test]
fn a_lane_is_ready_while_it_runs_and_kafka_answers() {
    let starting = State::Starting { waiting_for: None };
    let restoring = State::Restoring { done: 5, of: 5 };
    let stopped = State::Stopped { reason: "told to".to_owned() };
    for (state, silent, expected) in [
        (&State::Running, Some(0), true),
        (&State::Running, Some(30), true),
        (&State::Running, Some(31), false),
        (&State::Running, None, false),
        (&starting, Some(0), false),
        (&State::Joining, Some(0), false),
        (&restoring, Some(0), false),
        (&stopped, Some(0), false),
    ] {
        assert_eq!(is_ready(state, silent.map(seconds), SILENCE), expected, "{state:?} {silent:?}");
    }
}

#[test]
fn a_loop_that_does_not_turn_is_named() {
    let health = Health::new(INTERVAL);
    let (first, second) = (health.lane("ingest", 0), health.lane("profile", 3));
    let start = health.shared.start;
    assert_eq!(health.alive_at(start + seconds(59)).status, 200);
    let answer = health.alive_at(start + seconds(62));
    assert_eq!(answer.status, 503);
    let body = body(&answer);
    assert_eq!(body["alive"], json!(false));
    assert_eq!((&body["lanes"][1]["role"], &body["lanes"][1]["lane"]), (&json!("profile"), &json!(3)));
    assert!(body["lanes"][1]["turned_seconds_ago"].as_u64() >= Some(61), "{body}");
    // Who says that it will be away is waited for.
    first.away(seconds(300));
    second.away(seconds(300));
    assert_eq!(health.alive_at(start + seconds(355)).status, 200);
    assert_eq!(health.alive_at(start + seconds(365)).status, 503);
}

#[test]
fn an_outage_makes_the_process_unready_and_not_dead() {
    let health = Health::new(INTERVAL);
    let lane = health.lane("profile", 0);
    lane.set(State::Running);
    let start = health.shared.start;
    assert_eq!(health.ready_at(start + seconds(5)).status, 200);
    // Kafka says nothing any more; the loop turns.
    lane.away(seconds(3_600));
    assert_eq!(health.ready_at(start + seconds(40)).status, 503);
    assert_eq!(health.alive_at(start + seconds(40)).status, 200);
}

#[test]
fn statistics_that_come_rarely_are_waited_for() {
    let health = Health::new(seconds(60));
    health.lane("profile", 0).set(State::Running);
    assert_eq!(health.ready_at(health.shared.start + seconds(179)).status, 200);
    assert_eq!(health.ready_at(health.shared.start + seconds(182)).status, 503);
}

#[test]
fn a_process_without_lanes_is_alive_and_not_ready() {
    let health = Health::new(INTERVAL);
    let waiting = health.waiting_for(World::Kafka);
    let answer = health.ready();
    assert_eq!(answer.status, 503);
    assert_eq!(body(&answer), json!({"ready": false, "waiting_for": ["kafka"], "lanes": []}));
    drop(waiting);
    let answer = health.alive();
    assert_eq!((answer.status, body(&answer)), (200, json!({"alive": true, "waiting_for": [], "lanes": []})));
}

#[test]
fn a_lane_without_partitions_is_ready_and_one_that_holds_a_partition_too() {
    let health = Health::new(INTERVAL);
    let (idle, busy) = (health.lane("profile", 0), health.lane("profile", 1));
    idle.set(State::Running);
    busy.set(State::Running);
    busy.set_partitions(vec![("events".to_owned(), 1), ("events".to_owned(), 0)]);
    busy.set_held(vec![held(1, "input_gap", 9)]);
    let answer = health.ready();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = body(&answer);
    assert_eq!(body["lanes"][0]["partitions"], json!([]));
    assert_eq!(body["lanes"][1]["partitions"], json!(["events/0", "events/1"]));
    assert_eq!(
        body["lanes"][1]["held"],
        json!([{"topic": "events", "partition": 1, "reason": "input_gap", "why": "events/1 stands"}])
    );
}

#[test]
fn the_page_says_what_a_lane_is_doing_and_since_when() {
    let health = Health::new(INTERVAL);
    let lane = health.lane("profile", 0);
    lane.set(State::Restoring { done: 10, of: 30 });
    let first = body(&health.ready());
    assert_eq!(
        (&first["lanes"][0]["restored_records"], &first["lanes"][0]["remaining_records"]),
        (&json!(10), &json!(20))
    );
    assert_eq!(first["lanes"][0]["kafka_answered_seconds_ago"], Value::Null);
    lane.set(State::Restoring { done: 20, of: 30 });
    let second = body(&health.ready());
    assert_eq!(second["lanes"][0]["since"], first["lanes"][0]["since"], "progress is no other state");
    lane.set(State::Stopped { reason: "topic t is gone".to_owned() });
    assert_eq!(body(&health.ready())["lanes"][0]["reason"], json!("topic t is gone"));
}

#[test]
fn metrics_follow_the_lanes() {
    let page = page_of(|| {
        let health = Health::new(INTERVAL);
        let (first, second) = (health.lane("profile", 0), health.lane("profile", 1));
        first.set(State::Starting { waiting_for: Some(World::Registry) });
        second.set(State::Starting { waiting_for: Some(World::Kafka) });
        second.set(State::Restoring { done: 1, of: 4 });
        second.set(State::Running);
        second.set_partitions(vec![("events".to_owned(), 0), ("events".to_owned(), 1)]);
        second.set_held(vec![held(0, "input_gap", 7), held(1, "unreadable", 0)]);
        second.set_partitions(vec![("events".to_owned(), 1)]);
        let _ = health.ready();
    });
    let lanes = |state| value_of(&page, names::LANES, &[("role", "profile"), ("state", state)]);
    assert_eq!(State::WORDS.map(lanes), [1.0, 0.0, 0.0, 1.0, 0.0]);
    let waiting = |world| value_of(&page, names::WAITING, &[("for", world)]);
    assert_eq!((waiting("kafka"), waiting("registry"), waiting("topics")), (0.0, 1.0, 0.0));
    assert_eq!(value_of(&page, names::RESTORE_REMAINING, &[("lane", "1")]), 0.0);
    let held =
        |partition| value_of(&page, names::PARTITION_HELD, &[("topic", "events"), ("partition", partition)]);
    assert_eq!((held("0"), held("1")), (0.0, 1.0), "what another lane has now is not held here");
    assert_eq!(value_of(&page, names::INPUT_GAP, &[("partition", "0")]), 0.0);
    assert_eq!(value_of(&page, names::READY, &[]), 0.0);
}

#[test]
fn what_is_held_now_replaces_what_was_held_before() {
    let page = page_of(|| {
        let lane = Health::new(INTERVAL).lane("ingest", 0);
        lane.set_held(vec![held(0, "input_gap", 7), held(1, "too_large", 0), held(2, "unreadable", 0)]);
        lane.set_held(vec![held(0, "unreadable", 0), held(1, "too_large", 0)]);
    });
    let is_held = |partition, reason| {
        value_of(&page, names::PARTITION_HELD, &[("partition", partition), ("reason", reason)])
    };
    assert_eq!((is_held("0", "input_gap"), is_held("0", "unreadable")), (0.0, 1.0));
    assert_eq!((is_held("1", "too_large"), is_held("2", "unreadable")), (1.0, 0.0));
    assert_eq!(value_of(&page, names::INPUT_GAP, &[("partition", "0")]), 0.0);
}

#[test]
fn a_partition_that_waits_for_a_schema_waits_for_the_registry() {
    let waits = |then: &dyn Fn(&LaneHealth)| {
        let page = page_of(|| {
            let lane = Health::new(INTERVAL).lane("ingest", 0);
            lane.set(State::Running);
            lane.set_held(vec![held(0, hold::WAITING, 0), held(1, hold::WAITING, 0)]);
            then(&lane);
        });
        assert!(!page.contains("catchment_partition_held{"), "{page}");
        value_of(&page, names::WAITING, &[("for", "registry")])
    };
    assert_eq!(waits(&|_| {}), 1.0, "one lane waits, however many of its partitions do");
    assert_eq!(waits(&|lane| lane.set_held(Vec::new())), 0.0);
    assert_eq!(waits(&|lane| lane.set_partitions(Vec::new())), 0.0);
}

#[test]
fn every_hold_of_a_lane_has_a_word() {
    use catchment_runtime::{Hold, NextOffset};
    let gap =
        |position, earliest| Hold::Gap { position: NextOffset(position), earliest: NextOffset(earliest) };
    assert_eq!(hold::word(&gap(10, 15)), ("input_gap", 5));
    assert_eq!(hold::word(&gap(15, 10)), ("cut_off", 0));
    assert_eq!(hold::word(&Hold::Waiting), (hold::WAITING, 0));
    assert!(!hold::WORDS.contains(&hold::WAITING));
}
