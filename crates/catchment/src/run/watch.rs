//! Looks after the groups of this process: partitions that nobody owns are dealt out again.
//!
//! Why there can be such partitions says [`deal_again`]. It takes a process that dies while partitions move and comes
//! back, so that process looks often while it is young. Later it looks for those that did not get so far.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use catchment_connectors::kafka::{AskError, Cluster, Inspector, NamedPartition, View, deal_again};

use super::world::nap;
use crate::config::Config;
use crate::connect;
use crate::stop::Stop;

/// Between two looks of a young process: longer than a living lane takes to hand a partition over.
const OFTEN: Duration = Duration::from_secs(5);

/// Between two looks later on.
const SELDOM: Duration = Duration::from_secs(60);

/// A process is young for so long.
const YOUNG: Duration = Duration::from_secs(60);

/// Longest wait until a group has dealt out its partitions: each of its lanes finishes its step first.
const DEALING: Duration = Duration::from_secs(30);

/// A group, and what it deals out.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) group: String,
    pub(super) topic: String,
    /// Of the topic.
    pub(super) partitions: u32,
    /// A topic that the role may describe and that its group does not deal out.
    pub(super) bystander: String,
    /// Without an owner when it was looked at last.
    pub(super) suspects: Vec<NamedPartition>,
}

/// Starts to look after these groups, until the process is asked to stop.
pub(super) fn start(config: &Config, mut groups: Vec<Watched>, stop: Stop) -> anyhow::Result<()> {
    let (config, born) = (config.clone(), Instant::now());
    let watch = move || {
        while !stop.requested() {
            let suspicious = groups.iter().any(|group| !group.suspects.is_empty());
            nap(if suspicious || born.elapsed() < YOUNG { OFTEN } else { SELDOM }, &stop);
            for group in groups.iter_mut().filter(|_| !stop.requested()) {
                if let Err(error) = look(&config, group) {
                    tracing::debug!("who owns the partitions is not known: {error:#}");
                }
            }
        }
    };
    thread::Builder::new().name("groups".to_owned()).spawn(watch).context("a thread could not be started")?;
    Ok(())
}

fn look(config: &Config, watched: &mut Watched) -> anyhow::Result<()> {
    // Made anew each time, as secrets may have changed.
    let cluster = connect::cluster(&config.kafka)?;
    let inspector =
        Inspector::new(&cluster, None, View::Committed, config.kafka.request_timeout.as_duration())?;
    let orphans = inspector.group(&watched.group)?.orphans(&watched.topic, watched.partitions);
    let lasting = watched.lasting(orphans);
    if !lasting.is_empty() {
        deal(&cluster, watched, &lasting)?;
    }
    Ok(())
}

fn deal(cluster: &Cluster, watched: &Watched, orphans: &[NamedPartition]) -> Result<(), AskError> {
    let Watched { group, bystander, .. } = watched;
    let partitions = orphans.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    tracing::warn!(group, partitions, "nobody owns these partitions: the group deals out again");
    deal_again(cluster, group, bystander, DEALING)
}

impl Watched {
    /// Those without an owner now that had none before either. While partitions move, one may be between two owners.
    fn lasting(&mut self, orphans: Vec<NamedPartition>) -> Vec<NamedPartition> {
        let lasting: Vec<_> = orphans.iter().filter(|at| self.suspects.contains(at)).cloned().collect();
        // What is dealt out now is looked at afresh.
        self.suspects = if lasting.is_empty() { orphans } else { Vec::new() };
        lasting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_is_found_without_an_owner_twice_in_a_row_is_dealt_again() {
        let at = |numbers: &[i32]| -> Vec<_> {
            numbers.iter().map(|number| NamedPartition::new("events", *number)).collect()
        };
        let mut watched = Watched {
            group: "shop.profile".to_owned(),
            topic: "events".to_owned(),
            partitions: 4,
            bystander: "profiles".to_owned(),
            suspects: Vec::new(),
        };
        for (found, lasting) in [
            (&[][..], &[][..]),
            (&[1, 2], &[]),
            (&[3], &[]),
            (&[2, 3], &[3]),
            // Right after it was dealt out.
            (&[3], &[]),
            (&[3], &[3]),
        ] {
            assert_eq!(watched.lasting(at(found)), at(lasting), "{found:?}");
        }
    }
}
