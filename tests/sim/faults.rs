//! The log as a simulated lane sees it: the embedded one, where others act between its calls, commits go wrong, and a
//! process dies at any of them.

use crate::group::LaneId;
use crate::scheduler::Sim;
use catchment_runtime::embedded::Fault;
use catchment_runtime::log::{End, Restoring};
use catchment_runtime::outbox::Outbox;
use catchment_runtime::{
    Batch, BatchLimits, CommitOutcome, EmbeddedLane, Log, LogError, Millis, NextOffset, Reassignment,
    TopicPartition,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What the world knows of one life of a lane, from its process's start to its end.
#[derive(Debug)]
pub(crate) struct Control {
    /// Number of this life, over all lanes.
    pub(crate) life: u64,
    pub(crate) lane: LaneId,
    /// Its process is dead: nothing that it does reaches anybody.
    pub(crate) killed: Cell<bool>,
    /// What the group wants it to own, until its next call hears it.
    pub(crate) offer: RefCell<Option<Vec<TopicPartition>>>,
    /// Its last transaction is known to it to be committed.
    pub(crate) knows: Cell<bool>,
}

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fate {
    pub(crate) fault: Option<Fault>,
    /// The process dies before it hears of the outcome.
    pub(crate) crash: bool,
}

/// A lane's log.
pub(crate) struct SimLane {
    inner: EmbeddedLane,
    pub(crate) transactional_id: String,
    pub(crate) control: Rc<Control>,
    sim: Rc<Sim>,
}

impl SimLane {
    pub(crate) fn new(
        inner: EmbeddedLane,
        transactional_id: String,
        control: Rc<Control>,
        sim: Rc<Sim>,
    ) -> Self {
        sim.gained(&control, inner.assignment());
        SimLane { inner, transactional_id, control, sim }
    }

    fn alive(&self) -> Result<(), LogError> {
        match self.control.killed.get() {
            true => Err(LogError::Fatal { reason: "the process is dead".to_owned() }),
            false => Ok(()),
        }
    }

    /// A call that serves the client: it hears what the group wants.
    fn serve(&mut self) -> Result<(), LogError> {
        self.alive()?;
        if let Some(offer) = self.control.offer.take() {
            self.inner.offer(&offer);
        }
        Ok(())
    }

    /// Others act while this lane waits.
    fn wait(&self) -> Result<(), LogError> {
        self.sim.interrupt();
        self.alive()
    }
}

impl Log for SimLane {
    fn assignment(&self) -> &[TopicPartition] {
        self.inner.assignment()
    }

    fn reassign(&mut self) -> Result<Reassignment, LogError> {
        self.alive()?;
        // What was offered may be given to somebody else by now.
        let Some(wanted) = self.sim.wanted(&self.control) else {
            return Err(LogError::Fatal { reason: "this member was replaced".to_owned() });
        };
        self.inner.offer(&wanted);
        let change = self.inner.reassign()?;
        self.sim.reassigned(&self.control, self.inner.assignment(), &change);
        Ok(change)
    }

    fn poll(&mut self, limits: &BatchLimits, batch: &mut Batch) -> Result<(), LogError> {
        self.serve()?;
        self.inner.poll(limits, batch)
    }

    fn poll_partition(
        &mut self,
        at: TopicPartition,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        self.serve()?;
        self.inner.poll_partition(at, limits, batch)
    }

    fn await_records(&mut self) -> Result<bool, LogError> {
        self.serve()?;
        self.inner.await_records()
    }

    fn hold(&mut self, at: TopicPartition) -> Result<(), LogError> {
        self.inner.hold(at)
    }

    fn release(&mut self, at: TopicPartition) -> Result<(), LogError> {
        self.inner.release(at)
    }

    fn seek(&mut self, at: TopicPartition, to: NextOffset) -> Result<(), LogError> {
        self.inner.seek(at, to)
    }

    fn commit(
        &mut self,
        outbox: &Outbox,
        offsets: &[(TopicPartition, NextOffset)],
    ) -> Result<CommitOutcome, LogError> {
        self.control.knows.set(false);
        self.alive()?;
        self.wait()?;
        let fate = self.sim.fate(outbox.len());
        if let Some(fault) = fate.fault {
            self.sim.log.fail_commit(&self.transactional_id, fault);
        }
        let outcome = self.inner.commit(outbox, offsets)?;
        self.sim.committed(&self.control, fate, &outcome, outbox, offsets);
        if fate.crash {
            self.sim.crash_process_of(&self.control);
        }
        self.alive()?;
        self.wait()?;
        self.control.knows.set(outcome == CommitOutcome::Committed);
        Ok(outcome)
    }

    fn recover(&mut self) -> Result<(), LogError> {
        self.alive()?;
        self.inner.recover()?;
        self.wait()
    }

    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<NextOffset>>, LogError> {
        self.alive()?;
        let committed = self.inner.committed(of)?;
        self.control.knows.set(true);
        Ok(committed)
    }

    fn earliest(&mut self, at: TopicPartition) -> Result<NextOffset, LogError> {
        self.inner.earliest(at)
    }

    fn high_watermark(&mut self, at: TopicPartition) -> Result<NextOffset, LogError> {
        self.inner.high_watermark(at)
    }

    fn decided(&mut self, of: &[TopicPartition]) -> Result<Vec<NextOffset>, LogError> {
        self.alive()?;
        self.wait()?;
        let decided = self.inner.decided(of)?;
        self.sim.marking(&self.control, of);
        Ok(decided)
    }

    fn first_since(
        &mut self,
        of: &[TopicPartition],
        time: Millis,
    ) -> Result<Vec<Option<NextOffset>>, LogError> {
        self.alive()?;
        self.inner.first_since(of, time)
    }

    fn ends(&mut self, of: &[TopicPartition]) -> Result<Vec<End>, LogError> {
        self.alive()?;
        self.inner.ends(of)
    }

    fn restore(
        &mut self,
        at: TopicPartition,
        from: NextOffset,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<Restoring, LogError> {
        self.serve()?;
        self.inner.restore(at, from, limits, batch)
    }
}
