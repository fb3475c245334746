//! Files of snapshots: what comes back is what was marked, wherever the power was cut.

mod cuts;
mod histories;

use super::disk::Disk;
use super::{COMPACT_FROM, Counts, SnapshotError, Snapshots, Wanted};
use catchment_runtime::log::BatchLimits;
use catchment_runtime::snapshot::format::Changelog;
use catchment_runtime::snapshot::{Copied, Found, Head, Opening, Reading, Reason, Unusable};
use catchment_runtime::{Millis, NextOffset, Snapshot, TopicId, TopicPartition};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// How much may still be done to the disk: the power is cut in the middle of what comes then.
#[derive(Clone, Debug, Default)]
pub(super) struct Fuel(pub(super) Option<Arc<AtomicI64>>);

impl Fuel {
    pub(super) fn burn(&self, bytes: usize) -> io::Result<usize> {
        let Some(left) = &self.0 else { return Ok(bytes) };
        match left.fetch_sub(1, Ordering::SeqCst) {
            1 if bytes > 1 => Ok(bytes / 2),
            ..=1 => Err(io::Error::other("the power was cut")),
            _ => Ok(bytes),
        }
    }
}

const OLDEST: Duration = Duration::from_secs(1_000);
const PATIENCE: Duration = Duration::from_secs(20);

/// Kept by key.
const STATE: TopicPartition = TopicPartition { topic: TopicId(3), partition: 5 };
/// Kept by time.
const DEDUP: TopicPartition = TopicPartition { topic: TopicId(4), partition: 5 };

fn wanted() -> Wanted {
    let changelog = |topic: &str, retention| Changelog { topic: topic.to_owned(), partition: 5, retention };
    let head = Head {
        identity: vec![("app".to_owned(), "shop".to_owned())],
        changelogs: vec![changelog("state", None), changelog("dedup", Some(60_000))],
        alive: 0,
    };
    Wanted { role: "shop.profile".to_owned(), partition: 5, head, changelogs: vec![STATE, DEDUP] }
}

fn start(directory: &Path) -> Snapshots {
    Snapshots::start(directory, OLDEST).unwrap()
}

/// Everything that was handed over is written, and compacted if it is to be.
fn settle(snapshots: &Snapshots) {
    let (say, settled) = std::sync::mpsc::channel();
    snapshots.messages.send(super::writer::Message::Settle(say)).unwrap();
    settled.recv_timeout(PATIENCE).unwrap();
}

fn finish(snapshots: &Snapshots) {
    assert!(snapshots.finish(PATIENCE));
}

fn open(snapshot: &mut dyn Snapshot) -> Option<Box<Found>> {
    let begun = Instant::now();
    loop {
        match snapshot.open() {
            Opening::Pending => assert!(begun.elapsed() < PATIENCE),
            Opening::Nothing => return None,
            Opening::Found(found) => return Some(found),
        }
    }
}

fn append(snapshot: &mut dyn Snapshot, at: TopicPartition, key: &[u8], value: Option<&[u8]>) {
    snapshot.append(&Copied { at, append_time: None, key: Some(key), value });
}

fn mark(snapshot: &mut dyn Snapshot, state: u64) {
    snapshot.mark(&[(STATE, NextOffset(state)), (DEDUP, NextOffset(0))]);
}

/// Records of the changelogs: (topic, append time, key, value).
type Records = Vec<(u16, Millis, Vec<u8>, Option<Vec<u8>>)>;

fn read(snapshot: &mut dyn Snapshot, limits: &BatchLimits) -> Records {
    let mut records = Records::new();
    loop {
        let read = snapshot.read(limits, &mut |record| {
            let (key, value) = (record.key.unwrap().to_vec(), record.value.map(<[u8]>::to_vec));
            records.push((record.topic.0, record.append_time, key, value));
            Ok(())
        });
        if read.unwrap() == Reading::Done {
            return records;
        }
    }
}

/// The last value of each key that is not deleted.
fn fold(records: &Records) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut map = BTreeMap::new();
    for (_, _, key, value) in records.iter().filter(|(topic, ..)| *topic == STATE.topic.0) {
        match value {
            Some(value) => drop(map.insert(key.clone(), value.clone())),
            None => drop(map.remove(key)),
        }
    }
    map
}

