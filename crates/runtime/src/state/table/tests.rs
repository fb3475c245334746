use super::super::versioned;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Text(String);

impl Stored for Text {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(1);
        out.extend_from_slice(self.0.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (_, rest) = versioned("text", &[1], bytes)?;
        let text =
            String::from_utf8(rest.to_vec()).map_err(|error| Unreadable { reason: error.to_string() })?;
        Ok(Text(text))
    }
}

fn encode(value: &Text) -> Vec<u8> {
    let mut form = Vec::new();
    value.encode(&mut form);
    form
}

fn text(text: &str) -> Text {
    Text(text.to_owned())
}

fn contents(table: &Table<u8, Text>) -> BTreeMap<u8, String> {
    table.iter_sorted().map(|(key, value)| (key, value.0.clone())).collect()
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
fn dirty_keys_come_in_order_of_first_touch_with_what_was_committed() {
    let mut table = two();
    table.insert(9, text("nine"));
    table.get_mut(&2).unwrap().0.push('!');
    table.remove(&1);
    table.get_mut(&9).unwrap().0.push('!');
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
    assert!(table.get(&3).is_none());
    assert!(table.get_mut(&3).is_none());
    assert!(table.remove(&3).is_none());
    assert_eq!(table.dirty_len(), 0);
}

#[test]
fn undo_of_a_key_removed_and_made_again_gives_the_committed_value() {
    let mut table = two();
    table.remove(&1);
    assert!(table.get(&1).is_none());
    table.get_or_insert_with(1, || text("other")).0.push('!');
    table.get_or_insert_with(3, || text("three"));
    table.undo().unwrap();
    assert_eq!(contents(&table), [(1, "one".to_owned()), (2, "two".to_owned())].into());
}

#[test]
fn a_touch_after_a_commit_remembers_the_newer_value() {
    let mut table = two();
    table.get_mut(&1).unwrap().0.push('!');
    table.commit();
    table.get_mut(&1).unwrap().0.push('?');
    table.undo().unwrap();
    assert_eq!(table.get(&1), Some(&text("one!")));
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
    assert_eq!(reason, "text: version 7 is not one of [1]");
    assert_eq!(table.restore(1, Some(b"")).unwrap_err().reason, "text: empty, without a version byte");
}

#[test]
fn a_form_that_is_kept_is_used_at_the_next_touch_and_only_the_latest() {
    let mut table = two();
    table.get_mut(&1).unwrap().0.push('!');
    table.encode_dirty(|_, _, _| {});
    table.commit();
    assert_eq!(table.map.get(&1).unwrap().form.as_deref(), Some(&b"\x01one!"[..]));
    table.get_mut(&1).unwrap().0.push('?');
    // Without encoding: what was kept is out of date and goes.
    table.commit();
    assert_eq!(table.map.get(&1).unwrap().form, None);
    table.get_mut(&1).unwrap().0.clear();
    table.undo().unwrap();
    assert_eq!(table.get(&1), Some(&text("one!?")));
}

#[test]
fn a_change_after_encoding_makes_the_form_worthless() {
    let mut table = two();
    table.get_mut(&1).unwrap().0.push('!');
    table.encode_dirty(|_, _, _| {});
    table.get_mut(&1).unwrap().0.push('?');
    table.commit();
    table.get_mut(&1).unwrap().0.clear();
    table.undo().unwrap();
    assert_eq!(table.get(&1), Some(&text("one!?")));
}

#[test]
fn kept_forms_stay_below_their_limit_and_the_oldest_go_first() {
    let mut table: Table<u8, Text> = Table::with_kept(10);
    for key in 0..5 {
        table.insert(key, text("abc"));
        table.encode_dirty(|_, _, _| {});
        table.commit();
    }
    let kept: Vec<_> = (0..5).filter(|key| table.map.get(key).unwrap().form.is_some()).collect();
    assert_eq!((kept, table.kept.bytes), (vec![3, 4], 8));
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Against a plain map of which a copy is kept; and what `dirty` writes rebuilds the committed state.
    #[test]
    fn a_table_equals_a_map_with_copies(
        changes in prop::collection::vec(change(), 0..60),
        kept in prop_oneof![Just(0_usize), 1_usize..20, Just(DEFAULT_KEPT)],
    ) {
        let mut table: Table<u8, Text> = Table::with_kept(kept);
        let (mut now, mut committed) = (BTreeMap::new(), BTreeMap::new());
        let mut changelog: Table<u8, Text> = Table::new();
        for change in changes {
            match change {
                Change::Insert(key, value) => {
                    table.insert(key, Text(value.clone()));
                    now.insert(key, value);
                }
                Change::Append(key) => {
                    table.get_or_insert_with(key, || text("new")).0.push('+');
                    now.entry(key).or_insert_with(|| "new".to_owned()).push('+');
                }
                Change::Remove(key) => {
                    prop_assert_eq!(table.remove(&key).map(|value| value.0), now.remove(&key));
                }
                Change::Commit { encoded } => {
                    let mut forms = Vec::new();
                    for dirty in table.dirty() {
                        let form = dirty.value.map(encode);
                        forms.push((dirty.key, form.clone(), dirty.before.map(<[u8]>::to_vec)));
                        prop_assert_eq!(dirty.before.map(<[u8]>::to_vec), changelog.get(&dirty.key).map(encode));
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
                    table.undo().unwrap();
                    now = committed.clone();
                }
            }
            prop_assert_eq!(contents(&table), now.clone());
            prop_assert_eq!(table.len(), now.len());
            let kept_now: usize =
                (0..5).filter_map(|key| table.map.get(&key)?.form.as_ref()).map(Vec::len).sum();
            prop_assert_eq!(table.kept.bytes, kept_now);
            prop_assert!(kept_now <= kept);
        }
    }
}
