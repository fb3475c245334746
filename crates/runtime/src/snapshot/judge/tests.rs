use super::*;
use crate::snapshot::format::{Chain, Changelog};
use crate::snapshot::{Mark, Survey};

fn head() -> Head {
    let changelog = |topic: &str| Changelog { topic: topic.to_owned(), partition: 3, retention: None };
    let identity = vec![("cluster".to_owned(), "c1".to_owned()), ("app".to_owned(), "shop".to_owned())];
    Head { identity, changelogs: vec![changelog("profiles"), changelog("dedup")], alive: 0 }
}

/// Two changelogs, read to 100 and to 50, marked a minute ago.
fn facts() -> (Found, [Bounds; 2]) {
    let mark = Mark { time: 0, positions: vec![NextOffset(100), NextOffset(50)] };
    let chain = Chain::default();
    let survey = Survey { head: head(), mark: Some(mark), end: 10, chain, bytes: 12, records: 1 };
    let found = Found { survey: Ok(survey), wanted: head(), age: 60_000, oldest: 100_000 };
    let bounds = |end| Bounds { earliest: NextOffset(0), end: NextOffset(end), first_since: None };
    (found, [bounds(100), bounds(60)])
}

fn check(change: impl FnOnce(&mut Found, &mut [Bounds; 2]), expected: Option<&str>) {
    let (mut found, mut bounds) = facts();
    change(&mut found, &mut bounds);
    let verdict = match judge(&found, &bounds) {
        Verdict::Use => None,
        Verdict::Discard(reason) => {
            assert!(Reason::WORDS.contains(&reason.word()));
            Some(format!("{}: {reason}", reason.word()))
        }
    };
    assert_eq!(verdict.as_deref(), expected);
}

fn with_survey(found: &mut Found, change: impl FnOnce(&mut Survey)) {
    found.survey.as_mut().map(change).unwrap();
}

#[test]
fn a_snapshot_of_this_log_is_used() {
    check(|_, _| {}, None);
    check(|found, _| found.age = 100_000, None);
    check(|found, _| found.age = -SKEW, None);
    check(|_, bounds| bounds[0].earliest = NextOffset(100), None);
    check(|_, bounds| bounds[1].first_since = Some(NextOffset(50)), None);
    check(|found, _| with_survey(found, |survey| survey.head.alive = 7), None);
    check(|found, _| found.wanted.identity.reverse(), None);
}

#[test]
fn what_can_not_be_read_is_discarded() {
    check(
        |found, _| found.survey = Err(Unusable::NoSnapshot),
        Some("no_snapshot: it is no snapshot, or its head is torn"),
    );
    check(
        |found, _| found.survey = Err(Unusable::Version(2)),
        Some("version: it has version 2, and this program reads 1"),
    );
    check(
        |found, _| found.survey = Err(Unusable::Unreadable("disk".to_owned())),
        Some("unreadable: it can't be read: disk"),
    );
    check(
        |found, _| with_survey(found, |survey| survey.mark = None),
        Some("no_mark: it ends before its first mark"),
    );
}

#[test]
fn a_snapshot_of_other_circumstances_is_discarded() {
    check(
        |found, _| found.wanted.identity[0].1 = "c2".to_owned(),
        Some("other: it was written with cluster `c1`, which is `c2` now"),
    );
    check(
        |found, _| found.wanted.identity.push(("secret".to_owned(), "f".to_owned())),
        Some("other: it was written with secret ``, which is `f` now"),
    );
    check(
        |found, _| drop(found.wanted.identity.pop()),
        Some("other: it was written with app `shop`, which is `` now"),
    );
    check(
        |found, _| found.wanted.changelogs.swap(0, 1),
        Some("other: it was written with changelogs `profiles/3 dedup/3`, which is `dedup/3 profiles/3` now"),
    );
    check(
        |found, _| found.wanted.changelogs[0].partition = 4,
        Some("other: it was written with changelogs `profiles/3 dedup/3`, which is `profiles/4 dedup/3` now"),
    );
}

#[test]
fn a_snapshot_older_than_the_tombstones_is_discarded() {
    check(|found, _| found.age = 100_001, Some("too_old: it is 100 s old, of 100 s at most"));
    check(
        |found, _| found.age = -SKEW - 1,
        Some("from_the_future: it was written 10 s later than now, by the clock"),
    );
}

#[test]
fn a_snapshot_that_does_not_meet_its_changelogs_is_discarded() {
    check(
        |_, bounds| bounds[0].earliest = NextOffset(101),
        Some("below_start: it ends at offset 100 of profiles, which starts at 101"),
    );
    check(
        |_, bounds| bounds[1].end = NextOffset(49),
        Some("past_end: it ends at offset 50 of dedup, which ends at 49"),
    );
    check(
        |_, bounds| bounds[1].first_since = Some(NextOffset(0)),
        Some("made_anew: it ends at offset 50 of dedup, whose offset 0 is newer: it is another topic"),
    );
}
