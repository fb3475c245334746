//! What it costs to be able to undo a step, what a deduplication look-up costs, and what timers that are not due cost.
//!
//! `undo/*` compares ways to keep the committed value of a touched key, on a value like a profile: 40 small
//! lists, encoded about 0.9 KB. One iteration is one step that touches 1,000 of 20,000 keys and commits.

use catchment_runtime::state::StateFormat;
use catchment_runtime::{Dedup, Stored, Table, TimerIndex, Unreadable};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const KEYS: u32 = 20_000;
const TOUCHED: u32 = 1_000;

#[derive(Clone)]
struct Profile {
    lists: Vec<Vec<u32>>,
}

impl Profile {
    fn new(seed: u32) -> Self {
        Profile { lists: (0..40).map(|list| (0..5).map(|at| seed ^ (list * at)).collect()).collect() }
    }
}

impl Stored for Profile {
    fn encode(&self, _: StateFormat, out: &mut Vec<u8>) {
        out.push(1);
        for list in &self.lists {
            out.push(u8::try_from(list.len()).unwrap_or(u8::MAX));
            for value in list {
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut rest = bytes.get(1..).unwrap_or_default();
        let mut lists = Vec::with_capacity(40);
        while let Some((len, values)) = rest.split_first() {
            let bytes = values.get(..usize::from(*len) * 4);
            let bytes = bytes.ok_or_else(|| Unreadable { reason: "cut off".to_owned() })?;
            lists.push(bytes.as_chunks::<4>().0.iter().map(|value| u32::from_le_bytes(*value)).collect());
            rest = &values[bytes.len()..];
        }
        Ok(Profile { lists })
    }
}

/// Keys far apart in memory, as a stream of events has them.
fn keys(step: u32) -> impl Iterator<Item = u32> {
    (0..TOUCHED).map(move |at| (step.wrapping_mul(7_919).wrapping_add(at.wrapping_mul(104_729))) % KEYS)
}

fn undo(c: &mut Criterion) {
    let mut group = c.benchmark_group("undo");
    group.throughput(Throughput::Elements(u64::from(TOUCHED)));

    // What every variant pays: find the value and change it.
    let mut plain: Vec<Profile> = (0..KEYS).map(Profile::new).collect();
    let mut step = 0;
    group.bench_function("nothing_kept", |b| {
        b.iter(|| {
            step += 1;
            for key in keys(step) {
                change(&mut plain[key as usize]);
            }
        });
    });

    let mut kept: Vec<(u32, Profile)> = Vec::new();
    group.bench_function("clone_at_first_touch", |b| {
        b.iter(|| {
            step += 1;
            for key in keys(step) {
                kept.push((key, plain[key as usize].clone()));
                change(&mut plain[key as usize]);
            }
            kept.clear();
        });
    });

    // The encoder runs for the changelog anyway; kept bytes cost a copy of its result.
    let mut bytes: Vec<Vec<u8>> = plain.iter().map(encoded).collect();
    let fresh = encoded(&plain[0]);
    group.bench_function("encoded_bytes_kept_per_entry", |b| {
        b.iter(|| {
            step += 1;
            for key in keys(step) {
                change(&mut plain[key as usize]);
                let entry = &mut bytes[key as usize];
                entry.clear();
                entry.extend_from_slice(black_box(&fresh));
            }
        });
    });

    table_bench(&mut group, "table_with_changelog_all_decoded", usize::MAX);
    table_bench(&mut group, "table_with_changelog_none_decoded", 0);
    group.finish();
}

/// With the changelog: a step also encodes what it touched, as every task does.
fn table_bench(group: &mut Group<'_>, name: &str, decoded: usize) {
    let mut table: Table<u32, Profile> = Table::with_decoded(decoded);
    for key in 0..KEYS {
        table.insert(key, Profile::new(key));
    }
    table.commit();
    let mut step = 0;
    group.bench_function(name, |b| {
        b.iter(|| {
            step += 1;
            for key in keys(step) {
                if let Ok(Some(profile)) = table.get_mut(&key) {
                    change(profile);
                }
            }
            table.encode_dirty(|_, form, _| {
                black_box(form);
            });
            table.commit();
        });
    });
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn encoded(profile: &Profile) -> Vec<u8> {
    let mut out = Vec::new();
    profile.encode(StateFormat::FIRST, &mut out);
    out
}

fn change(profile: &mut Profile) {
    if let Some(value) = profile.lists.get_mut(7).and_then(|list| list.first_mut()) {
        *value = value.wrapping_add(1);
    }
}

fn id(number: u64) -> [u8; 16] {
    let mut id = [0; 16];
    // A stand-in for a hash: uniform in its first bytes.
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

fn dedup(c: &mut Criterion) {
    const HELD: u64 = 1_600_000;
    let mut group = c.benchmark_group("dedup");
    group.throughput(Throughput::Elements(1_000));
    let mut full = Dedup::new(8_000, usize::MAX);
    for number in 0..HELD {
        full.check_and_insert(id(number), i64::try_from(number * 8_000 / HELD).unwrap_or(0));
    }
    full.commit();
    let mut next = HELD;
    group.bench_function("new_ids_among_1_600_000", |b| {
        b.iter_batched(
            || (),
            |()| {
                for _ in 0..1_000 {
                    next += 1;
                    black_box(full.check_and_insert(id(next), 7_999));
                }
                full.undo();
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("duplicates_among_1_600_000", |b| {
        b.iter(|| {
            for number in 0..1_000 {
                black_box(full.check_and_insert(id(number * 1_511 % HELD), 7_999));
            }
        });
    });
    group.finish();
}

/// A step of 1,000 events, of which ten set a timer, ten cancel one, and nothing is due.
fn timers(c: &mut Criterion) {
    let mut group = c.benchmark_group("timers");
    for pending in [0, 10_000, 1_000_000] {
        let mut timers = pending_timers(pending);
        let mut next = pending;
        group.bench_function(format!("step_with_{pending}_pending"), |b| {
            b.iter(|| {
                for _ in 0..10 {
                    next += 1;
                    timers.set(due(next), id(next), next);
                    timers.cancel(due(next), id(next), next);
                }
                for _ in 0..1_000 {
                    black_box(timers.next_due());
                }
                timers.commit();
            });
        });
    }
    group.sample_size(10);
    group.bench_function("restore_1_000_000", |b| b.iter(|| black_box(pending_timers(1_000_000))));
    group.finish();
}

fn due(number: u64) -> i64 {
    i64::try_from(number.wrapping_mul(2_654_435_761) % 1_000_000_000).unwrap_or(0)
}

/// As a restore makes them: in the order of their nodes, which is none of theirs.
fn pending_timers(count: u64) -> TimerIndex<[u8; 16]> {
    let mut timers = TimerIndex::new();
    for number in 0..count {
        timers.set(due(number), id(number), number);
        timers.commit();
    }
    timers
}

criterion_group!(benches, undo, dedup, timers);
criterion_main!(benches);
