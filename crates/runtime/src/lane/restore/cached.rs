//! Reading state back from a task's snapshot, before its changelogs.

use super::{Restoration, Source};
use crate::lane::{Death, Lane, LaneError, Phase, Restored};
use crate::log::{Log, LogError};
use crate::snapshot::{Bounds, Found, Opening, Reading, Reason, SKEW, Verdict, judge};
use crate::task::Task;

impl<L: Log, T: Task> Lane<L, T> {
    /// One piece of work on a task that has a snapshot.
    pub(super) fn restore_from_snapshot(
        &mut self,
        mut restoration: Restoration,
    ) -> Result<Restored, LaneError> {
        let result = match &restoration.source {
            Source::Snapshot(_) => self.read_snapshot(&mut restoration).map(|()| true),
            Source::Undecided | Source::Changelogs => self.open_snapshot(&mut restoration),
        };
        match result {
            // It is not known yet what is there: the others go first.
            Ok(false) => self.restoring.push_back(restoration),
            _ => self.restoring.push_front(restoration),
        }
        result.map(|_| Restored::More)
    }

    /// False if it is not known yet what is there.
    fn open_snapshot(&mut self, restoration: &mut Restoration) -> Result<bool, LaneError> {
        let Some(snapshot) = &mut self.slots[restoration.task].snapshot else {
            restoration.source = Source::Changelogs;
            return Ok(true);
        };
        let found = match snapshot.open() {
            Opening::Pending => return Ok(false),
            Opening::Nothing => None,
            Opening::Found(found) => Some(found),
        };
        restoration.source = Source::Changelogs;
        let Some(found) = found else {
            snapshot.begin();
            return Ok(true);
        };
        let bounds = match bounds(&mut self.log, restoration, &found) {
            Ok(bounds) => bounds,
            Err(error) => {
                restoration.source = Source::Undecided;
                return Err(error.into());
            }
        };
        let mark = found.survey.as_ref().ok().and_then(|survey| survey.mark.as_ref());
        match (judge(&found, &bounds), mark) {
            (Verdict::Use, Some(mark)) => restoration.source = Source::Snapshot(mark.positions.clone()),
            (Verdict::Discard(reason), _) => {
                snapshot.discard(&reason);
                snapshot.begin();
            }
            (Verdict::Use, None) => snapshot.begin(),
        }
        Ok(true)
    }

    fn read_snapshot(&mut self, restoration: &mut Restoration) -> Result<(), LaneError> {
        let slot = &mut self.slots[restoration.task];
        let (task, Some(snapshot)) = (&mut slot.task, &mut slot.snapshot) else {
            restoration.source = Source::Changelogs;
            return Ok(());
        };
        let (mut count, mut first) = (0, None);
        let read = snapshot.read(&self.config.limits, &mut |record| {
            first.get_or_insert(record.topic_partition());
            count += 1;
            task.restore(record)
        });
        self.origins.snapshots += count;
        let of = |changelog: &&super::Changelog| Some(changelog.at) == first;
        if let Some(super::Changelog { at, position, target }) = restoration.changelogs.iter().find(of) {
            restoration.found.get_or_insert((*at, *position, *target));
        }
        match read {
            Ok(Reading::More) => {}
            Ok(Reading::Done) => {
                snapshot.resume();
                let source = std::mem::replace(&mut restoration.source, Source::Changelogs);
                if let Source::Snapshot(positions) = source {
                    for (changelog, position) in restoration.changelogs.iter_mut().zip(positions) {
                        changelog.position = position;
                    }
                }
            }
            Err(unreadable) => {
                // Half of it is in the task, and no changelog takes that back: only what was restored from the
                // beginning knows of tombstones that are gone.
                snapshot.discard(&Reason::Unreadable(unreadable.reason));
                self.phase = Phase::Dead(Death::HalfRestored);
                return Err(LaneError::HalfRestored);
            }
        }
        Ok(())
    }
}

/// What the log says of the task's changelogs.
fn bounds<L: Log>(log: &mut L, restoration: &Restoration, found: &Found) -> Result<Vec<Bounds>, LogError> {
    let mark = found.survey.as_ref().ok().and_then(|survey| survey.mark.as_ref());
    let Some(mark) = mark else { return Ok(Vec::new()) };
    let of: Vec<_> = restoration.changelogs.iter().map(|changelog| changelog.at).collect();
    let since = log.first_since(&of, mark.time.saturating_add(SKEW))?;
    let changelogs = restoration.changelogs.iter().zip(since);
    let bounds = changelogs.map(|(changelog, first_since)| Bounds {
        earliest: changelog.position,
        end: changelog.target,
        first_since,
    });
    Ok(bounds.collect())
}
