//! Tasks restored from snapshots: what comes back is what the changelogs say, whatever happened to the snapshot.

mod history;

use super::toy::{IN, STATE, partition};
use super::*;
use crate::embedded::{EmbeddedLane, EmbeddedLog};
use crate::record::{Cleanup, Headers, Partition, Record, TopicId, TopicSpec, TopicTable};
use crate::snapshot::memory::MemorySnapshots;
use crate::snapshot::{Head, Reason, format};
use crate::task::{Step, Unreadable};
use std::collections::{BTreeMap, BTreeSet};

/// A record of the input sets a key ([key, value]) or deletes it ([key]).
#[derive(Debug, Default)]
pub(super) struct Map {
    number: Partition,
    pub(super) map: BTreeMap<u8, u8>,
    committed: BTreeMap<u8, u8>,
    dirty: BTreeSet<u8>,
}

impl Task for Map {
    type Effect = String;

    fn process(&mut self, record: &Record<'_>, _: &mut Step<String>) -> Result<(), Unreadable> {
        match record.value {
            Some([key, value]) => drop(self.map.insert(*key, *value)),
            Some([key]) => drop(self.map.remove(key)),
            _ => return Ok(()),
        }
        self.dirty.extend(record.value.and_then(|value| value.first()));
        Ok(())
    }

    fn advance(&mut self, _: &mut Step<String>) {}

    fn flush(&mut self, step: &mut Step<String>) {
        for key in std::mem::take(&mut self.dirty) {
            let value = self.map.get(&key).map(std::slice::from_ref);
            step.outbox.push(step.to(STATE, self.number), Some(&[key]), value, Headers::default());
        }
    }

    fn committed(&mut self) {
        self.committed.clone_from(&self.map);
    }

    fn aborted(&mut self) -> Result<(), Unreadable> {
        self.map.clone_from(&self.committed);
        self.dirty.clear();
        Ok(())
    }

    fn changelogs(&self) -> Vec<TopicPartition> {
        vec![partition(STATE, self.number)]
    }

    fn restore(&mut self, record: &Record<'_>) -> Result<(), Unreadable> {
        let Some([key]) = record.key else { return Err(Unreadable { reason: "no key".to_owned() }) };
        match record.value {
            Some(b"??") => return Err(Unreadable { reason: "a question".to_owned() }),
            Some(value) => drop(self.map.insert(*key, value[0])),
            None => drop(self.map.remove(key)),
        }
        self.committed.clone_from(&self.map);
        Ok(())
    }
}

/// A log with two partitions, and the disk of a machine.
pub(super) struct Machine {
    pub(super) log: EmbeddedLog,
    pub(super) disk: MemorySnapshots,
}

pub(super) type MapLane = Lane<EmbeddedLane, Map>;

impl Machine {
    pub(super) fn new() -> Self {
        let mut topics = TopicTable::new();
        for name in ["in", "out", "state"] {
            let cleanup =
                if name == "state" { Cleanup::Compact } else { Cleanup::Delete { retention_ms: 1_000_000 } };
            topics.add(TopicSpec { name: name.to_owned(), partitions: 2, cleanup });
        }
        Machine { log: EmbeddedLog::new(topics), disk: MemorySnapshots::new(100_000) }
    }

    pub(super) fn say(&self, number: Partition, value: &[u8]) {
        self.log.producer_append(partition(IN, number), 0, None, Some(value), Headers::default()).unwrap();
    }

    pub(super) fn unrestored(&self, id: &str, numbers: &[Partition]) -> MapLane {
        let assignment: Vec<_> = numbers.iter().map(|number| partition(IN, *number)).collect();
        self.assemble(self.log.lane("toy", id, &assignment).unwrap(), BTreeMap::new(), numbers)
    }

    fn assemble(
        &self,
        log: EmbeddedLane,
        mut kept: BTreeMap<Partition, Kept<Map>>,
        numbers: &[Partition],
    ) -> MapLane {
        let seats = numbers.iter().map(|number| match kept.remove(number) {
            Some(kept) => Seat::Kept(kept),
            None => Seat::Cached(Map { number: *number, ..Map::default() }, self.snapshot(*number)),
        });
        let place = |at: TopicPartition| numbers.iter().position(|number| *number == at.partition);
        Lane::assemble(log, seats.collect(), place, LaneConfig::default()).unwrap()
    }

