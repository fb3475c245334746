//! What can happen next.

use super::{BUSY, DEPTH, Process, ROLES, RoleName, Sim};
use crate::disks::TOMBSTONES;
use crate::faults::Control;
use crate::group::LaneId;
use crate::processes::Turn;
use crate::shape::Kind;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Step,
    Feed,
    DeliverMarker,
    Crash,
    Restart,
    Pause,
    Wake,
    Zombie,
    Rebalance,
    Expel,
    SessionTimeout,
    Tell,
    TransactionTimeout,
    Clean,
    Disk,
    Tick,
}

/// How often, of a thousand times, something happens to the catalog besides: it has few records, and its task is simple.
const OF_CATALOG: usize = 250;

impl Sim {
    /// Others act while a lane waits.
    pub(crate) fn interrupt(self: &Rc<Self>) {
        if self.calm.get() || self.depth.get() >= DEPTH {
            return;
        }
        let actions = {
            let mut state = self.state.borrow_mut();
            let interrupted = state.random.chance(self.shape.rates.interleave);
            if interrupted { 1 + state.random.pick(&[0, 2, 5, 30]) } else { 0 }
        };
        self.depth.set(self.depth.get() + 1);
        for _ in 0..actions {
            self.act();
        }
        self.depth.set(self.depth.get() - 1);
    }

    /// One thing happens.
    pub(super) fn act(self: &Rc<Self>) {
        let action = self.choose();
        match action {
            Action::Step => self.step_any(),
            Action::Feed => self.feed(),
            Action::DeliverMarker => {
                let pending = self.log.pending_markers();
                let place = {
                    let mut state = self.state.borrow_mut();
                    // Often the last, which is that of offsets: whoever waits for them goes on before the rest is there.
                    if state.random.chance(400) { pending - 1 } else { state.random.below(pending) }
                };
                self.note(format_args!("marker {place} of {pending}"));
                self.log.deliver_marker(place);
            }
            Action::Crash => self.any_process(Process::Up, |process| self.crash(process)),
            Action::Restart => self.any_process(Process::Down, |process| self.start_process(process)),
            Action::Pause => self.any_process(Process::Up, |process| self.set(process, Process::Paused)),
            Action::Wake => self.any_process(Process::Paused, |process| self.set(process, Process::Up)),
            Action::Zombie => self.any_process(Process::Up, |process| self.replace(process)),
            Action::Rebalance => self.to_a_role(|role| self.rebalance(role)),
            Action::Expel => self.to_a_role(|role| self.expel(role)),
            Action::SessionTimeout => self.session_timeout(),
            Action::Tell => self.tell(),
            Action::TransactionTimeout => self.transaction_timeout(),
            Action::Clean => self.clean(),
            Action::Disk => {
                let mut state = self.state.borrow_mut();
                let state = &mut *state;
                if let Some(what) = state.disks.trouble(&mut state.random) {
                    state.trace.note(format_args!("{what}"));
                    *state.happened.entry(what).or_default() += 1;
                }
            }
            Action::Tick => {
                let mut state = self.state.borrow_mut();
                // A replay goes over hours in less time than event ids are remembered for.
                let longest = if self.shape.kind == Kind::Replay { 2_000 } else { 180_000 };
                let ahead = state.random.pick(&[1, 400, 1_500, 20_000, 180_000]).min(longest);
                state.now += ahead;
                state.trace.note(format_args!("tick {ahead}"));
            }
        }
        if !matches!(action, Action::Step | Action::Feed) {
            self.happened(action.name());
        }
    }