#[test]
fn what_was_marked_comes_back_and_what_follows_is_written_on() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..3_u8 {
        let snapshots = start(directory.path());
        let mut snapshot = snapshots.open(wanted());
        let found = open(&mut *snapshot);
        assert_eq!(found.is_some(), round > 0);
        match found {
            None => snapshot.begin(),
            Some(found) => {
                let survey = found.survey.unwrap();
                assert_eq!(survey.head, wanted().head);
                assert_eq!(survey.mark.unwrap().positions, [NextOffset(round.into()), NextOffset(0)]);
                assert!((0..60_000).contains(&found.age), "{}", found.age);
                let records = read(&mut *snapshot, &BatchLimits { records: 1, bytes: 1 });
                let keys: Vec<_> = records.iter().map(|(_, _, key, _)| key[0]).collect();
                assert_eq!(keys, (0..round).collect::<Vec<_>>());
                snapshot.resume();
            }
        }
        append(&mut *snapshot, STATE, &[round], Some(b"v"));
        assert!(snapshot.wants_mark());
        mark(&mut *snapshot, u64::from(round) + 1);
        append(&mut *snapshot, STATE, b"not marked", Some(b"v"));
        drop(snapshot);
        finish(&snapshots);
        assert_eq!(snapshots.counts().used, u64::from(round > 0));
    }
}

#[test]
fn a_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("a/b");
    let snapshots = start(&below);
    let mut snapshot = snapshots.open(wanted());
    snapshot.begin();
    drop(snapshot);
    finish(&snapshots);
    let mode = |path: &str| fs::metadata(below.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("shop.profile/5.snapshot"), 0o600);
    assert_eq!(mode("shop.profile"), 0o700);
    assert_eq!((mode(""), mode("lock")), (0o700, 0o600));
}

#[test]
fn a_directory_is_of_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let first = start(directory.path());
    let error = Snapshots::start(directory.path(), OLDEST).unwrap_err();
    assert!(matches!(error, SnapshotError::InUse { .. }), "{error}");
    Snapshots::check(directory.path()).unwrap();
    finish(&first);
    drop(first);
    drop(start(directory.path()));
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Snapshots::check(&file.join("x")).unwrap_err().to_string();
    assert!(error.contains("cannot make the directory"), "{error}");
}

#[test]
fn the_last_who_opened_a_file_writes_it() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = start(directory.path());
    let mut zombie = snapshots.open(wanted());
    zombie.begin();
    append(&mut *zombie, STATE, b"a", Some(b"1"));
    mark(&mut *zombie, 1);
    let mut owner = snapshots.open(wanted());
    assert!(open(&mut *owner).unwrap().survey.unwrap().mark.is_some());
    append(&mut *zombie, STATE, b"b", Some(b"1"));
    mark(&mut *zombie, 9);
    assert_eq!(read(&mut *owner, &BatchLimits::default()).len(), 1);
    owner.resume();
    append(&mut *owner, STATE, b"c", Some(b"1"));
    mark(&mut *owner, 2);
    drop((zombie, owner));
    let mut next = snapshots.open(wanted());
    let survey = open(&mut *next).unwrap().survey.unwrap();
    assert_eq!(survey.mark.unwrap().positions[0], NextOffset(2));
    assert_eq!(fold(&read(&mut *next, &BatchLimits::default())).len(), 2);
}

#[test]
fn a_file_that_is_another_one_since_it_was_checked_is_not_read_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.profile/5.snapshot");
    // Two files of the same form, whose marks differ. More than what a reader takes ahead stands before those.
    let write = |state: u64| {
        let snapshots = start(directory.path());
        let mut snapshot = snapshots.open(wanted());
        let _ = open(&mut *snapshot);
        snapshot.begin();
        let value = vec![0; 64 << 10];
        snapshot.append(&Copied { at: STATE, append_time: Some(0), key: Some(b"a"), value: Some(&value) });
        mark(&mut *snapshot, state);
        drop(snapshot);
        finish(&snapshots);
        fs::read(&path).unwrap()
    };
    let (old, new) = (write(1), write(2));
    assert_eq!(old.len(), new.len());
    let snapshots = start(directory.path());
    let mut snapshot = snapshots.open(wanted());
    assert!(open(&mut *snapshot).unwrap().survey.unwrap().mark.is_some());
    fs::write(&path, &old).unwrap();
    let error = snapshot.read(&BatchLimits::default(), &mut |_| Ok(())).unwrap_err();
    assert!(error.reason.contains("was changed while it was read"), "{}", error.reason);
}

#[test]
fn a_snapshot_that_can_not_keep_up_stays_as_it_was_marked() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = start(directory.path());
    let mut snapshot = snapshots.open(wanted());
    assert!(open(&mut *snapshot).is_none());
    snapshot.begin();
    append(&mut *snapshot, STATE, b"a", Some(b"1"));
    mark(&mut *snapshot, 1);
    // As if the disk stood still and others had filled the queue.
    snapshots.shared.queued.fetch_add(super::QUEUE, Ordering::SeqCst);
    append(&mut *snapshot, STATE, b"b", Some(b"2"));
    mark(&mut *snapshot, 2);
    snapshots.shared.queued.fetch_sub(super::QUEUE, Ordering::SeqCst);
    assert!(!snapshot.wants_mark() && !snapshots.files()[0].kept_up);
    append(&mut *snapshot, STATE, b"c", Some(b"3"));
    mark(&mut *snapshot, 3);
    assert_eq!(snapshots.counts().dropped, 1);
    let mut next = snapshots.open(wanted());
    assert_eq!(open(&mut *next).unwrap().survey.unwrap().mark.unwrap().positions[0], NextOffset(1));
}