    fn snapshot(&self, number: Partition) -> Box<dyn Snapshot> {
        let changelog = format::Changelog { topic: "state".to_owned(), partition: number, retention: None };
        let identity = vec![("app".to_owned(), "toy".to_owned())];
        let head = Head { identity, changelogs: vec![changelog], alive: 0 };
        self.disk.open(&name(number), head, vec![partition(STATE, number)])
    }

    pub(super) fn lane(&self, id: &str) -> MapLane {
        let mut lane = self.unrestored(id, &[0, 1]);
        lane.restore().unwrap();
        lane
    }

    /// What the changelog says.
    pub(super) fn truth(&self, number: Partition) -> BTreeMap<u8, u8> {
        let records = self.log.compacted(partition(STATE, number)).unwrap();
        records.map(|record| (record.key.unwrap()[0], record.value.unwrap()[0])).collect()
    }

    /// The lane holds what the changelogs say.
    pub(super) fn check(&self, lane: &MapLane) {
        let maps: Vec<_> = lane.tasks().map(|task| task.map.clone()).collect();
        assert_eq!(maps, [self.truth(0), self.truth(1)]);
    }
}

pub(super) fn name(number: Partition) -> String {
    format!("{number}")
}

fn step(lane: &mut MapLane) -> StepReport {
    lane.step(Some(0), &mut no_effects).unwrap()
}

/// One lane has written four keys to partition 0, deleted one, and marked; then one more key.
fn with_snapshot() -> (Machine, MapLane) {
    let machine = Machine::new();
    let mut lane = machine.lane("toy-0");
    for value in [&[1, 1][..], &[2, 2], &[3, 3], &[1]] {
        machine.say(0, value);
        step(&mut lane);
    }
    assert!(lane.mark().unwrap());
    machine.say(0, &[4, 4]);
    step(&mut lane);
    (machine, lane)
}

fn origins(lane: &MapLane) -> (u64, u64) {
    (lane.origins().snapshots, lane.origins().changelogs)
}

#[test]
fn a_restarted_lane_reads_the_snapshot_and_then_the_tail() {
    let (machine, lane) = with_snapshot();
    drop(lane);
    let mut lane = machine.lane("toy-0");
    machine.check(&lane);
    assert_eq!(origins(&lane), (4, 1));
    machine.say(1, &[7, 7]);
    step(&mut lane);
    drop(lane);
    let lane = machine.lane("toy-0");
    assert_eq!(origins(&lane), (5, 1), "what was read from the changelog is in the snapshot now");
    assert_eq!(machine.disk.take_discarded(), []);
    machine.check(&lane);
}

#[test]
fn a_mark_asks_for_nothing_while_there_is_nothing_to_mark() {
    let (machine, mut lane) = with_snapshot();
    assert!(lane.mark().unwrap());
    let bytes = machine.disk.bytes("0");
    let end = machine.log.high_watermark(partition(STATE, 0));
    assert!(lane.mark().unwrap());
    assert_eq!((machine.disk.bytes("0"), machine.log.high_watermark(partition(STATE, 0))), (bytes, end));
}

#[test]
fn a_step_that_is_not_committed_is_not_copied() {
    let (machine, mut lane) = with_snapshot();
    for (key, fault) in [(5, Fault::Abort), (6, Fault::LostRequest), (7, Fault::LostAnswer)] {
        machine.say(0, &[key, key]);
        machine.log.fail_commit("toy-0", fault);
        let committed = step(&mut lane).committed;
        assert_eq!(committed, fault == Fault::LostAnswer, "{fault:?}");
        if !committed {
            step(&mut lane);
        }
    }
    assert!(lane.mark().unwrap());
    drop(lane);
    let lane = machine.lane("toy-0");
    assert_eq!(origins(&lane), (8, 0));
    machine.check(&lane);
}

