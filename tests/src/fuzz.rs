//! What holds for every decoder, whatever bytes come: it does not panic, it allocates no more than the length of its
//! input allows for, and what it accepts means the same when it is written and read again.
//!
//! A target is a plain function over bytes. `tests/decoders` runs each over its seeds and over changes of them;
//! `cargo xtask fuzz` runs each under libFuzzer, beginning with the same seeds.

// A finding is a panic: that is how a fuzzer is told. Nothing here is part of the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod definitions;
mod records;
mod snapshot;
mod sources;
mod values;

use std::fs;
use std::panic::{catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

/// A decoder, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: also of its file in `tests/fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Decodes, and panics where something does not hold.
    pub body: fn(&[u8]),
    /// Inputs to begin with: real ones.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes that it may hold at a time, whatever the input.
    pub least: u64,
    /// Bytes that it may hold beyond that for each byte of its input.
    pub per_byte: u64,
}

/// What a numbering plan may take, which is made when the first number of its country comes, and kept. There are at most a
/// hundred of them, some 15 MB together, whatever comes.
const PLAN: u64 = 4 << 20;

/// All targets.
pub const TARGETS: [Target; 12] = [
    records::CONTRACTS,
    records::STORED,
    records::HEADERS,
    records::TOOLS,
    snapshot::SNAPSHOT,
    sources::TRANSCODE,
    sources::SCHEMA,
    sources::INGEST,
    sources::FOREIGN_PAYLOADS,
    definitions::CONFIG,
    definitions::FILES,
    values::VALUES,
];

impl Target {
    /// The target of a name.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn of(name: &str) -> &'static Target {
        let found = TARGETS.iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("no target {name}"))
    }

    /// Runs the target's body.
    ///
    /// # Panics
    /// Something does not hold.
    pub fn run(&self, input: &[u8]) {
        let mut result = Ok(());
        // The counter must see the end of the call, also of one that panics.
        let info = allocation_counter::measure(|| result = catch_unwind(|| (self.body)(input)));
        if let Err(panic) = result {
            resume_unwind(panic);
        }
        let allowed = self.least + self.per_byte * input.len() as u64;
        assert!(
            info.bytes_max <= allowed,
            "{}: an input of {} bytes made it hold {} bytes, where {allowed} are allowed",
            self.name,
            input.len(),
            info.bytes_max,
        );
    }

    /// To be called before the first input: what is made once and kept must not count. Under the fuzzer it also writes
    /// the seeds into the corpus, whose directory `CATCHMENT_FUZZ_CORPUS` names.
    pub fn prepare(&self) {
        let seeds = (self.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", self.name);
        seeds.iter().for_each(|seed| (self.body)(seed));
        if let Some(corpus) = std::env::var_os("CATCHMENT_FUZZ_CORPUS") {
            for (number, seed) in seeds.iter().enumerate() {
                fs::write(Path::new(&corpus).join(format!("seed-{number:04}")), seed).unwrap();
            }
        }
    }
}

/// The workspace.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the workspace.
fn file(path: &str) -> Vec<u8> {
    let path = root().join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Frozen bytes of a contract.
fn golden(name: &str) -> Vec<u8> {
    let text = String::from_utf8(file(&format!("crates/contracts/golden/{name}.hex"))).unwrap();
    let digits = text.trim();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// An input that says with its first byte which of several decoders is meant.
fn choose(input: &[u8], kinds: usize) -> Option<(usize, &[u8])> {
    let (first, rest) = input.split_first()?;
    Some((usize::from(*first) % kinds, rest))
}

/// The input that chooses so.
fn chosen(kind: usize, rest: &[u8]) -> Vec<u8> {
    [&[u8::try_from(kind).unwrap()], rest].concat()
}