#[test]
fn a_file_that_takes_long_to_check_holds_up_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = start(directory.path());
    let mut snapshot = snapshots.open(wanted());
    assert!(open(&mut *snapshot).is_none());
    snapshot.begin();
    // Whoever opens a pipe waits for somebody at its other end.
    let pipe = directory.path().join("shop.profile/6.snapshot");
    settle(&snapshots);
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut slow = snapshots.open(Wanted { partition: 6, ..wanted() });
    append(&mut *snapshot, STATE, b"a", Some(b"1"));
    mark(&mut *snapshot, 1);
    settle(&snapshots);
    assert!(snapshots.files()[0].marked_at.is_some() && snapshots.counts().written > 0);
    assert!(matches!(slow.open(), Opening::Pending));
    drop(fs::File::options().write(true).open(&pipe).unwrap());
    assert!(matches!(open(&mut *slow).unwrap().survey, Err(Unusable::Unreadable(_))));
}

#[test]
fn what_is_discarded_is_gone_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = start(directory.path());
    let path = directory.path().join("shop.profile/5.snapshot");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "not a snapshot at all").unwrap();
    let mut snapshot = snapshots.open(wanted());
    assert_eq!(open(&mut *snapshot).unwrap().survey, Err(Unusable::NoSnapshot));
    snapshot.discard(&Reason::NoSnapshot);
    drop(snapshot);
    finish(&snapshots);
    assert!(!path.exists());
    assert_eq!(snapshots.counts().discarded, BTreeMap::from([("no_snapshot", 1)]));
    assert_eq!(snapshots.files(), []);
}

#[test]
fn a_disk_that_refuses_is_counted_and_done_without() {
    let directory = tempfile::tempdir().unwrap();
    // A file stands where the directory of the role should be.
    fs::write(directory.path().join("shop.profile"), "").unwrap();
    let snapshots = start(directory.path());
    let mut snapshot = snapshots.open(wanted());
    // "Not a directory" is no "not found".
    let found = open(&mut *snapshot);
    assert!(matches!(found.map(|found| found.survey), Some(Err(Unusable::Unreadable(_)))));
    snapshot.begin();
    let begun = Instant::now();
    while snapshots.counts().failures == 0 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    // From then on nothing is handed over.
    append(&mut *snapshot, STATE, b"a", Some(b"1"));
    mark(&mut *snapshot, 1);
    finish(&snapshots);
    assert_eq!(snapshots.counts(), Counts { failures: 1, ..Counts::default() });
    assert!(!snapshots.files()[0].kept_up && !snapshot.wants_mark());
}

#[test]
fn files_that_nobody_wants_are_removed_once_they_are_no_use() {
    let directory = tempfile::tempdir().unwrap();
    let role = directory.path().join("shop.profile");
    fs::create_dir_all(&role).unwrap();
    let yesterday = SystemTime::now() - Duration::from_secs(25 * 3_600);
    for (name, time) in
        [("1.snapshot", yesterday), ("2.snapshot", SystemTime::now()), ("3.new", SystemTime::now())]
    {
        fs::write(role.join(name), "x").unwrap();
        fs::File::options().append(true).open(role.join(name)).unwrap().set_modified(time).unwrap();
    }
    fs::write(role.join("notes.txt"), "not ours").unwrap();
    let names = || {
        let entries = fs::read_dir(&role).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    // A process that was away over a weekend finds its own.
    finish(&Snapshots::start(directory.path(), Duration::from_secs(84 * 3_600)).unwrap());
    assert_eq!(names(), ["1.snapshot", "2.snapshot", "notes.txt"]);
    finish(&start(directory.path()));
    assert_eq!(names(), ["2.snapshot", "notes.txt"]);
}

#[test]
fn status_tells_size_and_age() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = start(directory.path());
    let mut snapshot = snapshots.open(wanted());
    snapshot.begin();
    append(&mut *snapshot, STATE, b"a", Some(b"1"));
    mark(&mut *snapshot, 1);
    finish(&snapshots);
    let files = snapshots.files();
    let bytes = fs::metadata(directory.path().join("shop.profile/5.snapshot")).unwrap().len();
    assert_eq!((files[0].role.as_str(), files[0].partition, files[0].bytes), ("shop.profile", 5, bytes));
    let age = super::status::now() - files[0].marked_at.unwrap();
    assert!((0..60_000).contains(&age) && files[0].kept_up, "{age}");
    drop(snapshot);
    assert_eq!(snapshots.files(), []);
}
