//! The record of deduplication: the new ids of one step.
//!
//! Form: version byte 1, then groups in order of time: last millisecond of the bucket (8 bytes), number of ids (4
//! bytes), the ids. Integers are big-endian. A time is written, not the number of the bucket, so that another window can
//! read it; and the last one, so that none forgets an id too early.

use super::super::{StateFormat, Versions};
use super::ID;
use crate::record::Millis;
use crate::task::Unreadable;

const VERSIONS: Versions = Versions { what: "deduplication record", since: &[(StateFormat::FIRST, 1)] };

/// Ids of one bucket, and its last millisecond.
pub(super) type Group<'a> = (Millis, &'a [[u8; ID]]);

/// Begins a record.
pub(super) fn begin(format: StateFormat, out: &mut Vec<u8>) {
    out.push(VERSIONS.written_in(format));
}

/// Writes the next group.
pub(super) fn write<'a>(last: Millis, ids: impl ExactSizeIterator<Item = &'a [u8; ID]>, out: &mut Vec<u8>) {
    out.extend_from_slice(&last.to_be_bytes());
    // A step has fewer.
    out.extend_from_slice(&u32::try_from(ids.len()).unwrap_or(u32::MAX).to_be_bytes());
    for id in ids {
        out.extend_from_slice(id);
    }
}

/// The groups of a record.
///
/// # Errors
/// An unknown version, or bytes that are cut off.
pub(super) fn read(record: &[u8]) -> Result<impl Iterator<Item = Group<'_>>, Unreadable> {
    let (_, groups) = VERSIONS.split(record)?;
    let mut rest = groups;
    while !rest.is_empty() {
        let Some((_, after)) = next(rest) else {
            let left = rest.len();
            return Err(Unreadable {
                reason: format!("deduplication record: cut off, {left} bytes left over"),
            });
        };
        rest = after;
    }
    let mut rest = groups;
    Ok(std::iter::from_fn(move || {
        let (group, after) = next(rest)?;
        rest = after;
        Some(group)
    }))
}

fn next(bytes: &[u8]) -> Option<(Group<'_>, &[u8])> {
    let (last, rest) = bytes.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*count)).ok()?.checked_mul(ID)?;
    let (ids, rest) = rest.split_at_checked(len)?;
    Some(((i64::from_be_bytes(*last), ids.as_chunks::<ID>().0), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Groups = Vec<(Millis, Vec<[u8; ID]>)>;

    fn encoded(groups: &Groups) -> Vec<u8> {
        let mut record = Vec::new();
        begin(StateFormat::FIRST, &mut record);
        groups.iter().for_each(|(last, ids)| write(*last, ids.iter(), &mut record));
        record
    }

    fn decoded(record: &[u8]) -> Result<Groups, Unreadable> {
        Ok(read(record)?.map(|(last, ids)| (last, ids.to_vec())).collect())
    }

    #[test]
    fn a_record_of_any_release_is_read_and_written_as_ever() {
        let groups = vec![(9, vec![[1; ID]]), (-2, vec![[2; ID], [3; ID]])];
        let mut frozen = vec![1];
        frozen.extend([0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1]);
        frozen.extend([1; 16]);
        frozen.extend([255, 255, 255, 255, 255, 255, 255, 254, 0, 0, 0, 2]);
        frozen.extend([2; 16]);
        frozen.extend([3; 16]);
        assert_eq!(decoded(&frozen).unwrap(), groups, "read differently");
        assert_eq!(encoded(&groups), frozen, "written differently");
    }

    #[test]
    fn a_record_that_is_cut_off_or_of_a_newer_release_is_refused() {
        let mut record = encoded(&vec![(9, vec![[1; ID]]), (19, vec![[2; ID]])]);
        let good: Vec<usize> = (0..=record.len()).filter(|len| decoded(&record[..*len]).is_ok()).collect();
        assert_eq!(good, [1, 29, 57], "only whole groups");
        // A number of ids that would be 64 GiB.
        record[9..13].copy_from_slice(&[255; 4]);
        let refusal = decoded(&record).unwrap_err().to_string();
        assert_eq!(refusal, "deduplication record: cut off, 56 bytes left over");
        record[0] = 9;
        let refusal = decoded(&record).unwrap_err().to_string();
        assert!(refusal.starts_with("deduplication record of version 9, where this release reads 1: "));
        assert!(decoded(&[]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_groups_are_read_back(
            groups in prop::collection::vec((any::<i64>(), prop::collection::vec(any::<[u8; ID]>(), 0..5)), 0..5),
        ) {
            prop_assert_eq!(decoded(&encoded(&groups)).unwrap(), groups);
        }
    }
}
