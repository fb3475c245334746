//! The longest single operations of a task's state at sizes that a node holds: what a lane stands still for, beyond the
//! work of its batch. `cargo bench -p catchment-runtime --bench pauses`; about a minute and 4 GB.
//!
//! A mean would hide what is looked for, so that this times every operation and shows the longest. Time is CPU time of the
//! thread: on a busy machine, what others do would be the longest of all.
#![allow(clippy::print_stdout)]

use catchment_runtime::state::StateFormat;
use catchment_runtime::{Dedup, Stored, Table, TimerIndex, Unreadable};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

/// As large in memory as a profile without what its lists hold.
#[derive(Clone)]
struct Value([u64; 50]);

impl Stored for Value {
    fn encode(&self, _: StateFormat, out: &mut Vec<u8>) {
        self.0.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut value = Value([0; 50]);
        for (word, bytes) in value.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Ok(value)
    }
}

/// As keyed hashes are: uniform in all bits.
fn hash(number: u64) -> [u8; 16] {
    let mixed = |seed: u64| {
        let word = (number ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes()
    };
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed(1));
    key[8..].copy_from_slice(&mixed(2));
    key
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The longest of many operations, and what they took together.
#[derive(Default)]
struct Longest {
    longest: Duration,
    total: Duration,
    count: u32,
}

impl Longest {
    fn time<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let start = cpu_time();
        let result = work();
        let took = cpu_time().saturating_sub(start);
        self.longest = self.longest.max(took);
        self.total += took;
        self.count += 1;
        result
    }

    fn show(&self, what: &str) {
        let mean = self.total / self.count.max(1);
        println!("{what:<66} {:>9.3} ms {:>12.3} µs", millis(self.longest), millis(mean) * 1_000.0);
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

const VALUES: u64 = 2_000_000;
const STEP: u64 = 10_000;

fn table() {
    let mut table: Table<[u8; 16], Value> = Table::new();
    let (mut insert, mut encode, mut commit) = Default::default();
    let timed = |longest: &mut Longest, work: &mut dyn FnMut()| longest.time(work);
    for step in 0..VALUES / STEP {
        for number in step * STEP..(step + 1) * STEP {
            timed(&mut insert, &mut || table.insert(hash(number), Value([number; 50])));
        }
        timed(&mut encode, &mut || {
            table.encode_dirty(|_, form, _| {
                black_box(form);
            });
        });
        timed(&mut commit, &mut || table.commit());
    }
    insert.show("table: one new value, up to 2,000,000");
    encode.show("table: encode what a step of 10,000 changed");
    commit.show("table: commit a step of 10,000");

    touch(&mut table, VALUES).show("table: touch a value among 2,000,000");
    touch(&mut table, VALUES / 20).show("table: touch one of 100,000 values among 2,000,000");
    let mut whole = Longest::default();
    whole.time(|| drop(table));
    whole.show("table: drop 2,000,000 values");
}

/// Steps that change values, spread over the first of the table.
fn touch(table: &mut Table<[u8; 16], Value>, among: u64) -> Longest {
    let mut touch = Longest::default();
    for step in 0..50 {
        for number in 0..STEP {
            let key = hash((step * 104_729 + number * 7_919) % among);
            touch.time(|| {
                if let Ok(Some(value)) = table.get_mut(&key) {
                    value.0[7] += 1;
                }
            });
        }
        table.encode_dirty(|_, form, _| {
            black_box(form);
        });
        table.commit();
    }
    touch
}

fn dedup() {
    const IDS: u64 = 8_000_000;
    let mut dedup = Dedup::new(8_000, 16_000_000);
    let mut insert = Longest::default();
    let mut commit = Longest::default();
    for number in 0..IDS {
        let at = i64::try_from(number / 1_000).unwrap_or(0);
        insert.time(|| black_box(dedup.check_and_insert(hash(number), at)));
        if number % STEP == 0 {
            commit.time(|| dedup.commit());
        }
    }
    insert.show("ids: one new id, up to 8,000,000");
    let mut steady = Longest::default();
    for number in IDS..2 * IDS {
        let at = i64::try_from(number / 1_000).unwrap_or(0);
        steady.time(|| black_box(dedup.check_and_insert(hash(number), at)));
        if number % STEP == 0 {
            commit.time(|| dedup.commit());
        }
    }
    steady.show("ids: one new id among 8,000,000, buckets expire");
    commit.show("ids: commit");

    let mut burst = Dedup::new(8_000, 8_000_000);
    let mut insert = Longest::default();
    for number in 0..2 * IDS {
        insert.time(|| black_box(burst.check_and_insert(hash(number), 0)));
        if number % STEP == 0 {
            insert.time(|| burst.commit());
        }
    }
    insert.show("ids: one new id at a limit of 8,000,000, a bucket goes early");
    let mut whole = Longest::default();
    whole.time(|| drop(dedup));
    whole.show("ids: drop 8,000,000");
}

fn timers() {
    const PENDING: u64 = 1_000_000;
    let mut timers: TimerIndex<[u8; 16]> = TimerIndex::new();
    let mut set = Longest::default();
    for number in 0..PENDING {
        let due = i64::try_from(number.wrapping_mul(2_654_435_761) % 1_000_000_000).unwrap_or(0);
        set.time(|| timers.set(due, hash(number), number));
        if number % STEP == 0 {
            timers.commit();
        }
    }
    set.show("timers: set one, up to 1,000,000");
    timers.commit();
    let mut fire = Longest::default();
    for _ in 0..STEP {
        fire.time(|| black_box(timers.pop_due(i64::MAX)));
    }
    fire.show("timers: fire one of 1,000,000");
    fire = Longest::default();
    fire.time(|| timers.undo());
    fire.show("timers: undo a step in which 10,000 fired");
    fire = Longest::default();
    fire.time(|| drop(timers));
    fire.show("timers: drop 1,000,000");
}

fn main() {
    println!("{:<66} {:>12} {:>15}", "operation", "longest", "mean");
    table();
    dedup();
    timers();
}
