//! Runs seeds, and says what is wrong with those that fail.

use crate::checks;
use crate::scheduler::Run;
use crate::shape::{Kind, Shape};
use crate::upstream;
use catchment::config;
use catchment::lanes::Installation;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Seeds of the test suite.
const SEEDS: u64 = 300;

/// Which seeds to run, and how.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) from: u64,
    pub(crate) count: u64,
    threads: u64,
    /// Shows every choice and every record.
    trace: bool,
}

impl Options {
    /// As `cargo xtask sim` says in the environment.
    pub(crate) fn from_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let one = number("CATCHMENT_SIM_SEED");
        Options {
            from: one.or(number("CATCHMENT_SIM_FROM")).unwrap_or(0),
            count: one.map_or(number("CATCHMENT_SIM_SEEDS").unwrap_or(SEEDS), |_| 1),
            threads: number("CATCHMENT_SIM_THREADS").unwrap_or(2),
            trace: std::env::var_os("CATCHMENT_SIM_TRACE").is_some(),
        }
    }
}

/// What an installation hangs on.
type Variant = (u32, u32, Kind, bool, i64);

thread_local! {
    static INSTALLATIONS: RefCell<BTreeMap<Variant, Rc<Installation>>> = RefCell::default();
}

/// The installation of a world. Made once for each variant: reading files and compiling conditions takes longer than most
/// runs.
fn installation(shape: &Shape) -> Rc<Installation> {
    let wall = shape.kind.is_wall();
    let variant = (shape.partitions, shape.raw_partitions, shape.kind, shape.publish_each, shape.window);
    INSTALLATIONS.with_borrow_mut(|known| {
        Rc::clone(known.entry(variant).or_insert_with(|| {
            let keys = [
                ("CATCHMENT__PARTITIONS", shape.partitions.to_string()),
                ("CATCHMENT__CLOCK", if wall { "wall" } else { "event" }.to_owned()),
                (
                    "CATCHMENT__PROFILES__PUBLISH",
                    if shape.publish_each { "event" } else { "step" }.to_owned(),
                ),
                ("CATCHMENT__DEDUP__WINDOW", format!("{}h", shape.window)),
            ];
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/world/catchment.yaml");
            let config = config::load(&file, keys.map(|(key, value)| (key.to_owned(), value))).unwrap();
            let made = Installation::new(config, shape.raw_partitions).unwrap();
            Rc::new(if shape.kind == Kind::Exact { made.without_forwarding() } else { made })
        }))
    })
}

/// Runs a seed.
pub(crate) fn run(seed: u64) -> Run {
    run_shape(Shape::of(seed), false)
}

fn run_shape(shape: Shape, trace: bool) -> Run {
    let installation = installation(&shape);
    let input = upstream::records(&shape);
    Run::of(shape, &installation, input, trace)
}

/// Runs a seed and its reference: what is wrong, and what happened.
pub(crate) fn try_seed(seed: u64, trace: bool) -> (Vec<String>, BTreeMap<&'static str, u64>) {
    let shape = Shape::of(seed);
    let reference = run_shape(shape.calm(), false);
    let run = run_shape(shape, trace);
    for line in &run.lines {
        println!("{line}");
    }
    let mut found: Vec<String> =
        reference.violations.iter().map(|what| format!("even without trouble: {what}")).collect();
    found.extend(checks::check(&run, &reference));
    (found, run.happened)
}

/// Runs seeds on several threads; those that failed, in order.
pub(crate) fn explore(options: &Options) -> Vec<u64> {
    let next = AtomicU64::new(options.from);
    let end = options.from + options.count;
    let (failed, happened) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::<&str, u64>::new()));
    let start = Instant::now();
    let told = Mutex::new(start);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            // A panic is a finding like any other.
            let tried = panic::catch_unwind(AssertUnwindSafe(|| try_seed(seed, options.trace)));
            let (found, counts) = tried.unwrap_or_else(|_| (vec!["it panicked".to_owned()], BTreeMap::new()));
            for (what, count) in counts {
                *happened.lock().unwrap().entry(what).or_default() += count;
            }
            if !found.is_empty() {
                report(seed, &found);
                failed.lock().unwrap().push(seed);
            }
            let mut told = told.lock().unwrap();
            if told.elapsed() > Duration::from_secs(5) {
                *told = Instant::now();
                let (done, failed) = (seed - options.from, failed.lock().unwrap().len());
                println!(
                    "{done} of {} seeds, {failed} failed, {:.0} s",
                    options.count,
                    start.elapsed().as_secs_f64()
                );
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(work);
        }
    });
    let (mut failed, happened) = (failed.into_inner().unwrap(), happened.into_inner().unwrap());
    failed.sort_unstable();
    let seconds = start.elapsed().as_secs_f64();
    println!("{} seeds in {seconds:.1} s, {} failed; {happened:?}", options.count, failed.len());
    failed
}

fn report(seed: u64, found: &[String]) {
    let shape = Shape::of(seed);
    println!(
        "\nseed {seed} ({:?}, {} processes, {} partitions):",
        shape.kind, shape.processes, shape.partitions
    );
    for what in found.iter().take(12) {
        println!("  {what}");
    }
    println!("  again: cargo xtask sim --seed {seed}");
}