/// The lane is asleep while another machine takes over, writes, and is told the ends of what that one wrote.
#[test]
fn a_lane_that_lost_its_tasks_can_not_mark_what_it_does_not_hold() {
    for asks_before in [false, true] {
        let (machine, mut zombie) = with_snapshot();
        let before = machine.disk.bytes("0");
        let elsewhere = Machine { log: machine.log.clone(), disk: MemorySnapshots::new(100_000) };
        let mut owner = elsewhere.lane("toy-1");
        machine.say(0, &[9, 9]);
        step(&mut owner);
        if asks_before {
            machine.say(0, &[8, 8]);
            zombie.step(Some(0), &mut no_effects).unwrap_err();
        }
        let marked = zombie.mark();
        assert!(matches!(marked, Err(LaneError::Fenced(_)) | Ok(false)), "{marked:?}");
        assert_eq!(machine.disk.bytes("0"), before);
        drop(zombie);
        let lane = machine.lane("toy-0");
        assert_eq!(origins(&lane).0, 4);
        machine.check(&lane);
    }
}

#[test]
fn an_unknown_outcome_of_the_proof_costs_a_mark_and_not_the_lane() {
    for fault in [Fault::LostAnswer, Fault::LostRequest, Fault::Abort] {
        let (machine, mut lane) = with_snapshot();
        machine.log.fail_commit("toy-0", fault);
        assert!(!lane.mark().unwrap(), "{fault:?}");
        machine.say(0, &[5, 5]);
        step(&mut lane);
        step(&mut lane);
        assert!(lane.mark().unwrap(), "{fault:?}");
        drop(lane);
        let lane = machine.lane("toy-0");
        assert_eq!(origins(&lane), (6, 0), "{fault:?}");
        machine.check(&lane);
    }
}

#[test]
fn a_mark_stops_before_an_open_transaction() {
    let (machine, mut lane) = with_snapshot();
    let mut other = machine.log.begin("other").unwrap();
    other.append(partition(STATE, 0), 0, Some(&[6]), Some(&[6]), Headers::default()).unwrap();
    machine.say(0, &[5, 5]);
    step(&mut lane);
    assert!(lane.mark().unwrap());
    other.commit().unwrap();
    drop(lane);
    let lane = machine.lane("toy-0");
    assert_eq!(lane.tasks().next().unwrap().map.get(&6), Some(&6));
}

#[test]
fn a_snapshot_torn_at_any_byte_restores_the_same_state() {
    let (machine, lane) = with_snapshot();
    drop(lane);
    let whole = machine.disk.bytes("0").unwrap();
    let mut marks = BTreeSet::new();
    for at in 0..=whole.len() {
        machine.disk.put("0", Some(whole[..at].to_vec()));
        let lane = machine.lane("toy-0");
        machine.check(&lane);
        marks.insert(origins(&lane).0);
    }
    assert_eq!(marks.into_iter().collect::<Vec<_>>(), [0, 4], "it has no mark yet, or one");
}

#[test]
fn a_snapshot_with_any_byte_changed_restores_the_same_state() {
    let (machine, lane) = with_snapshot();
    drop(lane);
    let whole = machine.disk.bytes("0").unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        machine.disk.put("0", Some(changed));
        machine.check(&machine.lane("toy-0"));
    }
}

#[test]
fn a_stale_snapshot_is_discarded_with_its_reason() {
    let check = |spoil: fn(&Machine), word: &str| {
        let (machine, lane) = with_snapshot();
        drop(lane);
        spoil(&machine);
        let lane = machine.lane("toy-0");
        let discarded = machine.disk.take_discarded();
        let words: Vec<_> = discarded.iter().map(|(name, reason)| (name.as_str(), reason.word())).collect();
        assert_eq!(words, [("0", word)], "{discarded:?}");
        assert_eq!(origins(&lane).0, 0);
        machine.check(&lane);
        drop(lane);
        // As it should be, or where it was.
        machine.disk.set_now(if word == "too_old" { 100_001 } else { 0 });
        let lane = machine.lane("toy-0");
        machine.check(&lane);
        assert_eq!(machine.disk.take_discarded(), [], "a new one was begun");
        assert_eq!(origins(&lane).1, 0);
    };
    check(|machine| machine.disk.set_now(100_001), "too_old");
    check(
        |machine| {
            machine.disk.set_now(20_000);
            let mut lane = machine.lane("toy-0");
            machine.say(0, &[5, 5]);
            step(&mut lane);
            assert!(lane.mark().unwrap());
            machine.disk.set_now(5_000);
        },
        "from_the_future",
    );
    check(|machine| machine.log.delete_before(partition(STATE, 0), NextOffset(9)).unwrap(), "below_start");
    check(|machine| machine.disk.tear("0", 5), "no_snapshot");
    check(
        |machine| {
            let mut bytes = machine.disk.bytes("0").unwrap();
            bytes[6] = 9;
            machine.disk.put("0", Some(bytes));
        },
        "version",
    );
}