    fn choose(&self) -> Action {
        let rates = &self.shape.rates;
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let is_any = |wanted| state.processes.contains(&wanted);
        let when = |weight: usize, is: bool| if is { weight } else { 0 };
        let (up, marking) = (is_any(Process::Up), self.log.pending_markers() > 0);
        let weights = [
            (Action::Step, 700),
            (Action::Feed, when(110, !state.input.as_slice().is_empty())),
            (Action::DeliverMarker, when(120, marking)),
            (Action::Crash, when(rates.crash, up)),
            (Action::Restart, when(rates.back, is_any(Process::Down))),
            (Action::Pause, when(rates.pause, up)),
            (Action::Wake, when(rates.back, is_any(Process::Paused))),
            (Action::Zombie, when(rates.zombie, up)),
            // Partitions that move while markers are on their way meet what is committed and can't be seen yet.
            (Action::Rebalance, rates.rebalance + when(40, marking)),
            (Action::Expel, rates.expel),
            (Action::SessionTimeout, when(40, is_any(Process::Paused) || is_any(Process::Down))),
            (Action::Tell, rates.tell + 1),
            (Action::TransactionTimeout, rates.timeout),
            (Action::Clean, rates.clean),
            (Action::Disk, rates.disk),
            (Action::Tick, when(60, self.shape.kind.is_wall())),
        ];
        let sum = weights.iter().map(|(_, weight)| weight).sum();
        let mut drawn = state.random.below(sum);
        for (action, weight) in weights {
            if drawn < weight {
                return action;
            }
            drawn -= weight;
        }
        Action::Step
    }

    /// Retention and compaction.
    pub(super) fn clean(&self) {
        let clock = self.brokers_clock();
        let dropped = clock.map_or(0, |now| self.log.drop_expired(now));
        // Nobody takes as long to restore as tombstones are kept, which the clocks here do not know. And where the time of a
        // task waits for several partitions, what it writes later may be older than what it wrote.
        let forever = self.is_restoring() || self.shape.kind == Kind::Spread;
        let kept = if forever { i64::MAX } else { TOMBSTONES };
        let compacted = clock.map_or(0, |now| self.log.compact(now.saturating_sub(kept)));
        self.note(format_args!("clean at {clock:?}: {dropped} dropped, {compacted} compacted"));
    }

    /// What the brokers' clock says, which retention goes by. Append times are those of the steps: with the clock of the
    /// events that is how far the slowest of them has come, and not how much input waits for it. `None`: nobody knows now.
    fn brokers_clock(&self) -> Option<i64> {
        if self.shape.kind.is_wall() {
            return Some(self.now());
        }
        let all: Vec<u32> = (0..self.shape.partitions).collect();
        let read = self.first_unread(RoleName::Profile, &all)?;
        Some(read.min(self.first_unread(RoleName::Ingest, &self.raw_numbers())?))
    }

    /// As [`brokers_clock`](Self::brokers_clock), of one task of `profile`: nothing that it writes from now on is older.
    pub(super) fn clock_of(&self, number: u32) -> Option<i64> {
        if self.shape.kind.is_wall() {
            return Some(self.now());
        }
        let read = self.first_unread(RoleName::Profile, &[number])?;
        Some(read.min(self.first_unread(RoleName::Ingest, &self.raw_numbers())?))
    }

    fn raw_numbers(&self) -> Vec<u32> {
        (0..self.shape.raw_partitions).collect()
    }

    /// When the first record was appended that these tasks have not read, or now. `None` while that is not decided, or
    /// can't be seen yet.
    fn first_unread(&self, role: RoleName, numbers: &[u32]) -> Option<i64> {
        let group = format!("sim.{}", role.name());
        let mut clock = self.now();
        for at in self.inputs(role, numbers) {
            let next = self.log.committed(&group, at).ok()?.unwrap_or_default();
            if self.log.last_stable(at) != self.log.high_watermark(at) {
                return None;
            }
            clock = self.log.append_time_from(at, next).ok()?.map_or(clock, |time| clock.min(time));
        }
        Some(clock)
    }

    /// Whether a lane that is there may be in the middle of a restore.
    fn is_restoring(&self) -> bool {
        self.slots.iter().any(|slot| {
            let actor = slot.actor.borrow();
            slot.control.borrow().is_some() && !actor.as_ref().is_some_and(|actor| actor.is_complete())
        })
    }

    fn any_process(&self, is: Process, act: impl FnOnce(usize)) {
        let mut state = self.state.borrow_mut();
        let all = state.processes.iter().enumerate().filter(|(_, process)| **process == is);
        let places: Vec<usize> = all.map(|(place, _)| place).collect();
        let Some(process) = (!places.is_empty()).then(|| state.random.pick(&places)) else { return };
        drop(state);
        self.note(format_args!("{is:?} process {process}"));
        act(process);
    }

