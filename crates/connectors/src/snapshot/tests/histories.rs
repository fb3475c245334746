//! Random histories against the changelog, with compaction.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Event {
    Set(u8, u8),
    Delete(u8),
    /// Ids that were seen, so many seconds ago.
    Seen(u8, i64),
    Mark,
    /// What is compacted is so before anything else happens.
    Settle,
    /// The process ends and another one begins.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..9_u8, any::<u8>()).prop_map(|(key, value)| Event::Set(key, value)),
        3 => (0..9_u8).prop_map(Event::Delete),
        3 => (any::<u8>(), 0..120_i64).prop_map(|(id, age)| Event::Seen(id, age)),
        4 => Just(Event::Mark),
        2 => Just(Event::Settle),
        1 => Just(Event::Restart),
    ]
}

/// The changelogs, and a process that keeps a snapshot of them.
struct Process {
    directory: tempfile::TempDir,
    state: Records,
    dedup: Records,
    /// What was marked last.
    marked: (usize, usize),
    running: Option<(Snapshots, Box<dyn Snapshot>)>,
}

impl Process {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (state, dedup) = (Records::new(), Records::new());
        Process { directory, state, dedup, marked: (0, 0), running: None }
    }

    /// Restores from the snapshot, and holds it against the changelogs.
    fn start(&mut self) {
        let snapshots = Snapshots::with(self.directory.path(), OLDEST, 400, Disk::default()).unwrap();
        let mut snapshot = snapshots.open(wanted());
        match open(&mut *snapshot) {
            None => {
                assert_eq!(self.marked, (0, 0));
                snapshot.begin();
            }
            Some(found) => {
                let mark = found.survey.unwrap().mark.unwrap();
                let (state, dedup) = self.marked;
                assert_eq!(mark.positions, [NextOffset(state as u64), NextOffset(dedup as u64)]);
                let records = read(&mut *snapshot, &BatchLimits::default());
                assert_eq!(fold(&records), fold(&self.state[..state].to_vec()));
                // Of what is kept by time nothing is lost that is young enough.
                let young = super::super::status::now() - 60_000;
                let mut kept = records.iter().filter(|(topic, ..)| *topic == DEDUP.topic.0);
                for record in self.dedup[..dedup].iter().filter(|(_, time, ..)| *time >= young) {
                    assert!(kept.any(|kept| kept == record), "{record:?} is lost");
                }
                snapshot.resume();
                // The tail, as a lane would read it from the log.
                self.copy(&mut *snapshot, state, dedup);
            }
        }
        self.running = Some((snapshots, snapshot));
        self.mark();
    }

    fn copy(&self, snapshot: &mut dyn Snapshot, state: usize, dedup: usize) {
        for (at, records) in [(STATE, &self.state[state..]), (DEDUP, &self.dedup[dedup..])] {
            for (_, append_time, key, value) in records {
                let (append_time, key, value) = (Some(*append_time), Some(key.as_slice()), value.as_deref());
                snapshot.append(&Copied { at, append_time, key, value });
            }
        }
    }

    fn add(&mut self, at: TopicPartition, time: Millis, key: &[u8], value: Option<&[u8]>) {
        let log = if at == STATE { &mut self.state } else { &mut self.dedup };
        log.push((at.topic.0, time, key.to_vec(), value.map(<[u8]>::to_vec)));
        if let Some((_, snapshot)) = &mut self.running {
            snapshot.append(&Copied { at, append_time: Some(time), key: Some(key), value });
        }
    }

    fn mark(&mut self) {
        self.marked = (self.state.len(), self.dedup.len());
        let (state, dedup) = (NextOffset(self.marked.0 as u64), NextOffset(self.marked.1 as u64));
        if let Some((_, snapshot)) = &mut self.running {
            snapshot.mark(&[(STATE, state), (DEDUP, dedup)]);
        }
    }

    fn stop(&mut self) -> u64 {
        let Some((snapshots, snapshot)) = self.running.take() else { return 0 };
        drop(snapshot);
        finish(&snapshots);
        assert_eq!(snapshots.counts().failures, 0);
        snapshots.counts().compactions
    }

    fn happen(&mut self, event: &Event) {
        let now = super::super::status::now();
        match *event {
            Event::Set(key, value) => self.add(STATE, now, &[key; 20], Some(&[value; 30])),
            Event::Delete(key) => self.add(STATE, now, &[key; 20], None),
            Event::Seen(id, age) => self.add(DEDUP, now - 1_000 * age, b"", Some(&[id; 16])),
            Event::Mark => self.mark(),
            Event::Settle => settle(&self.running.as_ref().unwrap().0),
            Event::Restart => {
                self.stop();
                self.start();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_holds_what_the_changelogs_held_at_its_mark(events in prop::collection::vec(event(), 0..150)) {
        let mut process = Process::new();
        process.start();
        for event in &events {
            process.happen(event);
        }
        process.stop();
        process.start();
        process.stop();
    }
}

#[test]
fn a_file_of_one_key_is_compacted_again_and_again() {
    let mut process = Process::new();
    process.start();
    for round in 0..200_u8 {
        process.happen(&Event::Set(1, round));
        process.happen(&Event::Set(2, round));
        process.happen(&Event::Delete(2));
        process.happen(&Event::Mark);
        if round % 3 == 0 {
            process.happen(&Event::Settle);
        }
    }
    assert!(process.stop() > 5);
    let path = process.directory.path().join("shop.profile/5.snapshot");
    assert!(fs::metadata(&path).unwrap().len() < 2_000, "of more than 20,000 that were written");
    assert!(!path.with_extension("new").exists());
    process.start();
    assert_eq!(COMPACT_FROM, 8 << 20);
}
