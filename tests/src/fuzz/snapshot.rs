//! The files of snapshots: read from a disk that may have lost or torn any part of them.

use catchment_runtime::NextOffset;
use catchment_runtime::snapshot::format::{
    Chain, Changelog, Entry, Head, Kind, Mark, entries, survey, write_block, write_entry, write_preamble,
};

use super::{Target, choose, chosen};

/// Files, what stands in their blocks, and files whose checksums are right whatever stands in them.
pub(super) const SNAPSHOT: Target = Target {
    name: "snapshot",
    body: snapshot,
    seeds: || {
        let mut seeds = vec![chosen(0, &whole())];
        seeds.push(chosen(1, &encoded(|out| head().encode(out))));
        seeds.push(chosen(2, &encoded(|out| mark().encode(out))));
        seeds.push(chosen(3, &encoded(records)));
        let blocks: [(u8, Vec<u8>); 3] = [
            (0, encoded(|out| head().encode(out))),
            (1, encoded(records)),
            (2, encoded(|out| mark().encode(out))),
        ];
        let blocks = blocks.iter().flat_map(|(kind, payload)| {
            [vec![*kind, u8::try_from(payload.len()).unwrap()], payload.clone()].concat()
        });
        seeds.push(chosen(4, &blocks.collect::<Vec<u8>>()));
        seeds
    },
    // Two empty texts are 4 bytes of a head and 48 in memory, in a list that doubles (three times that while it moves); and
    // there are two heads, which are compared.
    least: 4_096,
    per_byte: 96,
};

fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn head() -> Head {
    let changelog = |topic: &str, retention| Changelog { topic: topic.to_owned(), partition: 3, retention };
    Head {
        identity: vec![("cluster".to_owned(), "abc".to_owned())],
        changelogs: vec![changelog("customer.profiles", None), changelog("dedup", Some(345_600_000))],
        alive: 77,
    }
}

fn mark() -> Mark {
    Mark { time: 1_772_701_200_000, positions: vec![NextOffset(7), NextOffset(9)] }
}

fn records(out: &mut Vec<u8>) {
    let entry = |changelog, key, value| Entry { changelog, append_time: 5, key, value };
    write_entry(out, &entry(0, Some(b"key"), Some(b"value")));
    write_entry(out, &entry(1, None, Some(b"ids")));
    write_entry(out, &entry(0, Some(b"gone"), None));
}

fn whole() -> Vec<u8> {
    let mut file = Vec::new();
    write_preamble(&mut file);
    let mut chain = Chain::default();
    write_block(&mut file, &mut chain, Kind::Head, &encoded(|out| head().encode(out)));
    write_block(&mut file, &mut chain, Kind::Records, &encoded(records));
    write_block(&mut file, &mut chain, Kind::Mark, &encoded(|out| mark().encode(out)));
    file
}

fn snapshot(input: &[u8]) {
    let Some((kind, bytes)) = choose(input, 5) else { return };
    match kind {
        0 => surveyed(bytes),
        1 => {
            let Ok(head) = Head::decode(bytes) else { return };
            assert_eq!(Head::decode(&encoded(|out| head.encode(out))).as_ref(), Ok(&head));
        }
        2 => {
            let Ok(mark) = Mark::decode(bytes) else { return };
            assert_eq!(encoded(|out| mark.encode(out)), bytes);
        }
        3 => {
            let mut read = 0;
            for entry in entries(bytes) {
                let Ok(entry) = entry else { return };
                let written = encoded(|out| write_entry(out, &entry));
                assert_eq!(written, bytes[read..read + entry.size()]);
                read += entry.size();
            }
            assert_eq!(read, bytes.len(), "bytes are left, and no record is said to be broken");
        }
        _ => surveyed(&chained(bytes)),
    }
}

/// Blocks of these kinds and payloads, with the checksums that they need: a kind, a length, a payload, and so on.
fn chained(mut bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    write_preamble(&mut file);
    let mut chain = Chain::default();
    while let [kind, length, rest @ ..] = bytes {
        let (payload, after) = rest.split_at(usize::from(*length).min(rest.len()));
        let kind = [Kind::Head, Kind::Records, Kind::Mark][usize::from(*kind) % 3];
        write_block(&mut file, &mut chain, kind, payload);
        bytes = after;
    }
    file
}

/// What is said of a file holds of the part up to its last mark alone, which is where it is cut off.
fn surveyed(file: &[u8]) {
    let bytes = file.len() as u64;
    let Ok(found) = survey(file, bytes) else { return };
    assert!(found.end <= bytes && found.records <= bytes / 20);
    if let Some(mark) = &found.mark {
        assert_eq!(mark.positions.len(), found.head.changelogs.len());
    }
    let cut = &file[..usize::try_from(found.end).unwrap()];
    let mut again = survey(cut, bytes).expect("what was found is found again");
    again.bytes = found.bytes;
    assert_eq!(again, found);
}
