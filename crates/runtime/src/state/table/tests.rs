use super::super::{StateFormat, versioned};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Text(String);

impl Stored for Text {
    fn encode(&self, format: StateFormat, out: &mut Vec<u8>) {
        out.push(format.0);
        out.extend_from_slice(self.0.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (_, rest) = versioned("text", &[1, 2], bytes)?;
        let text =
            String::from_utf8(rest.to_vec()).map_err(|error| Unreadable { reason: error.to_string() })?;
        Ok(Text(text))
    }
}

fn encode(value: &Text) -> Vec<u8> {
    let mut form = Vec::new();
    value.encode(StateFormat::FIRST, &mut form);
    form
}

fn text(text: &str) -> Text {
    Text(text.to_owned())
}

fn contents(table: &Table<u8, Text>) -> BTreeMap<u8, String> {
    table.sorted().unwrap().into_iter().map(|(key, value)| (key, value.0)).collect()
}

fn text_of(table: &mut Table<u8, Text>, key: u8) -> &mut String {
    &mut table.get_mut(&key).unwrap().unwrap().0
}

/// A table with 1 = "one" and 2 = "two", committed.
fn two() -> Table<u8, Text> {
    let mut table = Table::new();
    table.insert(1, text("one"));
    table.insert(2, text("two"));
    table.commit();
    table
}

#[test]
fn a_new_format_is_written_and_the_old_one_read() {
    let mut table: Table<u8, Text> = Table::new().in_format(StateFormat(2));
    table.restore(1, Some(b"\x01one")).unwrap();
    table.restore(2, Some(b"\x02two")).unwrap();
    table.restore(3, Some(b"\x03three")).unwrap_err();
    text_of(&mut table, 1).push('!');
    let mut written = Vec::new();
    table.encode_dirty(|_, form, _| written.extend(form.map(<[u8]>::to_vec)));
    assert_eq!(written, [b"\x02one!"], "what was not touched stays as it was written");
    table.undo();
    assert_eq!(contents(&table), BTreeMap::from([(1, "one".to_owned()), (2, "two".to_owned())]));
}

#[test]
fn dirty_keys_come_in_order_of_first_touch_with_what_was_committed() {
    let mut table = two();
    table.insert(9, text("nine"));
    text_of(&mut table, 2).push('!');
    table.remove(&1);
    text_of(&mut table, 9).push('!');
    let dirty: Vec<_> = table
        .dirty()
        .map(|dirty| (dirty.key, dirty.value.map(|value| value.0.as_str()), dirty.before))
        .collect();
    let expected = [
        (9, Some("nine!"), None),
        (2, Some("two!"), Some(&b"\x01two"[..])),
        (1, None, Some(&b"\x01one"[..])),
    ];
    assert_eq!(dirty, expected);
    table.commit();
    assert_eq!((table.dirty_len(), table.len()), (0, 2));
}

#[test]
fn reading_does_not_touch() {
    let mut table = two();
    assert!(table.contains(&1));
    assert_eq!(table.get(&1).unwrap(), Some(&text("one")));
    assert!(table.get(&3).unwrap().is_none());
    assert!(table.get_mut(&3).unwrap().is_none());
    assert!(!table.remove(&3));
    assert_eq!(table.dirty_len(), 0);
}

#[test]
fn undo_of_a_key_removed_and_made_again_gives_the_committed_value() {
    let mut table = two();
    table.remove(&1);
    assert!(table.get(&1).unwrap().is_none() && !table.contains(&1));
    table.get_or_insert_with(1, || text("other")).unwrap().0.push('!');
    table.get_or_insert_with(3, || text("three")).unwrap();
    table.undo();
    assert_eq!(contents(&table), [(1, "one".to_owned()), (2, "two".to_owned())].into());
}

#[test]
fn a_touch_after_a_commit_remembers_the_newer_value() {
    let mut table = two();
    text_of(&mut table, 1).push('!');
    table.commit();
    text_of(&mut table, 1).push('?');
    table.undo();
    assert_eq!(table.get(&1).unwrap(), Some(&text("one!")));
}

#[test]
fn restore_takes_the_last_of_each_key_and_marks_nothing() {
    let mut table: Table<u8, Text> = Table::new();
    table.restore(1, Some(b"\x01a")).unwrap();
    table.restore(1, Some(b"\x01b")).unwrap();
    table.restore(2, Some(b"\x01c")).unwrap();
    table.restore(2, None).unwrap();
    table.restore(3, None).unwrap();
    assert_eq!(contents(&table), [(1, "b".to_owned())].into());
    assert_eq!((table.len(), table.dirty_len()), (1, 0));
}

#[test]
fn an_unknown_version_is_refused_with_the_reason() {
    let mut table: Table<u8, Text> = Table::new();
    let reason = table.restore(1, Some(b"\x07a")).unwrap_err().reason;
    assert_eq!(
        reason,
        "text of version 7, where this release reads 1, 2: a newer release wrote it; run that one"
    );
    assert_eq!(
        table.restore(1, Some(b"")).unwrap_err().reason,
        "text without a version: the record is empty"
    );
}

#[test]
fn a_change_after_encoding_makes_the_form_worthless() {
    let mut table = two();
    text_of(&mut table, 1).push('!');
    table.encode_dirty(|_, _, _| {});
    text_of(&mut table, 1).push('?');
    table.commit();
    text_of(&mut table, 1).clear();
    table.undo();
    assert_eq!(table.get(&1).unwrap(), Some(&text("one!?")));
}

fn decoded(table: &Table<u8, Text>) -> Vec<u8> {
    (0..=255).filter(|key| table.map.get(key).is_some_and(|entry| entry.value().is_some())).collect()
}

#[test]
fn values_that_are_not_asked_for_go_back_to_their_form_and_the_oldest_first() {
    let mut table: Table<u8, Text> = Table::with_decoded(10);
    for key in 0..5 {
        table.insert(key, text("abc"));
        table.commit();
    }
    for _ in 0..5 {
        text_of(&mut table, 4).push('.');
        table.commit();
    }
    assert_eq!((decoded(&table), table.decoded.bytes), (vec![4], 9));
    assert_eq!(table.len(), 5);
    assert_eq!(table.get(&0).unwrap(), Some(&text("abc")));
    assert_eq!(decoded(&table), [0, 4], "within a step all that are asked for stay");
    table.commit();
    assert_eq!(decoded(&table), [4]);
}

#[test]
fn keys_that_come_and_go_leave_nothing_behind() {
    let mut table: Table<u8, Text> = Table::new();
    for _ in 0..100 {
        table.insert(1, text("x"));
        table.commit();
        table.remove(&1);
        table.commit();
    }
    assert!(table.is_empty() && table.map.len() == 0);
    assert!(table.decoded.order.len() < 20 && table.decoded.bytes == 0);
}

#[test]
fn a_form_that_is_broken_inside_is_found_when_it_is_asked_for() {
    struct Lenient;
    impl Stored for Lenient {
        fn encode(&self, _: StateFormat, out: &mut Vec<u8>) {
            out.push(1);
        }
        fn decode(_: &[u8]) -> Result<Self, Unreadable> {
            Err(Unreadable { reason: "broken".to_owned() })
        }
        fn check(_: &[u8]) -> Result<(), Unreadable> {
            Ok(())
        }
    }
    let mut table: Table<u8, Lenient> = Table::new();
    table.restore(1, Some(b"?")).unwrap();
    assert_eq!(table.get_mut(&1).err().unwrap().reason, "broken");
    assert_eq!(table.get_or_insert_with(1, || Lenient).err().unwrap().reason, "broken");
    assert_eq!((table.len(), table.dirty_len()), (1, 0));
}

#[derive(Clone, Debug)]
enum Change {
    Insert(u8, String),
    Append(u8),
    Remove(u8),
    Commit { encoded: bool },
    Undo,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0_u8..5, "[a-c]{0,3}").prop_map(|(key, value)| Change::Insert(key, value)),
        4 => (0_u8..5).prop_map(Change::Append),
        3 => (0_u8..5).prop_map(Change::Remove),
        2 => any::<bool>().prop_map(|encoded| Change::Commit { encoded }),
        1 => Just(Change::Undo),
    ]
}

