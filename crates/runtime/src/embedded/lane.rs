//! The embedded log as one lane sees it.

use super::broker::{Broker, Cursor, Fault, Member, ProducerHandle};
use super::{EmbeddedLog, fenced};
use crate::log::{Batch, BatchLimits, CommitOutcome, End, Fence, Log, LogError, Reassignment, Restoring};
use crate::outbox::Outbox;
use crate::planted::{self, Bug};
use crate::record::{Millis, NextOffset, TopicPartition};

/// A lane's handle on an [`EmbeddedLog`]; made by [`EmbeddedLog::lane`].
#[derive(Debug)]
pub struct EmbeddedLane {
    log: EmbeddedLog,
    member: Member,
    producer: ProducerHandle,
    assignment: Vec<TopicPartition>,
    /// In the order of the assignment.
    cursors: Vec<Cursor>,
    must_recover: bool,
    offered: Option<Vec<TopicPartition>>,
}

impl EmbeddedLane {
    pub(super) fn new(
        log: EmbeddedLog,
        group: &str,
        transactional_id: &str,
        assignment: &[TopicPartition],
    ) -> Result<Self, LogError> {
        let mut broker = log.broker();
        for at in assignment {
            broker.partition(*at)?;
        }
        let producer = broker.init_producer(transactional_id);
        let member = broker.join(group, assignment);
        let mut cursors = Vec::with_capacity(assignment.len());
        for at in assignment {
            let committed = broker.committed(group, *at)?;
            let next = committed.unwrap_or(broker.partition(*at)?.earliest());
            cursors.push(Cursor { at: *at, next, held: false });
        }
        drop(broker);
        let assignment = assignment.to_vec();
        Ok(EmbeddedLane { log, member, producer, assignment, cursors, must_recover: false, offered: None })
    }

    /// The group wants this lane to own these partitions: its next poll says so, and [`Log::reassign`] takes it up.
    /// Whoever calls this is the group's coordinator, so the order is theirs: a cooperative group takes a partition
    /// from one lane before it offers it to another.
    pub fn offer(&mut self, assignment: &[TopicPartition]) {
        self.offered = Some(assignment.to_vec());
    }

    fn undisturbed(&self) -> Result<(), LogError> {
        if self.offered.is_some() { Err(LogError::Reassigned) } else { Ok(()) }
    }

    fn cursor(&mut self, at: TopicPartition) -> Result<&mut Cursor, LogError> {
        self.cursors.iter_mut().find(|cursor| cursor.at == at).ok_or(LogError::NotAssigned { at })
    }

    /// Appends everything and ends the transaction, or says who fenced it.
    fn write(
        &self,
        broker: &mut Broker,
        outbox: &Outbox,
        offsets: &[(TopicPartition, NextOffset)],
    ) -> Result<Result<CommitOutcome, Fence>, LogError> {
        let fault = broker.take_fault(&self.producer);
        if let Err(fence) = broker.begin(&self.producer) {
            return Ok(Err(fence));
        }
        let cut = match fault {
            Some(Fault::Cut { after }) => after,
            _ => usize::MAX,
        };
        for record in outbox.records().iter().take(cut) {
            let at = TopicPartition { topic: record.topic, partition: record.partition };
            let txn = broker.enlist(&self.producer, at).map_err(fenced)?;
            let bytes = (outbox.key(record), outbox.value(record), record.headers.clone());
            broker.append(at, record.time, bytes, txn)?;
        }
        let reason = || "injected fault".to_owned();
        if matches!(fault, Some(Fault::Cut { .. })) {
            return Ok(Ok(CommitOutcome::Unknown { reason: reason() }));
        }
        if let Err(fence) = broker.add_offsets(&self.producer, &self.member, offsets) {
            broker.end(&self.producer, false).map_err(super::fenced)?;
            return Ok(Err(fence));
        }
        let (committed, outcome) = match fault {
            None => (true, CommitOutcome::Committed),
            Some(Fault::Abort) => (false, CommitOutcome::Aborted { reason: reason() }),
            Some(Fault::LostAnswer) => (true, CommitOutcome::Unknown { reason: reason() }),
            Some(Fault::LostRequest | Fault::Cut { .. }) => {
                return Ok(Ok(CommitOutcome::Unknown { reason: reason() }));
            }
            Some(Fault::DelayedMarkers { answered }) => {
                let lost = CommitOutcome::Unknown { reason: reason() };
                let outcome = if answered { CommitOutcome::Committed } else { lost };
                return Ok(broker.decide(&self.producer).map(|()| outcome));
            }
        };
        Ok(broker.end(&self.producer, committed).map(|()| outcome))
    }
}

impl Log for EmbeddedLane {
    fn assignment(&self) -> &[TopicPartition] {
        &self.assignment
    }

