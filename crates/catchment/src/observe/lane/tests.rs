use super::*;
use crate::observe::health::Health;
use crate::observe::log::Timed;
use crate::observe::metrics::tests::{page_of, value_of};
use crate::observe::task::Observed;
use catchment_runtime::embedded::Fault;
use catchment_runtime::record::{Cleanup, TopicSpec};
use catchment_runtime::{
    EmbeddedLane, EmbeddedLog, Headers, Lane, LaneConfig, NextOffset, Record, Step, Task, Unreadable,
};
use serde_json::{Value, json};

const IN: TopicPartition = TopicPartition { topic: TopicId(0), partition: 0 };
const OUT: TopicId = TopicId(1);
const ROLE: [(&str, &str); 1] = [("role", "profile")];

/// Writes each record out again; refuses the word `bad`.
struct Copies;

impl Task for Copies {
    type Effect = ();

    fn process(&mut self, record: &Record<'_>, step: &mut Step<()>) -> Result<(), Unreadable> {
        if record.value == Some(b"bad") {
            return Err(Unreadable { reason: "a bad one".to_owned() });
        }
        step.emit(OUT, 0, b"key", |out| out.extend_from_slice(record.value.unwrap_or_default()));
        Ok(())
    }

    fn advance(&mut self, _: &mut Step<()>) {}

    fn flush(&mut self, _: &mut Step<()>) {}

    fn committed(&mut self) {}

    fn aborted(&mut self) -> Result<(), Unreadable> {
        Ok(())
    }

    fn changelogs(&self) -> Vec<TopicPartition> {
        Vec::new()
    }

    fn restore(&mut self, _: &Record<'_>) -> Result<(), Unreadable> {
        Ok(())
    }
}

struct Bench {
    log: EmbeddedLog,
    health: Health,
    observer: LaneObserver,
    lane: Lane<Timed<EmbeddedLane>, Observed<Copies>>,
}

impl Bench {
    fn new() -> Self {
        let mut topics = TopicTable::new();
        for name in ["events", "out"] {
            let cleanup = Cleanup::Delete { retention_ms: 1 };
            topics.add(TopicSpec { name: name.to_owned(), partitions: 1, cleanup });
        }
        let log = EmbeddedLog::new(topics);
        let health = Health::new(Duration::from_secs(10));
        let name = LaneName {
            role: "profile",
            index: 0,
            group: "group".to_owned(),
            inputs: vec![IN.topic],
            topics: log.topics(),
        };
        let observer = LaneObserver::new(&name, health.lane("profile", 0), None);
        let tasks = vec![Observed::new(Copies, observer.notes())];
        let handle = Timed::new(log.lane("group", "lane", &[IN]).unwrap());
        let lane = Lane::new(handle, tasks, |_| Some(0), LaneConfig::default()).unwrap();
        Bench { log, health, observer, lane }
    }

    fn say(&self, time: Millis, value: &str) {
        self.log.producer_append(IN, time, None, Some(value.as_bytes()), Headers::default()).unwrap();
    }

    fn step(&mut self) -> Result<StepReport, LaneError> {
        self.observer.step_begins();
        let result = self.lane.step(Some(0), &mut |()| {});
        let times = self.lane.log_mut().take_times();
        self.observer.step_ended(&result, times);
        self.observer.assigned(&[IN]);
        self.observer.held(self.lane.held());
        self.observer.restoring(self.lane.restoring());
        result
    }

    fn ready(&self) -> Value {
        serde_json::from_str(&self.health.ready().body).unwrap()
    }
}

