//! The end of a run: nothing goes wrong any more, all input is read, and all that is due is done.

use super::{Process, ROLES, Sim};
use crate::processes::Turn;
use crate::shape::Kind;
use std::rc::Rc;

/// Rounds until a world that does not come to rest is given up. Each is a turn of every lane.
const ROUNDS: usize = 6_000;

/// How often everything is cleaned and dealt out anew at the end.
const SHAKEN: u32 = 3;

/// How far the wall clock goes in a round without anything to do.
const TICK: i64 = 5 * 60_000;

impl Sim {
    /// Runs everything to its end.
    pub(super) fn quiesce(self: &Rc<Self>) {
        self.note(format_args!("calm"));
        self.calm.set(true);
        for process in 0..self.shape.processes {
            let is = self.state.borrow().processes[process];
            match is {
                Process::Up => {}
                Process::Down => self.start_process(process),
                Process::Paused => self.state.borrow_mut().processes[process] = Process::Up,
            }
        }
        for _ in 0..ROUNDS {
            if self.round() {
                return;
            }
        }
        self.violation("the world does not come to rest".to_owned());
    }

    /// Every lane has a turn. True if there is nothing left to do.
    fn round(self: &Rc<Self>) -> bool {
        while self.log.pending_markers() > 0 {
            self.log.deliver_marker(0);
        }
        self.tell();
        for role in ROLES {
            let settled = self.state.borrow().groups[role as usize].is_settled();
            let homeless = self.state.borrow().groups[role as usize].has_homeless();
            if !settled && homeless {
                self.rebalance(role);
            }
        }
        let mut idle = true;
        let zombies = self.zombies.borrow().len();
        for place in (0..zombies).rev() {
            idle &= self.step_zombie(place) == Turn::Idle;
        }
        for lane in 0..self.slots.len() {
            idle &= self.step(lane) == Some(Turn::Idle);
        }
        if !idle {
            return false;
        }
        let settled = self.state.borrow().groups.iter().all(crate::group::Group::is_settled);
        let complete = self.slots.iter().all(|slot| {
            let actor = slot.actor.borrow();
            actor.as_ref().is_some_and(|actor| actor.is_complete())
        });
        if !(settled && complete) {
            return false;
        }
        if self.state.borrow().end_of_input.is_none() {
            self.feed();
            return false;
        }
        self.is_over()
    }

    /// Whether time has gone as far as it is to go; moves it on if not.
    fn is_over(&self) -> bool {
        if !self.time_is_over() {
            return false;
        }
        // Tasks are restored once more, from what is left.
        let again = self.state.borrow().shaken < SHAKEN;
        if again {
            self.state.borrow_mut().shaken += 1;
            self.clean();
            ROLES.iter().for_each(|role| self.rebalance(*role));
        }
        !again
    }

    fn time_is_over(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let end = state.end_of_input.unwrap_or(state.now);
        if self.shape.kind.is_wall() && state.now < end && self.timers() > 0 {
            state.now += TICK;
            return false;
        }
        // How far each partition is read is said once, and a task that was restored since has forgotten what it heard: with
        // several partitions the end has to be said again. A timer that is lost stays so.
        if self.shape.kind == Kind::Spread && state.said_again < 2 && self.timers() > 0 {
            state.said_again += 1;
            state.end_of_input = Some(end + 1);
            return false;
        }
        true
    }

    /// Timers that wait in all lanes.
    pub(super) fn timers(&self) -> usize {
        let actors = self.slots.iter().map(|slot| {
            let actor = slot.actor.borrow();
            actor.as_ref().map_or(0, |actor| actor.pending_timers())
        });
        actors.sum()
    }
}