    fn reassign(&mut self) -> Result<Reassignment, LogError> {
        if self.must_recover {
            self.recover()?;
        }
        let Some(wanted) = self.offered.clone() else {
            return Ok(Reassignment::default());
        };
        let mut broker = self.log.broker();
        let mut change = Reassignment::default();
        let mut cursors = Vec::with_capacity(wanted.len());
        for at in &wanted {
            let known = self.cursors.iter().find(|cursor| cursor.at == *at);
            let cursor = match known {
                Some(cursor) if broker.owns(&self.member, *at) => *cursor,
                _ => {
                    let committed = broker.committed(&self.member.group, *at)?;
                    change.gained.push(*at);
                    let next = committed.unwrap_or(broker.partition(*at)?.earliest());
                    Cursor { at: *at, next, held: false }
                }
            };
            cursors.push(cursor);
        }
        for at in &self.assignment {
            match (broker.owns(&self.member, *at), wanted.contains(at)) {
                (false, _) => change.lost.push(*at),
                (true, false) => change.revoked.push(*at),
                (true, true) => {}
            }
        }
        broker.release(&self.member, &change.revoked);
        broker.take_over(&self.member, &change.gained);
        drop(broker);
        for list in [&mut change.gained, &mut change.revoked, &mut change.lost] {
            list.sort_unstable();
        }
        (self.assignment, self.cursors, self.offered) = (wanted, cursors, None);
        Ok(change)
    }

    fn poll(&mut self, limits: &BatchLimits, batch: &mut Batch) -> Result<(), LogError> {
        self.undisturbed()?;
        self.log.broker().fetch(&mut self.cursors, limits, batch)
    }

    fn poll_partition(
        &mut self,
        at: TopicPartition,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        self.undisturbed()?;
        let cursor = self.cursors.iter_mut().find(|cursor| cursor.at == at);
        let cursor = cursor.ok_or(LogError::NotAssigned { at })?;
        self.log.broker().fetch(std::slice::from_mut(cursor), limits, batch)
    }

    fn await_records(&mut self) -> Result<bool, LogError> {
        self.undisturbed()?;
        self.log.broker().has_something(&self.cursors)
    }

    fn hold(&mut self, at: TopicPartition) -> Result<(), LogError> {
        self.cursor(at)?.held = true;
        Ok(())
    }

    fn release(&mut self, at: TopicPartition) -> Result<(), LogError> {
        self.cursor(at)?.held = false;
        Ok(())
    }

    fn seek(&mut self, at: TopicPartition, to: NextOffset) -> Result<(), LogError> {
        self.cursor(at)?.next = to;
        Ok(())
    }

    fn commit(
        &mut self,
        outbox: &Outbox,
        offsets: &[(TopicPartition, NextOffset)],
    ) -> Result<CommitOutcome, LogError> {
        if offsets.is_empty() && !planted::is(Bug::StepWithoutOffsets) {
            return Err(LogError::NoOffsets);
        }
        if self.must_recover {
            return Err(LogError::Fatal { reason: "the last commit is undecided: recover first".to_owned() });
        }
        let mut broker = self.log.broker();
        broker.check_outbox(outbox)?;
        let outcome = self.write(&mut broker, outbox, offsets)?.unwrap_or_else(CommitOutcome::Fenced);
        drop(broker);
        self.must_recover = matches!(outcome, CommitOutcome::Unknown { .. });
        Ok(outcome)
    }

    fn recover(&mut self) -> Result<(), LogError> {
        self.producer = self.log.broker().init_producer(&self.producer.id);
        self.must_recover = false;
        Ok(())
    }

    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<NextOffset>>, LogError> {
        let broker = self.log.broker();
        of.iter().map(|at| broker.committed(&self.member.group, *at)).collect()
    }

    fn earliest(&mut self, at: TopicPartition) -> Result<NextOffset, LogError> {
        Ok(self.log.broker().partition(at)?.earliest())
    }

    fn high_watermark(&mut self, at: TopicPartition) -> Result<NextOffset, LogError> {
        match planted::is(Bug::RestoreToLastStableOffset) {
            true => self.log.last_stable(at),
            false => self.log.high_watermark(at),
        }
    }

    fn decided(&mut self, of: &[TopicPartition]) -> Result<Vec<NextOffset>, LogError> {
        let broker = self.log.broker();
        of.iter().map(|at| Ok(broker.partition(*at)?.last_stable())).collect()
    }

    fn first_since(
        &mut self,
        of: &[TopicPartition],
        time: Millis,
    ) -> Result<Vec<Option<NextOffset>>, LogError> {
        let broker = self.log.broker();
        of.iter().map(|at| Ok(broker.partition(*at)?.first_since(time))).collect()
    }

    fn ends(&mut self, of: &[TopicPartition]) -> Result<Vec<End>, LogError> {
        let broker = self.log.broker();
        let end = |at: &TopicPartition| {
            let cursor = self.cursors.iter().find(|cursor| cursor.at == *at);
            broker.end_of(cursor.ok_or(LogError::NotAssigned { at: *at })?)
        };
        of.iter().map(end).collect()
    }

    fn restore(
        &mut self,
        at: TopicPartition,
        from: NextOffset,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<Restoring, LogError> {
        self.undisturbed()?;
        self.log.broker().restore(at, from, limits, batch)
    }
}
