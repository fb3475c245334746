//! The whole pipeline in one thread: several processes on the embedded log, with everything that goes wrong drawn from a
//! seed. How it works, and how to run and replay a seed: `docs/simulation.md`.

#![cfg(test)]

mod checks;
mod disks;
mod faults;
mod group;
mod planted;
mod processes;
mod random;
mod scheduler;
mod seeds;
mod shape;
mod trace;
mod upstream;

use seeds::Options;

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let (one, other) = (seeds::run(seed), seeds::run(seed));
        assert_eq!(one.hash, other.hash, "seed {seed}");
    }
    assert_ne!(seeds::run(1).hash, seeds::run(2).hash);
}

/// What `cargo xtask sim` runs, and what is run without it with 300 seeds.
#[test]
fn whatever_goes_wrong_the_results_are_those_of_a_run_without_trouble() {
    let options = Options::from_environment();
    let failed = seeds::explore(&options);
    assert!(failed.is_empty(), "{} of {} seeds failed: {failed:?}", failed.len(), options.count);
}
