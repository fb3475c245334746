//! Whether the lane is still the owner of its partitions: a commit of unchanged offsets tells.

use super::{Death, Lane, LaneError, Phase, StepReport};
use crate::log::{CommitOutcome, Log};
use crate::outbox::Outbox;
use crate::record::{NextOffset, TopicPartition};
use crate::task::Task;

impl<L: Log, T: Task> Lane<L, T> {
    /// Holds that came up are said by the owner alone. A lane that lost a partition and does not know it yet may have read
    /// state that its successor wrote, to which the records behind its own offset do not fit. To be called between two
    /// steps: what is not proven is tried again. The reason, if it is not.
    pub(super) fn prove_holds(&mut self) -> Result<Option<String>, LaneError> {
        let unproven = self.inputs.iter().filter(|input| input.awaits_proof());
        let offsets: Vec<_> = unproven.map(|input| (input.at, input.next)).collect();
        if self.phase != Phase::Running || offsets.is_empty() {
            return Ok(None);
        }
        let refused = self.prove(&offsets)?;
        if refused.is_none() {
            self.inputs.iter_mut().for_each(|input| input.unproven = false);
        }
        Ok(refused)
    }

    /// Commits these offsets, which are what they were: that this lane is still the owner, or why that is not known.
    pub(super) fn prove(
        &mut self,
        offsets: &[(TopicPartition, NextOffset)],
    ) -> Result<Option<String>, LaneError> {
        match self.log.commit(&Outbox::default(), offsets)? {
            CommitOutcome::Committed => Ok(None),
            CommitOutcome::Aborted { reason } => Ok(Some(reason)),
            CommitOutcome::Unknown { reason } => {
                // Nothing was in it that could be lost; the next step makes the producer anew, and that is all it does.
                self.sent.clear();
                self.report = StepReport::default();
                self.phase = Phase::Unsettled;
                Ok(Some(reason))
            }
            CommitOutcome::Fenced(fence) => {
                self.phase = Phase::Dead(Death::Fenced(fence));
                Err(LaneError::Fenced(fence))
            }
        }
    }
}
