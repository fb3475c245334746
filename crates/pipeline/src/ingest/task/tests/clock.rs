//! Arrival, watermarks, and the order of reading.

use super::*;
use catchment_runtime::lane::{LaneConfig, Order};
use catchment_runtime::{EmbeddedLog, Lane};

#[test]
fn the_event_clock_ticks_before_each_record_that_arrived_later() {
    let mut bench = Bench::new(Clock::Event);
    let raw = Raw { topic: "behaviour", ..Raw::default() };
    let (one, two) = (page("1970-01-01T00:00:01Z"), page("1970-01-01T00:00:02Z"));
    bench.process(Raw { value: Some(&one), ..raw });
    let all = "web/0=1000 web/1=1000 hubspot/0=1000 contacts/0=1000 shop/0=1000";
    assert_eq!(bench.watermarks(), [0, 1, 2, 3].map(|p| format!("{p}@1000: {all}")));
    assert_eq!((bench.step.now, bench.step.outbox.len()), (1_000, 5));
    assert_eq!(bench.written("customer.events").last().unwrap().time, 1_000);

    bench.step.clear();
    // Neither a record of the same moment nor one that says it is older moves the clock.
    bench.process(Raw { value: Some(&one), offset: 1, ..raw }).process(Raw {
        value: Some(&one),
        partition: 1,
        ..raw
    });
    bench.process(Raw { value: Some(&page("1970-01-01T00:00:00Z")), offset: 2, ..raw });
    assert_eq!((bench.watermarks().len(), bench.step.now), (0, 1_000));
    bench.process(Raw { value: Some(&two), offset: 3, ..raw });
    assert_eq!((bench.watermarks().len(), bench.step.now), (4, 2_000));

    bench.step.clear();
    bench.task.advance(&mut bench.step);
    bench.task.flush(&mut bench.step);
    assert!(bench.step.outbox.is_empty(), "nothing else ticks");
    bench.task.finish(9_000);
    bench.task.advance(&mut bench.step);
    assert_eq!(bench.watermarks()[3], format!("3@9000: {}", all.replace("1000", "9000")));
    assert_eq!(bench.step.now, 9_000);
    bench.step.clear();
    bench.task.finish(9_000);
    bench.task.advance(&mut bench.step);
    assert!(bench.step.outbox.is_empty(), "it is said already");
}

#[test]
fn an_arrival_is_never_earlier_than_the_one_before_it() {
    let mut bench = Bench::new(Clock::Event);
    let headers = Headers::default();
    let mut arrival = |value: &str, partition, time| {
        let topic = bench.table.find("behaviour").unwrap();
        let record = Record {
            topic,
            partition,
            offset: Offset(0),
            append_time: time,
            key: None,
            value: Some(value.as_bytes()),
            headers: &headers,
        };
        let arrival = bench.task.arrival(&record);
        assert_eq!(bench.task.arrival(&record), arrival, "asking changes nothing");
        bench.task.process(&record, &mut bench.step).unwrap();
        arrival
    };
    assert_eq!(arrival(&page("1970-01-01T00:00:05Z"), 0, 7), 5_000);
    assert_eq!(arrival(&page("1970-01-01T00:00:04Z"), 0, 7), 5_000);
    assert_eq!(arrival("nonsense", 0, 7), 5_000);
    assert_eq!(arrival("nonsense", 0, 6_000), 6_000, "unreadable: the log's clock");
    assert_eq!(arrival(&page("1970-01-01T00:00:04Z"), 1, 7), 4_000, "each partition has its own");
}

#[test]
fn nothing_arrives_after_the_wall_clocks_now() {
    let mut bench = Bench::new(Clock::Wall);
    bench.step.now = 5_000;
    let value = page("9999-01-01T00:00:00Z");
    bench.process(Raw { topic: "behaviour", value: Some(&value), ..Raw::default() });
    bench.task.advance(&mut bench.step);
    assert_eq!(bench.watermarks()[0], "0@5000: web/0=5000");
}

#[test]
fn what_arrived_while_the_step_waited_for_it_keeps_its_time() {
    // When the record was appended, when it says that it arrived, and when it arrived: in steps that began at 5,000.
    for (appended, stated, arrived) in [
        (5_090, "1970-01-01T00:00:05.080Z", 5_080),
        (5_090, "1970-01-01T00:00:07Z", 5_090),
        (9_000, "1970-01-01T00:00:09Z", 6_000),
        (4_000, "1970-01-01T00:00:09Z", 5_000),
        (4_000, "1970-01-01T00:00:03Z", 3_000),
    ] {
        let mut bench = Bench::new(Clock::Wall);
        bench.step.now = 5_000;
        let value = page(stated);
        bench.process(Raw { topic: "behaviour", value: Some(&value), time: appended, ..Raw::default() });
        bench.task.advance(&mut bench.step);
        assert_eq!(bench.watermarks()[0], format!("0@5000: web/0={arrived}"), "{appended} {stated}");
    }
}

