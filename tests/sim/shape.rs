//! What a seed draws before anything runs: how large the world is, and what goes wrong in it.

use crate::random::Random;

/// What can be compared after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The clock of the events, raw topics of one partition, and customers who are known by one identifier: everything is
    /// as in the reference, to the byte.
    Exact,
    /// The clock of the events, and raw topics of several partitions: which of them is read first is up to the
    /// scheduler, and so is the moment of a decision.
    Spread,
    /// The wall clock: the moment of a decision is up to the scheduler.
    Wall,
    /// The wall clock, and all input is there at the beginning: hours of events pass in minutes, and one partition is
    /// read to its end before another is begun.
    Replay,
}

impl Kind {
    pub(crate) fn is_wall(self) -> bool {
        matches!(self, Kind::Wall | Kind::Replay)
    }
}

/// How often each thing goes wrong. Of the lane's own troubles in a thousand commits, of the others in a thousand actions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) abort: usize,
    pub(crate) lost_answer: usize,
    pub(crate) lost_request: usize,
    pub(crate) cut: usize,
    pub(crate) delayed_markers: usize,
    pub(crate) crash_in_commit: usize,
    pub(crate) interleave: usize,
    pub(crate) crash: usize,
    pub(crate) pause: usize,
    pub(crate) zombie: usize,
    pub(crate) rebalance: usize,
    pub(crate) expel: usize,
    pub(crate) timeout: usize,
    pub(crate) clean: usize,
    /// Of snapshots.
    pub(crate) disk: usize,
    /// How often a lane marks its snapshots, in a thousand turns.
    pub(crate) mark: usize,
    /// How soon a process that is down is started again, or one that stands still goes on.
    pub(crate) back: usize,
    /// How soon lanes hear that they lost something.
    pub(crate) tell: usize,
}

/// A world.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    pub(crate) kind: Kind,
    pub(crate) partitions: u32,
    pub(crate) raw_partitions: u32,
    pub(crate) processes: usize,
    /// Lanes of each role in each process.
    pub(crate) lanes: usize,
    pub(crate) customers: usize,
    /// Devices that several use: then it depends on who is first which of them gets what, and only what must hold of any
    /// result is looked at.
    pub(crate) shares: bool,
    pub(crate) records: usize,
    pub(crate) batch: usize,
    pub(crate) publish_each: bool,
    /// Hours that an event id is remembered.
    pub(crate) window: i64,
    /// Actions in which something may go wrong.
    pub(crate) actions: usize,
    pub(crate) rates: Rates,
}

impl Shape {
    pub(crate) fn of(seed: u64) -> Self {
        // A stream of its own, so that a change of the world does not change every choice in it.
        let mut random = Random::new(seed ^ 0x5EED_0F5A_AE5E_ED01);
        let kind =
            random.pick(&[Kind::Exact, Kind::Exact, Kind::Exact, Kind::Spread, Kind::Wall, Kind::Replay]);
        let records = random.size(8, 70);
        Shape {
            seed,
            kind,
            partitions: random.pick(&[1, 2, 3, 4]),
            raw_partitions: if kind == Kind::Exact { 1 } else { random.pick(&[1, 2, 3]) },
            processes: random.size(1, 3),
            lanes: random.size(1, 2),
            customers: random.size(1, 14),
            shares: kind != Kind::Exact && random.chance(250),
            records,
            batch: random.pick(&[1, 2, 5, 12, 1_000]),
            publish_each: random.chance(250),
            // Where ingest lags behind upstream for long, a window by the append time can't be short.
            window: match kind {
                Kind::Exact => random.pick(&[1, 2, 48]),
                Kind::Spread | Kind::Wall => 24 * 365,
                Kind::Replay => 1,
            },
            actions: 6 * records + 60,
            rates: Rates::of(&mut random),
        }
    }

    /// The same world and nothing goes wrong: one process, one lane of each role, large steps.
    pub(crate) fn calm(&self) -> Self {
        Shape { processes: 1, lanes: 1, batch: 1_000, actions: 0, rates: Rates::default(), ..self.clone() }
    }
}

impl Rates {
    /// Each seed has some of the troubles and not others, since one that is frequent hides what is rare.
    fn of(random: &mut Random) -> Self {
        let mut rate = |some: usize, many: usize| random.pick(&[0, 0, some, many]);
        Rates {
            abort: rate(30, 200),
            lost_answer: rate(30, 200),
            lost_request: rate(30, 150),
            cut: rate(30, 150),
            delayed_markers: rate(60, 500),
            crash_in_commit: rate(20, 100),
            interleave: rate(50, 400),
            crash: rate(5, 25),
            pause: rate(10, 30),
            zombie: rate(5, 25),
            rebalance: rate(10, 80),
            expel: rate(20, 160),
            timeout: rate(10, 40),
            clean: rate(5, 30),
            disk: rate(20, 120),
            mark: random.pick(&[0, 300, 700, 700]),
            back: random.pick(&[6, 60]),
            tell: random.pick(&[3, 8]),
        }
    }
}
