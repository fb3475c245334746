//! Records of our own making: what stands on topics that we write, and in the headers that we add.

use std::fmt::Debug;

use catchment_contracts::dead_letter::{ErrorCode, FieldError};
use catchment_contracts::handled::{Handled, HandledLetters};
use catchment_contracts::settings::IdentitySetting;
use catchment_contracts::{
    CampaignDecision, CampaignTrigger, CatalogItem, CustomerEvent, CustomerMerge, CustomerProfile,
    InboxMessage, NodeState, Watermark, watermark, wire,
};
use catchment_pipeline::profile::{self, Customer, NEWEST_FORMAT, StoredNode, message};
use catchment_runtime::state::{Dedup, StateFormat, Stored};

use super::{Target, choose, chosen, golden};

/// Contracts whose records have generated code, with their versions.
const HOT: [&str; 9] = [
    "customer_event.v2",
    "customer_profile.v2",
    "node_state.v2",
    "campaign_trigger.v1",
    "campaign_decision.v1",
    "catalog_item.v2",
    "watermark.v1",
    "inbox_message.v1",
    "customer_merge.v1",
];

/// Data of the contracts that have generated code.
pub(super) const CONTRACTS: Target = Target {
    name: "contracts",
    body: contracts,
    seeds: || (0..HOT.len()).map(|at| chosen(at, &golden(HOT[at]))).collect(),
    // An array of the smallest items: 3 bytes of a datum, some 150 in memory, and twice that while a vector grows.
    least: 4_096,
    per_byte: 256,
};

fn reencode(kind: usize, datum: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match kind {
        0 => {
            let event = CustomerEvent::decode(datum).ok()?;
            event.encode(&mut out);
            // What the role makes of it must not fail either.
            let _ = profile::event(event);
        }
        1 => CustomerProfile::decode(datum).ok()?.encode(&mut out),
        2 => NodeState::decode(datum).ok()?.encode(&mut out),
        3 => CampaignTrigger::decode(datum).ok()?.encode(&mut out),
        4 => CampaignDecision::decode(datum).ok()?.encode(&mut out),
        5 => CatalogItem::decode(datum).ok()?.encode(&mut out),
        6 => Watermark::decode(datum).ok()?.encode(&mut out),
        7 => InboxMessage::decode(datum).ok()?.encode(&mut out),
        _ => CustomerMerge::decode(datum).ok()?.encode(&mut out),
    }
    Some(out)
}

fn contracts(input: &[u8]) {
    let Some((kind, datum)) = choose(input, HOT.len()) else { return };
    let Some(written) = reencode(kind, datum) else { return };
    // As bytes, because a score may be NaN, which equals nothing.
    assert_eq!(reencode(kind, &written).as_ref(), Some(&written), "{}", HOT[kind]);
}

/// Stored records: of deduplication, of customers, of nodes; and what nodes say to each other.
pub(super) const STORED: Target = Target {
    name: "stored",
    body: stored,
    seeds: || {
        let versioned = |bytes: Vec<u8>| [vec![1], bytes].concat();
        let mut dedup = vec![1];
        for bucket in 0..3_u8 {
            dedup.extend_from_slice(&i64::from(bucket).wrapping_mul(21_600_000).to_be_bytes());
            dedup.extend_from_slice(&2_u32.to_be_bytes());
            dedup.extend_from_slice(&[bucket; 32]);
        }
        vec![
            chosen(0, &dedup),
            chosen(1, &(0..255).collect::<Vec<u8>>()),
            chosen(2, &golden("customer_profile.v2")),
            chosen(3, &versioned(golden("node_state.v1"))),
            chosen(3, &[vec![2], golden("node_state.v2")].concat()),
            chosen(4, &versioned(golden("inbox_message.v1"))),
        ]
    },
    least: 16_384,
    per_byte: 1_024,
};

/// As the role has it: 48 hours.
const WINDOW: u64 = 48 * 3_600_000;

fn stored(input: &[u8]) {
    match choose(input, 5) {
        Some((0, record)) => restored_ids(record),
        Some((1, operations)) => remembered_ids(operations),
        Some((2, record)) => settles::<Customer>(record),
        Some((3, record)) => settles::<StoredNode>(record),
        Some((4, record)) => drop(message::read(record)),
        _ => {}
    }
}

/// A record of deduplication, whatever it says.
fn restored_ids(record: &[u8]) {
    for limit in [1, 1_000_000] {
        let mut dedup = Dedup::new(WINDOW, limit);
        if dedup.restore(record).is_ok() {
            assert!(dedup.len() <= limit.min(record.len() / 16), "{} ids", dedup.len());
        } else {
            assert!(dedup.is_empty(), "a record that was refused counts in part");
        }
    }
}