#[test]
fn a_step_is_counted_once_it_is_committed() {
    let page = page_of(|| {
        let mut bench = Bench::new();
        let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        bench.say(now - 20_000, "one");
        bench.say(now, "two");
        bench.step().unwrap();
        bench.step().unwrap();
        assert_eq!(bench.ready()["lanes"][0]["kafka_answered_seconds_ago"], json!(0));
    });
    let value = |name| value_of(&page, name, &ROLE);
    assert_eq!(
        value_of(&page, names::COMMITS, &[("outcome", "committed")]),
        1.0,
        "nothing to do is nothing to count"
    );
    assert_eq!((value(names::RECORDS_READ), value(names::READ_BYTES)), (2.0, 6.0));
    assert_eq!((value(names::RECORDS_WRITTEN), value(names::WRITTEN_BYTES)), (2.0, 12.0));
    assert_eq!((value("catchment_step_records_count"), value("catchment_step_records_sum")), (1.0, 2.0));
    let age = value("catchment_record_age_seconds_sum");
    assert!((20.0..60.0).contains(&age), "of the oldest: {age}");
    assert!(value(names::LAST_COMMIT) > 1.6e9);
    let sum = |phase| value_of(&page, "catchment_step_seconds_sum", &[("phase", phase)]);
    let [poll, process, flush, commit, all] = ["poll", "process", "flush", "commit", "all"].map(sum);
    assert!(poll > 0.0 && process > 0.0 && flush > 0.0 && commit > 0.0, "{poll} {process} {flush} {commit}");
    assert!((poll + process + flush + commit - all).abs() < 1e-9, "{poll} {process} {flush} {commit} {all}");
}

#[test]
fn lag_is_what_is_left_and_that_of_a_partition_given_up_is_none_of_ours() {
    let page = page_of(|| {
        let mut bench = Bench::new();
        let tail = |partition, end, caught_up| {
            let at = TopicPartition { partition, ..IN };
            Tail { at, next: NextOffset(7), end: NextOffset(end), caught_up, complete: caught_up }
        };
        bench.observer.tails(&[tail(0, 10, false), tail(1, 9, true), tail(2, 20, false)]);
        bench.observer.tails(&[tail(0, 11, false), tail(1, 9, true)]);
    });
    let lag =
        |partition| value_of(&page, names::LAG, &[("consumergroup", "group"), ("partition", partition)]);
    assert_eq!(["0", "1", "2"].map(lag), [4.0, 0.0, 0.0]);
}

