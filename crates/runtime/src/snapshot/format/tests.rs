use super::*;
use proptest::prelude::*;

type Owned = (u16, Millis, Option<Vec<u8>>, Option<Vec<u8>>);

fn head() -> Head {
    let changelog = |retention| Changelog { topic: "a.b".to_owned(), partition: 7, retention };
    let identity = vec![("cluster".to_owned(), "c\u{e9}".to_owned())];
    Head { identity, changelogs: vec![changelog(None), changelog(Some(5))], alive: 9 }
}

type Block = (Kind, Vec<u8>);

fn block(kind: Kind, encode: impl FnOnce(&mut Vec<u8>)) -> Block {
    let mut payload = Vec::new();
    encode(&mut payload);
    (kind, payload)
}

/// Bytes of a block, with its header.
fn size((_, payload): &Block) -> usize {
    payload.len() + 13
}

fn file(blocks: &[Block]) -> Vec<u8> {
    let (mut file, mut chain) = (Vec::new(), Chain::default());
    write_preamble(&mut file);
    for (kind, payload) in [&block(Kind::Head, |out| head().encode(out))].into_iter().chain(blocks) {
        write_block(&mut file, &mut chain, *kind, payload);
    }
    file
}

fn look(file: &[u8]) -> Result<Survey, Unusable> {
    survey(file, file.len() as u64)
}

fn mark(first: u64) -> Block {
    let mark = Mark { time: 3, positions: vec![NextOffset(first), NextOffset(2)] };
    block(Kind::Mark, |out| mark.encode(out))
}

fn record(changelog: u16) -> Block {
    let entry = Entry { changelog, append_time: -1, key: Some(b"k"), value: None };
    block(Kind::Records, |out| write_entry(out, &entry))
}

/// Bytes that were written once must stay readable: see [`VERSION`].
#[test]
fn the_form_of_version_1_is_frozen() {
    let file = file(&[record(1), mark(6)]);
    let hex: String = file.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden_v1.hex").trim());
}

#[test]
fn the_last_intact_mark_counts() {
    let whole = file(&[record(0), mark(6), record(1), mark(8), record(0)]);
    let survey = look(&whole).unwrap();
    assert_eq!((survey.head, survey.records, survey.bytes), (head(), 2, whole.len() as u64));
    assert_eq!(survey.mark.unwrap().positions, [NextOffset(8), NextOffset(2)]);
    assert_eq!(survey.end, (whole.len() - size(&record(0))) as u64);
}

#[test]
fn what_is_not_intact_ends_the_file() {
    let check = |what: &str, bytes: &[u8]| {
        let positions = look(bytes).unwrap().mark.unwrap().positions;
        assert_eq!(positions[0], NextOffset(6), "{what}");
    };
    for (what, bad) in [
        ("a head again", block(Kind::Head, |out| head().encode(out))),
        (
            "a mark of other changelogs",
            block(Kind::Mark, |out| Mark { time: 0, positions: vec![NextOffset(9)] }.encode(out)),
        ),
        ("a record of another changelog", record(2)),
        ("a record that is cut off", block(Kind::Records, |out| out.extend_from_slice(&[0; 19]))),
    ] {
        check(what, &file(&[record(0), mark(6), bad, mark(9)]));
    }
    let good = file(&[record(0), mark(6)]).len();
    let whole = file(&[record(0), mark(6), record(1), mark(9)]);
    for (what, at, value) in
        [("a length", good + 3, 0xff), ("a kind", good + 4, 3), ("a checksum", good + 5, 1)]
    {
        let mut bytes = whole.clone();
        bytes[at] ^= value;
        check(what, &bytes);
    }
    let mut lost = whole;
    lost.drain(good..good + size(&record(1)));
    check("a block that is missing", &lost);
}

#[test]
fn what_is_no_snapshot_says_so() {
    for bad in [&b""[..], b"CATSNP", b"something else", b"CATSNP\x01\x00", b"CATSNP\x01\x00\xff\xff\xff\xff"]
    {
        assert_eq!(look(bad), Err(Unusable::NoSnapshot), "{bad:?}");
    }
    assert_eq!(look(b"CATSNP\x02\x01"), Err(Unusable::Version(0x0102)));
}

#[test]
fn flags_that_nobody_set_are_refused() {
    let entry = Entry { changelog: 0, append_time: 0, key: Some(b"k"), value: Some(b"v") };
    let mut payload = Vec::new();
    write_entry(&mut payload, &entry);
    for flags in [0, 1, 2, 7, 0x100] {
        payload[2..4].copy_from_slice(&u16::to_le_bytes(flags));
        assert_eq!(entries(&payload).collect::<Vec<_>>(), [Err(Malformed)], "{flags}");
    }
}

proptest! {
    #[test]
    fn records_come_back(records in prop::collection::vec(any::<Owned>(), 0..20)) {
        let mut payload = Vec::new();
        let all: Vec<_> = records.iter().map(|(changelog, append_time, key, value)| {
            Entry { changelog: *changelog, append_time: *append_time, key: key.as_deref(), value: value.as_deref() }
        }).collect();
        let mut size = 0;
        for entry in &all {
            write_entry(&mut payload, entry);
            size += entry.size();
        }
        prop_assert_eq!(size, payload.len());
        let back: Result<Vec<_>, _> = entries(&payload).collect();
        prop_assert_eq!(back, Ok(all));
    }

    #[test]
    fn heads_and_marks_come_back(
        identity in prop::collection::vec(any::<(String, String)>(), 0..4),
        changelogs in prop::collection::vec((any::<String>(), any::<u32>(), prop::option::of(0..i64::MAX)), 0..4),
        alive: u64, time: i64, positions: Vec<u64>,
    ) {
        let changelogs = changelogs.into_iter()
            .map(|(topic, partition, retention)| Changelog { topic, partition, retention }).collect();
        let head = Head { identity, changelogs, alive };
        let mut payload = Vec::new();
        head.encode(&mut payload);
        prop_assert_eq!(Head::decode(&payload), Ok(head));
        let mark = Mark { time, positions: positions.into_iter().map(NextOffset).collect() };
        let mut payload = Vec::new();
        mark.encode(&mut payload);
        prop_assert_eq!(Mark::decode(&payload), Ok(mark));
    }

    #[test]
    fn no_bytes_are_too_strange(bytes: Vec<u8>) {
        let _ = look(&bytes);
        let _ = look(&[&b"CATSNP\x01\x00"[..], &bytes].concat());
        let _ = (Head::decode(&bytes), Mark::decode(&bytes), entries(&bytes).count());
    }
}
