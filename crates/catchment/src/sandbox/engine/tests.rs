//! The whole pipeline with commits that fail and processes that die: what comes out must be what comes out without.

use super::*;
use crate::config;
use crate::sandbox::output;
use catchment_runtime::LaneError;
use catchment_runtime::embedded::Fault;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn shop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples/awesomeshoes")
}

/// Splitmix64: a seed gives the same run again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// What happened to a run.
#[derive(Debug, Default, PartialEq)]
struct Troubles {
    faults: u64,
    crashes: u64,
}

/// Runs the shop, with troubles drawn from the seed if there is one, and returns every file that came out.
fn run(seed: Option<u64>) -> (BTreeMap<String, Vec<u8>>, Troubles) {
    let small_steps = [("CATCHMENT__BATCH__MAX_RECORDS".to_owned(), "40".to_owned())];
    let config = config::load(&shop().join("catchment.yaml"), small_steps).unwrap();
    let definitions = || Definitions::load(&config).unwrap();
    let mut engine = Engine::new(&config, definitions(), KeySecret::PUBLISHED).unwrap();
    let mut feed = Feed::open(&config, &shop().join("data")).unwrap();
    let (mut random, mut troubles) = (seed.map(Random), Troubles::default());
    while engine.feed(&mut feed).unwrap() > 0 {
        loop {
            if let Some(random) = &mut random {
                trouble(&mut engine, random, &mut troubles);
            }
            match engine.step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    assert!(must_restore(&error), "{error}");
                    restart(&mut engine, &config, &mut troubles);
                }
            }
            if random.as_mut().is_some_and(|random| random.below(150) == 0) {
                restart(&mut engine, &config, &mut troubles);
            }
        }
    }
    // A fault may be left for the last commit, whose offsets don't tell what became of it.
    while let Err(error) = engine.finish(None) {
        assert!(must_restore(&error), "{error}");
        engine.ingest = ingest_lane(&config, &engine.topology, &engine.log, KeySecret::PUBLISHED).unwrap();
        restart(&mut engine, &config, &mut troubles);
    }
    let directory = tempfile::tempdir().unwrap();
    output::write(&engine, &config, directory.path()).unwrap();
    let entries = std::fs::read_dir(directory.path()).unwrap().map(Result::unwrap);
    let files =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()));
    (files.collect(), troubles)
}

fn must_restore(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<LaneError>(), Some(LaneError::MustRestore))
}

/// The next commit of one of the roles fails, sometimes.
fn trouble(engine: &mut Engine, random: &mut Random, troubles: &mut Troubles) {
    // Most steps end with the first record that one node has something to say of to another.
    if random.below(20) > 0 {
        return;
    }
    let role = ["awesomeshoes.ingest.0", "awesomeshoes.profile.0"][usize::from(random.below(2) == 0)];
    let fault = match random.below(3) {
        0 => Fault::Abort,
        1 => Fault::LostAnswer,
        _ => Fault::LostRequest,
    };
    engine.log.fail_commit(role, fault);
    troubles.faults += 1;
}

/// The profile process dies and another one takes over: all it has is what stands in the log.
fn restart(engine: &mut Engine, config: &Config, troubles: &mut Troubles) {
    let definitions = Definitions::load(config).unwrap();
    engine.profile =
        profile_lane(config, &engine.topology, &engine.log, definitions, &KeySecret::PUBLISHED).unwrap();
    troubles.crashes += 1;
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_when_commits_fail_and_processes_die() {
    let (expected, calm) = run(None);
    assert_eq!(calm, Troubles::default());
    for seed in 1..=4 {
        let (files, troubles) = run(Some(seed));
        assert!(troubles.faults > 20 && troubles.crashes > 5, "seed {seed}: {troubles:?}");
        for (name, content) in &expected {
            assert!(*content == files[name], "seed {seed}: {name} differs after {troubles:?}");
        }
    }
}