/// Ids by the hour; each step's record is restored into another set, which then knows the same.
fn remembered_ids(operations: &[u8]) {
    let (mut dedup, mut again) = (Dedup::new(WINDOW, 64), Dedup::new(WINDOW, 64));
    for (hour, step) in (0..).zip(operations.chunks(16).take(64)) {
        let now = hour * 3_600_000;
        let before = taken(&mut dedup, step, now);
        dedup.undo();
        assert_eq!(taken(&mut dedup, step, now), before, "an abort left a trace");
        dedup.encode_step(StateFormat::FIRST, |record| again.restore(record).unwrap());
        dedup.commit();
        assert_eq!(dedup.len(), again.len());
        for id in 0..=255 {
            let [known, restored] = [&mut dedup, &mut again].map(|ids| !ids.check_and_insert([id; 16], now));
            assert_eq!(known, restored, "id {id}");
            dedup.undo();
            again.undo();
        }
    }
}

/// Which of these ids are new, and how many are known then.
fn taken(dedup: &mut Dedup, ids: &[u8], now: i64) -> (Vec<bool>, usize) {
    let new = ids.iter().map(|id| dedup.check_and_insert([*id; 16], now)).collect();
    (new, dedup.len())
}

/// What is read is written in a form that is read as the same.
fn settles<T: Stored + Debug>(record: &[u8]) {
    let Ok(value) = T::decode(record) else { return };
    let mut written = Vec::new();
    value.encode(NEWEST_FORMAT, &mut written);
    let mut again = Vec::new();
    T::decode(&written).expect("what was written is read").encode(NEWEST_FORMAT, &mut again);
    assert_eq!(written, again, "{value:?}");
}

/// Headers that we read.
pub(super) const HEADERS: Target = Target {
    name: "headers",
    body: headers,
    seeds: || {
        let watermark = [vec![1], golden("watermark.v1")].concat();
        let guid: Vec<u8> = (0..17).collect();
        vec![
            chosen(0, &watermark),
            chosen(1, &[0, 0, 0, 0, 7, 1, 2, 3]),
            chosen(2, &guid),
            chosen(3, br#"[{"code":"wrong_type","field":"a","expected":"text","actual":"a number"}]"#),
            chosen(4, b"invalid_json"),
        ]
    },
    least: 4_096,
    per_byte: 256,
};

fn headers(input: &[u8]) {
    match choose(input, 5) {
        Some((0, header)) => {
            let Ok(mark) = watermark::read(header) else { return };
            let mut written = Vec::new();
            watermark::write(&mark, &mut written);
            assert_eq!(watermark::read(&written), Ok(mark));
        }
        Some((1, value)) => {
            let Ok((id, datum)) = wire::split(value) else { return };
            let mut written = Vec::new();
            wire::write_header(&mut written, id);
            written.extend_from_slice(datum);
            assert_eq!(written, value);
            assert_eq!(wire::datum(value, id), Ok(datum));
        }
        Some((2, header)) => {
            if let Ok((key, value)) = wire::split_with_header(b"value", Some(header)) {
                assert_eq!(value, b"value");
                assert!(matches!(key.to_string().len(), 1..=10 | 36));
            }
        }
        Some((3, header)) => {
            let Ok(errors) = serde_json::from_slice::<Vec<FieldError>>(header) else { return };
            let text = serde_json::to_vec(&errors).unwrap();
            assert_eq!(serde_json::from_slice::<Vec<FieldError>>(&text).unwrap(), errors);
        }
        Some((_, header)) => {
            let Some(code) = std::str::from_utf8(header).ok().and_then(|text| text.parse::<ErrorCode>().ok())
            else {
                return;
            };
            assert_eq!(code.as_str().as_bytes(), header);
        }
        None => {}
    }
}

/// What tools leave on topics of their own.
pub(super) const TOOLS: Target = Target {
    name: "tools",
    body: tools,
    seeds: || {
        vec![
            chosen(0, br#"{"action":"dropped","letters":[[5,6],[9,9]],"newest":101,"at":0,"reason":"test"}"#),
            chosen(
                0,
                br#"{"action":"replayed","letters":[[0,100],[3,7],[200,200]],"newest":7,"at":5,"by":"me"}"#,
            ),
            chosen(1, br#"{"fingerprint":"00010203fcfdfeff","partitions":8}"#),
        ]
    },
    least: 4_096,
    per_byte: 256,
};

fn tools(input: &[u8]) {
    match choose(input, 2) {
        Some((0, record)) => {
            let Ok(handled) = Handled::decode(record) else { return };
            assert_eq!(Handled::decode(&handled.encode().unwrap()).unwrap(), handled);
            let mut letters = HandledLetters::default();
            letters.add("t/0", &handled);
            letters.add("t/0", &handled);
            for (first, last) in handled.letters.iter().filter(|(first, last)| first <= last) {
                for offset in [*first, *last] {
                    let found = letters.action("t", 0, offset, handled.newest);
                    assert_eq!(found, Some(handled.action), "{offset}");
                }
            }
        }
        Some((_, record)) => {
            let Ok(setting) = IdentitySetting::decode(record) else { return };
            assert_eq!(IdentitySetting::decode(&setting.encode().unwrap()).unwrap(), setting);
        }
        None => {}
    }
}
