//! The power is cut at each point of writing and compacting.

use super::*;

/// Appends records, marks now and then, and keeps on after the power was cut, as a lane does. Returns what was
/// appended: offset by offset.
fn write(snapshots: &Snapshots, before: &Records) -> Records {
    let mut snapshot = snapshots.open(wanted());
    let mut records = before.clone();
    match open(&mut *snapshot) {
        None => snapshot.begin(),
        Some(found) => match found.survey {
            Ok(survey) if survey.mark.is_some() => {
                assert_eq!(fold(&read(&mut *snapshot, &BatchLimits::default())), fold(before));
                snapshot.resume();
            }
            _ => snapshot.begin(),
        },
    }
    for number in 0..40_u8 {
        let (key, value) = (vec![number % 5], (number % 7 != 0).then(|| vec![number; 60]));
        append(&mut *snapshot, STATE, &key, value.as_deref());
        records.push((STATE.topic.0, 0, key, value));
        if number % 4 == 3 {
            mark(&mut *snapshot, records.len() as u64);
            // Else what comes next is written while the file is compacted.
            if number % 3 == 0 {
                settle(snapshots);
            }
        }
    }
    records
}

/// What is in the file is what the changelog held up to the mark.
fn check(directory: &Path, records: &Records) -> bool {
    let snapshots = start(directory);
    let mut snapshot = snapshots.open(wanted());
    let survey = open(&mut *snapshot).and_then(|found| found.survey.ok());
    let Some(mark) = survey.and_then(|survey| survey.mark) else { return false };
    let position = usize::try_from(mark.positions[0].0).unwrap();
    assert!(position <= records.len());
    let prefix: Records = records[..position].to_vec();
    assert_eq!(fold(&read(&mut *snapshot, &BatchLimits::default())), fold(&prefix), "up to {position}");
    true
}

#[test]
fn the_power_may_be_cut_at_any_point() {
    // As small as it is, the file is compacted several times.
    let with = |path: &Path, fuel| Snapshots::with(path, OLDEST, 600, Disk { fuel }).unwrap();
    let (mut usable, mut fuel) = (0, 0);
    loop {
        let directory = tempfile::tempdir().unwrap();
        let left = Arc::new(AtomicI64::new(fuel));
        let snapshots = with(directory.path(), Fuel(Some(Arc::clone(&left))));
        let records = write(&snapshots, &Records::new());
        finish(&snapshots);
        let compactions = snapshots.counts().compactions;
        drop(snapshots);
        usable += i64::from(check(directory.path(), &records));
        if left.load(Ordering::SeqCst) > 0 {
            assert!(compactions > 2, "{compactions}");
            break;
        }
        fuel += 1;
    }
    assert!(fuel > 60 && usable > fuel / 2, "{usable} of {fuel}");
}

#[test]
fn a_second_life_may_be_cut_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.profile/5.snapshot");
    let snapshots = start(directory.path());
    let records = write(&snapshots, &Records::new());
    finish(&snapshots);
    drop(snapshots);
    let first = fs::read(&path).unwrap();
    for fuel in 0..60 {
        fs::write(&path, &first).unwrap();
        let disk = Disk { fuel: Fuel(Some(Arc::new(AtomicI64::new(fuel)))) };
        let snapshots = Snapshots::with(directory.path(), OLDEST, 600, disk).unwrap();
        let records = write(&snapshots, &records);
        finish(&snapshots);
        drop(snapshots);
        assert!(check(directory.path(), &records), "cut after {fuel}");
    }
}

#[test]
fn a_file_torn_at_any_byte_holds_what_was_marked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.profile/5.snapshot");
    let snapshots = start(directory.path());
    let records = write(&snapshots, &Records::new());
    finish(&snapshots);
    drop(snapshots);
    let whole = fs::read(&path).unwrap();
    let usable = (0..=whole.len()).filter(|at| {
        fs::write(&path, &whole[..*at]).unwrap();
        check(directory.path(), &records)
    });
    assert!(usable.count() > whole.len() / 2);
}