#[test]
fn memory_follows_what_is_stored() {
    let mut table: Table<u8, Text> = Table::with_decoded(0);
    let empty = table.memory();
    table.restore(1, Some(&[1; 1_000])).unwrap();
    table.restore(2, Some(&[1; 3_000])).unwrap();
    let two = table.memory();
    assert!((4_000..5_000).contains(&(two - empty)), "{two}");
    table.restore(2, Some(&[1; 500])).unwrap();
    assert_eq!(table.memory(), two - 2_500);
    text_of(&mut table, 2).push_str("12345");
    table.undo();
    assert_eq!(table.memory(), two - 2_500);
    text_of(&mut table, 2).push_str("12345");
    table.commit();
    (0..9).for_each(|_| table.commit());
    assert_eq!(table.memory(), two - 2_495);
    table.remove(&2);
    table.commit();
    table.restore(1, None).unwrap();
    assert_eq!(table.memory(), empty);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Against a plain map of which a copy is kept; and what `dirty` writes rebuilds the committed state.
    #[test]
    fn a_table_equals_a_map_with_copies(
        changes in prop::collection::vec(change(), 0..60),
        limit in prop_oneof![Just(0_usize), 1_usize..20, Just(DEFAULT_DECODED)],
    ) {
        let mut table: Table<u8, Text> = Table::with_decoded(limit);
        let (mut now, mut committed) = (BTreeMap::new(), BTreeMap::new());
        let mut changelog: Table<u8, Text> = Table::new();
        for change in changes {
            match change {
                Change::Insert(key, value) => {
                    table.insert(key, Text(value.clone()));
                    now.insert(key, value);
                }
                Change::Append(key) => {
                    table.get_or_insert_with(key, || text("new")).unwrap().0.push('+');
                    now.entry(key).or_insert_with(|| "new".to_owned()).push('+');
                }
                Change::Remove(key) => {
                    prop_assert_eq!(table.remove(&key), now.remove(&key).is_some());
                }
                Change::Commit { encoded } => {
                    let mut forms = Vec::new();
                    for dirty in table.dirty() {
                        let form = dirty.value.map(encode);
                        forms.push((dirty.key, form.clone(), dirty.before.map(<[u8]>::to_vec)));
                        let committed = changelog.copied(&dirty.key).unwrap().as_ref().map(encode);
                        prop_assert_eq!(dirty.before.map(<[u8]>::to_vec), committed);
                    }
                    if encoded {
                        let mut same = Vec::new();
                        table.encode_dirty(|key, form, before| {
                            same.push((*key, form.map(<[u8]>::to_vec), before.map(<[u8]>::to_vec)));
                        });
                        prop_assert_eq!(&same, &forms);
                    }
                    for (key, form, _) in forms {
                        changelog.restore(key, form.as_deref()).unwrap();
                    }
                    table.commit();
                    committed = now.clone();
                    prop_assert_eq!(contents(&changelog), committed.clone());
                }
                Change::Undo => {
                    table.undo();
                    now = committed.clone();
                }
            }
            prop_assert_eq!(contents(&table), now.clone());
            prop_assert_eq!(table.len(), now.len());
            for key in 0..5 {
                let value = table.copied(&key).unwrap().map(|value| value.0);
                prop_assert_eq!(value.as_ref(), now.get(&key));
            }
            let bytes: usize = decoded(&table).iter().map(|key| table.map.get(key).unwrap().form.len()).sum();
            prop_assert_eq!(table.decoded.bytes, bytes);
            prop_assert!(table.dirty_len() > 0 || bytes <= limit.max(20 * 5));
        }
    }
}