#[test]
fn ranks_are_places_in_the_configuration() {
    let bench = Bench::new(Clock::Event);
    let named = Headers(vec![(headers::SOURCE.to_owned(), b"contacts".to_vec())]);
    let none = Headers::default();
    let rank = |topic: &str, headers: &Headers| {
        let topic = bench.table.find(topic).unwrap();
        bench.task.rank(&Record {
            topic,
            partition: 0,
            offset: Offset(0),
            append_time: 0,
            key: None,
            value: None,
            headers,
        })
    };
    assert_eq!(
        (rank("behaviour", &none), rank("crm", &named), rank("catalog", &none), rank("crm", &none)),
        (0, 2, 3, 4)
    );
}

#[test]
fn a_step_that_is_aborted_and_taken_again_writes_the_same() {
    for clock in [Clock::Event, Clock::Wall] {
        let mut bench = Bench::new(clock);
        let raw = Raw { topic: "behaviour", ..Raw::default() };
        let (one, two, early) =
            (page("1970-01-01T00:00:01Z"), page("1970-01-01T00:00:02Z"), page("1970-01-01T00:00:00Z"));
        let now = |bench: &mut Bench| bench.step.now = if clock == Clock::Wall { 50_000 } else { 1_000 };
        bench.step.now = if clock == Clock::Wall { 40_000 } else { 0 };
        bench.process(Raw { value: Some(&one), ..raw });
        bench.task.advance(&mut bench.step);
        bench.task.committed();
        let take = |bench: &mut Bench| {
            bench.step.clear();
            now(bench);
            bench.process(Raw { value: Some(&two), offset: 1, ..raw }).process(Raw {
                value: Some(&early),
                offset: 2,
                ..raw
            });
            bench.process(Raw { value: Some("x"), partition: 3, time: 77, ..raw });
            bench.task.advance(&mut bench.step);
            format!("{:?}", bench.step)
        };
        let first = take(&mut bench);
        assert!(first.contains("watermark"), "{clock:?}");
        bench.task.aborted().unwrap();
        assert_eq!(take(&mut bench), first, "{clock:?}");
        bench.task.committed();
        bench.task.aborted().unwrap();
        assert_ne!(take(&mut bench), first, "what is committed stays");
    }
}

#[test]
fn the_wall_clock_says_once_a_second_what_was_last_seen() {
    let mut bench = Bench::new(Clock::Wall);
    let advance = |bench: &mut Bench, now| {
        bench.step.clear();
        bench.step.now = now;
        bench.task.advance(&mut bench.step);
        bench.watermarks()
    };
    assert!(advance(&mut bench, 10_000).is_empty(), "nothing is known yet");
    let value = page("1970-01-01T00:00:01Z");
    bench.process(Raw { topic: "behaviour", partition: 1, value: Some(&value), ..Raw::default() });
    assert!(advance(&mut bench, 10_999).is_empty());
    assert_eq!(advance(&mut bench, 11_000), [0, 1, 2, 3].map(|p| format!("{p}@11000: web/1=1000")));
    assert!(advance(&mut bench, 11_500).is_empty());
    let crm = TopicPartition { topic: bench.table.find("crm").unwrap(), partition: 0 };
    bench.task.caught_up(crm, 11_900);
    assert_eq!(advance(&mut bench, 12_100)[0], "0@12100: web/1=1000 hubspot/0=11900 contacts/0=11900");
    assert_eq!(bench.step.now, 12_100, "the lane's clock stays the lane's");
}

#[test]
fn a_lane_reads_sources_in_order_of_arrival() {
    let Bench { table, task, .. } = Bench::new(Clock::Event);
    let log = EmbeddedLog::new(table.clone());
    let at = |topic: &str| TopicPartition { topic: table.find(topic).unwrap(), partition: 0 };
    for second in [1, 4] {
        let value = page(&format!("1970-01-01T00:00:0{second}Z"));
        log.producer_append(at("behaviour"), 0, None, Some(value.as_bytes()), Headers::default()).unwrap();
    }
    for time in [2_000, 3_000] {
        let value = r#"{"objectId":1,"subscriptionType":"contact.creation","occurredAt":500}"#;
        let named = Headers(vec![(headers::SOURCE.to_owned(), b"hubspot".to_vec())]);
        log.producer_append(at("crm"), time, None, Some(value.as_bytes()), named).unwrap();
    }
    let inputs = [at("behaviour"), at("crm")];
    let lane = log.lane("test.ingest", "test", &inputs).unwrap();
    let config = LaneConfig { order: Order::Arrival, ..LaneConfig::default() };
    let mut lane = Lane::new(lane, vec![task], |_| Some(0), config).unwrap();
    lane.restore().unwrap();
    let mut effects = Vec::new();
    while !lane.step(None, &mut |effect| effects.push(effect)).unwrap().is_idle() {}
    assert_eq!(effects.len(), 4);
    let mut seen: Vec<(Millis, bool)> = Vec::new();
    for partition in 0..4 {
        let records = log.read_committed(TopicPartition { partition, ..at("customer.events") }).unwrap();
        let mut last = 0;
        for record in records {
            assert!(record.append_time >= last, "time never goes back");
            last = record.append_time;
            seen.extend((partition == 0 || record.value.is_some()).then_some((last, record.value.is_some())));
        }
    }
    seen.sort_unstable();
    let expected = [1_000, 2_000, 3_000, 4_000].map(|at| [(at, false), (at, true)]);
    assert_eq!(seen, expected.concat());
}