#[test]
fn an_abort_is_counted_and_the_step_that_takes_it_again_too() {
    let page = page_of(|| {
        let mut bench = Bench::new();
        bench.log.fail_commit("lane", Fault::Abort);
        bench.say(0, "one");
        assert!(bench.step().unwrap().aborted.is_some());
        assert!(bench.step().unwrap().committed);
    });
    let commits = |outcome| value_of(&page, names::COMMITS, &[("outcome", outcome)]);
    assert_eq!(["committed", "aborted", "fenced", "unknown"].map(commits), [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(value_of(&page, names::RECORDS_READ, &ROLE), 1.0);
}

#[test]
fn a_commit_whose_answer_is_lost_is_counted_by_what_is_found_of_it() {
    let page = page_of(|| {
        let mut bench = Bench::new();
        for fault in [Fault::LostAnswer, Fault::LostRequest, Fault::LostRequest] {
            bench.log.fail_commit("lane", fault);
            bench.say(0, "one");
            let _report = bench.step().unwrap();
        }
    });
    let settled = |found| value_of(&page, names::COMMITS_SETTLED, &[("found", found)]);
    assert_eq!(["committed", "aborted"].map(settled), [1.0, 2.0]);
    let commits = |outcome| value_of(&page, names::COMMITS, &[("outcome", outcome)]);
    assert_eq!(["committed", "aborted", "fenced", "unknown"].map(commits), [1.0, 2.0, 0.0, 0.0]);
}

#[test]
fn a_lane_that_is_replaced_is_fenced() {
    let page = page_of(|| {
        let mut bench = Bench::new();
        bench.say(0, "one");
        let _other = bench.log.lane("group", "lane", &[IN]).unwrap();
        assert!(matches!(bench.step(), Err(LaneError::Fenced(_))));
        bench.observer.restarted(Restart::Fenced);
    });
    assert_eq!(value_of(&page, names::COMMITS, &[("outcome", "fenced")]), 1.0);
    let restarts = |reason| value_of(&page, names::LANE_RESTARTS, &[("reason", reason)]);
    assert_eq!((restarts("fenced"), restarts("broken_client")), (1.0, 0.0));
}

#[test]
fn a_partition_that_stands_still_is_named() {
    let page = page_of(|| {
        let mut bench = Bench::new();
        bench.say(0, "good");
        bench.say(0, "bad");
        // The step is undone and taken again up to the bad record.
        for _ in 0..3 {
            bench.step().unwrap();
        }
        let lane = &bench.ready()["lanes"][0];
        let why = "topic events partition 0 is held at offset 1: offset 1 can't be read: a bad one";
        assert_eq!(
            lane["held"],
            json!([{"topic": "events", "partition": 0, "reason": "unreadable", "why": why}])
        );
        assert_eq!((&lane["state"], &lane["partitions"]), (&json!("running"), &json!(["events/0"])));
    });
    let held = [ROLE[0], ("topic", "events"), ("partition", "0"), ("reason", "unreadable")];
    assert_eq!(value_of(&page, names::PARTITION_HELD, &held), 1.0);
    assert_eq!(value_of(&page, names::RECORDS_READ, &ROLE), 1.0);
    assert_eq!(value_of(&page, names::COMMITS, &[("outcome", "committed")]), 1.0, "to hold is not to commit");
}

#[test]
fn a_restore_shows_how_far_it_has_come() {
    let progress = |position, target| RestoreProgress {
        task: 0,
        at: IN,
        position: NextOffset(position),
        target: NextOffset(target),
    };
    let page = page_of(|| {
        let mut bench = Bench::new();
        bench.observer.restoring([progress(100, 160), progress(0, 40)]);
        bench.observer.restoring([progress(130, 160), progress(0, 40)]);
        let lane = &bench.ready()["lanes"][0];
        assert_eq!((&lane["restored_records"], &lane["remaining_records"]), (&json!(30), &json!(70)));
        // A partition more.
        bench.observer.restoring([progress(0, 40), progress(0, 50)]);
        let lane = &bench.ready()["lanes"][0];
        assert_eq!((&lane["state"], &lane["remaining_records"]), (&json!("restoring"), &json!(90)));
        bench.observer.restoring([]);
        assert_eq!(bench.ready()["ready"], json!(true));
    });
    assert_eq!(value_of(&page, names::RESTORED, &ROLE), 120.0);
    assert_eq!(value_of(&page, names::RESTORE_REMAINING, &ROLE), 0.0);
    assert_eq!(value_of(&page, "catchment_restore_seconds_count", &ROLE), 1.0);
    assert_eq!(value_of(&page, names::RESTORE_LEFT, &[("role", "profile"), ("lane", "0")]), 0.0);
}

#[test]
fn the_time_left_follows_the_pace_so_far() {
    let after = Duration::from_secs(10);
    assert_eq!(time_left(100, 50, after), Some(Duration::from_secs(5)));
    assert_eq!(time_left(100, 0, after), Some(Duration::ZERO));
    assert_eq!(time_left(0, 50, after), None, "nothing to go by yet");
    assert_eq!(time_left(0, 0, after), Some(Duration::ZERO));
    assert_eq!(time_left(1, u64::MAX, Duration::MAX), Some(Duration::from_nanos(u64::MAX)));
}

#[test]
fn the_state_of_a_lane_is_shown_and_what_it_forgot_is_counted_on() {
    let page = page_of(|| {
        let mut bench = Bench::new();
        let size = |dedup_evicted| StateSize {
            profiles: 5,
            timers: 2,
            dedup_entries: 9,
            dedup_evicted,
            asking_since: None,
            bytes: 700,
        };
        for evicted in [3, 3, 7, 1, 2] {
            bench.observer.holds(size(evicted));
        }
    });
    let gauge = |name| value_of(&page, name, &[("lane", "0")]);
    assert_eq!((gauge(names::PROFILES), gauge(names::TIMERS), gauge(names::DEDUP_ENTRIES)), (5.0, 2.0, 9.0));
    assert_eq!(gauge(names::STATE_BYTES), 700.0);
    assert_eq!(value_of(&page, names::DEDUP_EVICTED, &[]), 8.0);
}

#[test]
fn a_clock_that_is_ahead_makes_no_negative_age() {
    let now = Duration::from_secs(100);
    assert_eq!(age(now, 98_500), 1.5);
    assert_eq!(age(now, 101_000), 0.0);
    assert_eq!(age(now, -5), 100.0);
}