#[test]
fn a_changelog_that_was_made_anew_is_noticed() {
    let (machine, lane) = with_snapshot();
    drop(lane);
    // The same names, with other records: shorter, or as long.
    for (records, word) in [(3, "past_end"), (30, "made_anew")] {
        let anew = Machine { disk: machine.disk.clone(), ..Machine::new() };
        let at = partition(STATE, 0);
        for key in 0..records {
            anew.log.producer_append(at, 60_000, Some(&[key]), Some(&[9]), Headers::default()).unwrap();
        }
        let bytes = anew.disk.bytes("0");
        let lane = anew.lane("toy-0");
        let discarded = anew.disk.take_discarded();
        assert_eq!(discarded.iter().map(|(_, reason)| reason.word()).collect::<Vec<_>>(), [word]);
        anew.check(&lane);
        drop(lane);
        anew.disk.put("0", bytes);
    }
}

#[test]
fn a_record_of_a_snapshot_that_can_not_be_read_costs_the_lane_and_the_snapshot() {
    let (machine, lane) = with_snapshot();
    drop(lane);
    let mut bytes = machine.disk.bytes("0").unwrap();
    let survey = format::survey(bytes.as_slice(), 0).unwrap();
    let mut chain = survey.chain;
    bytes.truncate(usize::try_from(survey.end).unwrap());
    let mut block = Vec::new();
    let entry = format::Entry { changelog: 0, append_time: 0, key: Some(&[1]), value: Some(b"??") };
    format::write_entry(&mut block, &entry);
    format::write_block(&mut bytes, &mut chain, format::Kind::Records, &block);
    let mut mark = Vec::new();
    format::Mark { time: 0, positions: vec![NextOffset(5)] }.encode(&mut mark);
    format::write_block(&mut bytes, &mut chain, format::Kind::Mark, &mark);
    machine.disk.put("0", Some(bytes));
    let mut lane = machine.unrestored("toy-0", &[0, 1]);
    for _ in 0..2 {
        let error = lane.restore().unwrap_err();
        assert!(matches!(error, LaneError::HalfRestored), "{error}");
        assert!(matches!(lane.step(None, &mut no_effects), Err(LaneError::HalfRestored)));
        assert!(!lane.mark().unwrap());
    }
    let reason = Reason::Unreadable("a question".to_owned());
    assert_eq!(machine.disk.take_discarded(), [("0".to_owned(), reason)]);
    assert!(lane.dissolve().1.iter().all(Option::is_none));
    machine.check(&machine.lane("toy-0"));
}

