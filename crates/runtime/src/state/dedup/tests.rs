use super::*;
use proptest::prelude::*;

/// Window 80, so buckets of 10.
fn dedup() -> Dedup {
    Dedup::new(80, 1_000)
}

fn id(number: u8) -> [u8; ID] {
    [number; ID]
}

type Contents = (Vec<(i64, Vec<[u8; ID]>)>, usize, u64);

/// All that can be seen of it: every id with its bucket, and the counts.
fn contents(dedup: &Dedup) -> Contents {
    let buckets = dedup.buckets.iter().map(|bucket| {
        let mut ids: Vec<_> = bucket.ids.to_vec();
        ids.sort_unstable();
        (bucket.number, ids)
    });
    (buckets.collect(), dedup.len(), dedup.evicted_early())
}

#[test]
fn an_id_is_new_once_within_the_window() {
    let mut dedup = dedup();
    assert!(dedup.check_and_insert(id(1), 5));
    assert!(!dedup.check_and_insert(id(1), 5));
    assert!(!dedup.check_and_insert(id(1), 80));
    assert!(dedup.check_and_insert(id(2), 80));
}

#[test]
fn an_id_stays_at_least_the_window_and_at_most_one_bucket_more() {
    // First of its bucket (10..20): stays until 99, which is window + bucket - 1 later.
    for (seen, again, is_new) in
        [(10, 90, false), (10, 99, false), (10, 100, true), (19, 99, false), (19, 100, true)]
    {
        let mut dedup = dedup();
        assert!(dedup.check_and_insert(id(1), seen));
        assert_eq!(dedup.check_and_insert(id(1), again), is_new, "seen at {seen}, again at {again}");
    }
}

#[test]
fn a_duplicate_does_not_make_an_id_stay_longer() {
    let mut dedup = dedup();
    assert!(dedup.check_and_insert(id(1), 0));
    assert!(!dedup.check_and_insert(id(1), 85));
    assert!(dedup.check_and_insert(id(1), 95));
}

#[test]
fn time_that_goes_back_counts_as_the_latest_and_negative_times_work() {
    let mut dedup = dedup();
    assert!(dedup.check_and_insert(id(1), -500));
    assert!(dedup.check_and_insert(id(2), -1));
    assert!(dedup.check_and_insert(id(3), -300));
    assert_eq!(
        contents(&dedup).0,
        [(-1, vec![id(2), id(3)])],
        "the first one is over, the others share a bucket"
    );
}

#[test]
fn the_oldest_bucket_goes_early_at_the_limit_and_is_counted() {
    // A bucket is closed at two ids.
    let mut dedup = Dedup::new(80, 16);
    for number in 0..17 {
        assert!(dedup.check_and_insert(id(number), 0));
    }
    assert_eq!((dedup.len(), dedup.evicted_early()), (15, 2), "a burst costs an eighth, not all");
    assert!(!dedup.check_and_insert(id(2), 0));
    assert!(dedup.check_and_insert(id(0), 0), "it was forgotten");
}

/// What the step writes to the changelog.
fn records(dedup: &Dedup) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    dedup.encode_step(StateFormat::FIRST, |record| records.push(record.to_vec()));
    records
}

#[test]
fn a_step_is_one_record_and_nothing_new_is_none() {
    let mut dedup = dedup();
    assert!(records(&dedup).is_empty());
    dedup.check_and_insert(id(1), 5);
    dedup.check_and_insert(id(1), 6);
    dedup.check_and_insert(id(2), 25);
    let mut golden = vec![1];
    for (last, number) in [(9_u8, 1), (29, 2)] {
        golden.extend([0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, 1]);
        golden.extend(id(number));
    }
    assert_eq!(records(&dedup), [golden]);
    dedup.commit();
    assert!(records(&dedup).is_empty());
}

#[test]
fn a_large_step_is_several_records() {
    let mut dedup = Dedup::new(8_000, 1_000_000);
    let ids = (0..MOST_IDS as u64 + 1).map(|number| {
        let mut id = [0; ID];
        id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        id
    });
    ids.for_each(|id| assert!(dedup.check_and_insert(id, 0)));
    let records = records(&dedup);
    assert_eq!(records.iter().map(Vec::len).collect::<Vec<_>>(), [1 + 12 + MOST_IDS * ID, 1 + 12 + ID]);
    let mut other = Dedup::new(8_000, 1_000_000);
    records.iter().for_each(|record| other.restore(record).unwrap());
    assert_eq!(contents(&other), contents(&dedup));
}

#[test]
fn records_that_are_cut_off_or_of_another_version_are_refused_whole() {
    let mut full = dedup();
    full.check_and_insert(id(1), 5);
    full.check_and_insert(id(2), 25);
    let [mut record] = <[Vec<u8>; 1]>::try_from(records(&full)).unwrap();
    let mut dedup = dedup();
    let good: Vec<usize> =
        (0..=record.len()).filter(|len| dedup.clone().restore(&record[..*len]).is_ok()).collect();
    assert_eq!(good, [1, 29, 57], "only whole groups");
    assert!(dedup.restore(&record[..40]).is_err());
    assert!(dedup.is_empty());
    record[0] = 9;
    assert!(dedup.restore(&record).unwrap_err().reason.contains("version 9"));
}

#[test]
fn another_window_reads_the_same_changelog() {
    let mut old = dedup();
    old.check_and_insert(id(1), 25);
    let [record] = <[Vec<u8>; 1]>::try_from(records(&old)).unwrap();
    for window in [8, 33, 80, 600, 800] {
        let mut other = Dedup::new(window, 1_000);
        other.restore(&record).unwrap();
        let end = 25 + i64::try_from(window).unwrap();
        assert!(!other.check_and_insert(id(1), end), "forgotten within a window of {window}");
    }
}

#[derive(Clone, Debug)]
enum Event {
    See { id: u8, after: i64 },
    Commit,
    Abort,
    Crash,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0_u8..30, 0_i64..15).prop_map(|(id, after)| Event::See { id, after }),
        2 => Just(Event::Commit),
        1 => Just(Event::Abort),
        1 => Just(Event::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Aborts give back the committed state exactly; a restore gives the same answers as going on.
    #[test]
    fn abort_and_crash_leave_the_committed_state(
        events in prop::collection::vec(event(), 0..120),
        limit in 1_usize..20,
    ) {
        let make = || Dedup::new(80, limit);
        let (mut dedup, mut changelog) = (make(), Vec::<Vec<u8>>::new());
        let (mut time, mut committed_time, mut committed) = (0, 0, contents(&dedup));
        for event in events {
            match event {
                Event::See { id: number, after } => {
                    time += after;
                    dedup.check_and_insert(id(number), time);
                    prop_assert!(dedup.len() <= limit);
                }
                Event::Commit => {
                    changelog.extend(records(&dedup));
                    dedup.commit();
                    (committed, committed_time) = (contents(&dedup), time);
                }
                Event::Abort => {
                    dedup.undo();
                    time = committed_time;
                    prop_assert_eq!(contents(&dedup), committed.clone());
                }
                Event::Crash => {
                    dedup = make();
                    for record in &changelog {
                        dedup.restore(record).unwrap();
                    }
                    time = committed_time;
                    // Time moved on by duplicates alone is not in the changelog; the next record brings it.
                    dedup.tick(time.div_euclid(10));
                    dedup.commit();
                    prop_assert_eq!(contents(&dedup), committed.clone());
                }
            }
        }
    }
}