    fn set(&self, process: usize, is: Process) {
        self.state.borrow_mut().processes[process] = is;
    }

    // ---- lanes ----

    /// A lane that can act does, also one whose process was replaced and does not know it.
    fn step_any(self: &Rc<Self>) {
        let zombies = self.zombies.borrow().len();
        let catalog = self.lane_ids(RoleName::Catalog).count();
        let busy = self.slots.len() - catalog;
        let drawn = self.state.borrow_mut().random.below(busy + zombies);
        if drawn < busy {
            self.step_if_up(drawn);
        } else {
            self.step_zombie(drawn - busy);
        }
        if self.state.borrow_mut().random.chance(OF_CATALOG) {
            let drawn = self.state.borrow_mut().random.below(catalog);
            self.step_if_up(busy + drawn);
        }
    }

    fn step_if_up(self: &Rc<Self>, lane: LaneId) {
        let process = self.slots[lane].process;
        if self.state.borrow().processes[process] == Process::Up {
            self.step(lane);
        }
    }

    /// Lets something happen to a role, and now and then to the catalog as well.
    fn to_a_role(&self, happens: impl Fn(RoleName)) {
        let role = self.state.borrow_mut().random.pick(&BUSY);
        happens(role);
        if self.state.borrow_mut().random.chance(OF_CATALOG) {
            happens(RoleName::Catalog);
        }
    }

    /// A turn of a lane. `None`: it is not there, or acts already.
    pub(super) fn step(self: &Rc<Self>, lane: LaneId) -> Option<Turn> {
        let mut actor = self.slots[lane].actor.take()?;
        self.note(format_args!("lane {lane}, life {}", actor.control().life));
        let turn = actor.turn(self);
        let control = Rc::clone(actor.control());
        if control.killed.get() {
            return Some(Turn::Anew);
        }
        if self.is_current(&control) {
            self.slots[lane].actor.replace(Some(actor));
        } else if turn != Turn::Anew {
            self.zombies.borrow_mut().push(actor);
        }
        Some(turn)
    }

    pub(super) fn step_zombie(self: &Rc<Self>, place: usize) -> Turn {
        let mut actor = self.zombies.borrow_mut().remove(place);
        self.note(format_args!("zombie {}", actor.control().life));
        let turn = actor.turn(self);
        // Once it knows, it ends: it has no place any more.
        if turn != Turn::Anew && !actor.control().killed.get() {
            self.zombies.borrow_mut().push(actor);
        }
        turn
    }

    // ---- processes ----

    pub(super) fn start_process(&self, process: usize) {
        self.set(process, Process::Up);
        for (lane, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.process == process) {
            let life = {
                let mut state = self.state.borrow_mut();
                state.lives += 1;
                state.lives
            };
            let control = Rc::new(Control {
                life,
                lane,
                killed: Cell::new(false),
                offer: RefCell::default(),
                knows: Cell::new(false),
            });
            let actor = self.make(slot.role, Rc::clone(&control));
            slot.control.replace(Some(control));
            slot.actor.replace(Some(actor));
        }
    }

    /// A process dies at once, with all its lanes and all that they remember.
    fn crash(&self, process: usize) {
        self.set(process, Process::Down);
        for (lane, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.process == process) {
            if let Some(control) = slot.control.take() {
                control.killed.set(true);
            }
            drop(slot.actor.take());
            self.state.borrow_mut().groups[slot.role as usize].forget(lane);
        }
    }

    /// The process of a lane dies, in the middle of what the lane does.
    pub(crate) fn crash_process_of(&self, control: &Control) {
        self.note(format_args!("crash of life {}", control.life));
        self.happened("crash in commit");
        control.killed.set(true);
        if self.is_current(control) {
            self.crash(self.slots[control.lane].process);
        }
    }

    /// Another process of the same name is started, while the old one lives on: the machine was cut off and is not dead.
    fn replace(&self, process: usize) {
        for (lane, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.process == process) {
            slot.control.take();
            self.zombies.borrow_mut().extend(slot.actor.take());
            self.state.borrow_mut().groups[slot.role as usize].forget(lane);
        }
        self.start_process(process);
    }