/// What was judged is one file, what is read is another: the older one lacks what the mark of the newer one says it has.
#[test]
fn a_snapshot_that_is_put_back_between_its_check_and_its_reading_is_not_used() {
    let (machine, lane) = with_snapshot();
    drop(lane);
    let mut old = machine.disk.bytes("0").unwrap();
    let survey = format::survey(old.as_slice(), 0).unwrap();
    old.truncate(usize::try_from(survey.end).unwrap());
    // As long as the old one, and as if the record that was said last stood in it.
    let (mut new, mut mark) = (Vec::new(), Vec::new());
    format::Mark { time: 0, positions: vec![NextOffset(9)] }.encode(&mut mark);
    let mut blocks = format::BlockReader::new(old.as_slice()).unwrap();
    let mut chain = format::Chain::default();
    format::write_preamble(&mut new);
    while let Some((kind, payload)) = blocks.next_block().unwrap() {
        let payload = if kind == format::Kind::Mark { &mark } else { payload };
        format::write_block(&mut new, &mut chain, kind, payload);
    }
    assert_eq!(new.len(), old.len());
    machine.disk.put("0", Some(new));
    let mut lane = machine.unrestored("toy-0", &[0, 1]);
    // One call opens and judges it, the next one reads.
    assert_eq!(lane.restore_some().unwrap(), Restored::More);
    machine.disk.put("0", Some(old));
    let error = lane.restore().unwrap_err();
    assert!(matches!(error, LaneError::HalfRestored), "{error}");
    let (name, reason) = machine.disk.take_discarded().remove(0);
    assert!(name == "0" && matches!(reason, Reason::Unreadable(_)), "{reason}");
    drop(lane);
    machine.check(&machine.lane("toy-0"));
}

#[test]
fn a_lane_that_is_taken_apart_while_a_proof_is_undecided_keeps_its_tasks_and_commits() {
    for fault in [Fault::LostAnswer, Fault::LostRequest] {
        let (machine, mut lane) = with_snapshot();
        machine.log.fail_commit("toy-0", fault);
        assert!(!lane.mark().unwrap());
        lane.log_mut().offer(&[partition(IN, 0)]);
        let (mut log, tasks) = lane.dissolve();
        log.reassign().unwrap();
        let kept: BTreeMap<_, _> = (0..).zip(tasks).map(|(number, task)| (number, task.unwrap())).collect();
        let mut lane = machine.assemble(log, kept, &[0]);
        assert!(lane.is_restored());
        machine.say(0, &[5, 5]);
        assert!(step(&mut lane).committed, "{fault:?}");
    }
}

#[test]
fn a_task_that_is_kept_keeps_its_snapshot_and_one_that_goes_closes_it() {
    let (machine, mut lane) = with_snapshot();
    machine.say(1, &[7, 7]);
    step(&mut lane);
    assert!(lane.mark().unwrap());
    lane.log_mut().offer(&[partition(IN, 0)]);
    lane.step(None, &mut no_effects).unwrap_err();
    let (mut log, tasks) = lane.dissolve();
    log.reassign().unwrap();
    let kept = (0..).zip(tasks).filter_map(|(number, task)| Some((number, task?))).take(1).collect();
    let mut lane = machine.assemble(log, kept, &[0]);
    assert!(lane.is_restored());
    machine.say(0, &[5, 5]);
    step(&mut lane);
    assert!(lane.mark().unwrap());
    let mut other = machine.unrestored("toy-1", &[1]);
    other.restore().unwrap();
    assert_eq!(origins(&other), (1, 0));
    drop((lane, other));
    let lane = machine.lane("toy-0");
    assert_eq!(origins(&lane), (7, 0));
    machine.check(&lane);
}

#[test]
fn a_task_with_state_but_no_offset_is_noticed_with_a_snapshot_too() {
    let (machine, lane) = with_snapshot();
    drop(lane);
    let assignment = [partition(IN, 0), partition(IN, 1)];
    // A group that nobody committed for.
    let log = machine.log.lane("another", "toy-0", &assignment).unwrap();
    let mut lane = machine.assemble(log, BTreeMap::new(), &[0, 1]);
    lane.restore().unwrap();
    let held: Vec<_> = lane.held().map(|held| (held.at, held.why.clone())).collect();
    let (changelog, earliest, end) = (partition(STATE, 0), NextOffset(0), NextOffset(10));
    assert_eq!(held, [(partition(IN, 0), Hold::NoOffset { changelog, earliest, end })]);
}

#[test]
fn a_topic_id_that_is_unknown_is_not_copied() {
    let machine = Machine::new();
    let mut snapshot = machine.snapshot(0);
    snapshot.begin();
    let at = partition(TopicId(9), 0);
    snapshot.append(&crate::snapshot::Copied { at, append_time: None, key: None, value: None });
    assert!(!snapshot.wants_mark());
}