    // ---- groups ----

    /// The lanes of a role that are taken for alive.
    fn members(&self, role: RoleName) -> Vec<LaneId> {
        let state = self.state.borrow();
        self.lane_ids(role).filter(|lane| state.processes[self.slots[*lane].process] == Process::Up).collect()
    }

    /// All numbers of a role are dealt out anew, at random.
    pub(super) fn rebalance(&self, role: RoleName) {
        let members = self.members(role);
        if members.is_empty() {
            return;
        }
        let mut state = self.state.borrow_mut();
        for number in 0..state.groups[role as usize].numbers() {
            let lane = state.random.pick(&members);
            state.groups[role as usize].aim(number, Some(lane));
            state.trace.note(format_args!("{role:?} {number} for lane {lane}"));
        }
        drop(state);
        self.spread_news();
    }

    /// The group takes a number from a lane that goes on and does not know it, and gives it to another.
    fn expel(&self, role: RoleName) {
        let mut state = self.state.borrow_mut();
        let numbers = state.groups[role as usize].numbers();
        let number = state.random.below(numbers);
        let owner = state.groups[role as usize].owner(number);
        drop(state);
        let others: Vec<LaneId> =
            self.members(role).into_iter().filter(|lane| Some(*lane) != owner).collect();
        if others.is_empty() {
            return;
        }
        let mut state = self.state.borrow_mut();
        let lane = state.random.pick(&others);
        let group = &mut state.groups[role as usize];
        group.expel(number);
        group.aim(number, Some(lane));
        state.trace.note(format_args!("expel {owner:?} from {role:?} {number} for lane {lane}"));
        drop(state);
        self.spread_news();
    }

    /// Lanes of a process that is down or stands still lose what they had.
    fn session_timeout(&self) {
        for role in ROLES {
            let members = self.members(role);
            if members.is_empty() {
                continue;
            }
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            for number in 0..state.groups[role as usize].numbers() {
                let group = &mut state.groups[role as usize];
                if group.owner(number).is_some_and(|owner| members.contains(&owner)) {
                    continue;
                }
                group.expel(number);
                let lane = state.random.pick(&members);
                group.aim(number, Some(lane));
                state.trace.note(format_args!("timeout: {role:?} {number} for lane {lane}"));
            }
        }
        self.spread_news();
    }

    pub(super) fn tell(&self) {
        self.state.borrow_mut().groups.iter_mut().for_each(crate::group::Group::tell);
        self.spread_news();
    }

    /// Members hear what they are to own, with their next call.
    pub(super) fn spread_news(&self) {
        for role in ROLES {
            let news = self.state.borrow_mut().groups[role as usize].news();
            for (lane, numbers) in news {
                if let Some(control) = self.slots[lane].control.borrow().as_ref() {
                    control.offer.replace(Some(self.inputs(role, &numbers)));
                }
            }
        }
    }

    /// The coordinator aborts what dead or paused producers left open.
    fn transaction_timeout(&self) {
        let asleep: Vec<LaneId> = {
            let state = self.state.borrow();
            let lanes = self.slots.iter().enumerate();
            lanes
                .filter(|(_, slot)| state.processes[slot.process] != Process::Up)
                .map(|(lane, _)| lane)
                .collect()
        };
        for lane in asleep {
            let control = Control {
                life: 0,
                lane,
                killed: Cell::new(true),
                offer: RefCell::default(),
                knows: Cell::new(false),
            };
            let (_, id) = self.names(&control);
            if self.log.abort_open(&id) {
                self.note(format_args!("transaction of {id} timed out"));
            }
        }
    }
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Step => "step",
            Action::Feed => "feed",
            Action::DeliverMarker => "marker",
            Action::Crash => "crash",
            Action::Restart => "restart",
            Action::Pause => "pause",
            Action::Wake => "wake",
            Action::Zombie => "zombie",
            Action::Rebalance => "rebalance",
            Action::Expel => "expel",
            Action::SessionTimeout => "session timeout",
            Action::Tell => "tell",
            Action::TransactionTimeout => "transaction timeout",
            Action::Clean => "clean",
            Action::Disk => "disk",
            Action::Tick => "tick",
        }
    }
}
