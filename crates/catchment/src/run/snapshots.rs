//! Snapshots of this process: where they are kept, whose they are, and what is told of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use catchment_connectors::kafka::TopicAdmin;
use catchment_connectors::snapshot::{Counts, FileStatus, Snapshots, Wanted};
use catchment_contracts::settings::IdentitySetting;
use catchment_contracts::topics;
use catchment_domain::KeySecret;
use catchment_runtime::record::Cleanup;
use catchment_runtime::snapshot::Head;
use catchment_runtime::snapshot::format::Changelog;
use catchment_runtime::{Millis, Partition, Snapshot, TopicPartition, TopicTable};

use crate::config::Config;
use crate::{connect, metrics as names};

/// Longest wait for what is still to be written when the process ends.
const LAST_WRITES: Duration = Duration::from_secs(4);

/// The snapshots of the process.
#[derive(Debug)]
pub(super) struct Cache {
    snapshots: Snapshots,
    app: String,
    table: Arc<TopicTable>,
    /// What must be the same for a snapshot to be of use; without the role.
    identity: Vec<(String, String)>,
}

impl Cache {
    /// None without `state.dir`, and where there can be none: lanes then restore from their changelogs.
    pub(super) fn start(config: &Config, table: &Arc<TopicTable>, secret: &KeySecret) -> Option<Self> {
        let directory = config.state.dir.as_ref()?;
        match Self::try_start(config, table, secret) {
            Ok(cache) => {
                tracing::info!("snapshots are kept in {}", directory.display());
                Some(cache)
            }
            Err(error) => {
                metrics::counter!(names::SNAPSHOT_FAILURES).increment(1);
                tracing::warn!("no snapshots, so that a restart restores from the changelogs: {error:#}");
                None
            }
        }
    }

    fn try_start(config: &Config, table: &Arc<TopicTable>, secret: &KeySecret) -> anyhow::Result<Self> {
        let Some(directory) = &config.state.dir else { anyhow::bail!("`state.dir` is not set") };
        let cluster = connect::cluster(&config.kafka)?;
        let cluster = TopicAdmin::new(&cluster, config.kafka.request_timeout.as_duration())?.cluster_id()?;
        let setting = IdentitySetting::new(secret.fingerprint(), config.partitions.into());
        let identity = [
            ("cluster", cluster),
            ("app", config.app.clone()),
            ("partitions", setting.partitions.to_string()),
            ("fingerprint of the secret", setting.fingerprint),
        ];
        let snapshots = Snapshots::start(directory, oldest())?;
        Ok(Cache {
            snapshots,
            app: config.app.clone(),
            table: Arc::clone(table),
            identity: identity.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        })
    }

    /// The snapshot of a task; none if it has no state.
    pub(super) fn of(
        &self,
        role: &str,
        partition: Partition,
        changelogs: Vec<TopicPartition>,
    ) -> Option<Box<dyn Snapshot>> {
        if changelogs.is_empty() {
            return None;
        }
        let changelog = |at: &TopicPartition| {
            let spec = self.table.spec(at.topic);
            let retention = match spec.cleanup {
                Cleanup::Compact => None,
                Cleanup::Delete { retention_ms } => {
                    Some(Millis::try_from(retention_ms).unwrap_or(Millis::MAX))
                }
            };
            Changelog { topic: spec.name.clone(), partition: at.partition, retention }
        };
        let mut identity = self.identity.clone();
        identity.push(("role".to_owned(), role.to_owned()));
        let head = Head { identity, changelogs: changelogs.iter().map(changelog).collect(), alive: 0 };
        let role = format!("{}.{role}", self.app);
        Some(self.snapshots.open(Wanted { role, partition, head, changelogs }))
    }

    /// Waits until all is written; to be called when no lane is left.
    pub(super) fn finish(&self) {
        if !self.snapshots.finish(LAST_WRITES) {
            tracing::warn!("snapshots were not written in {} s; they end before", LAST_WRITES.as_secs());
        }
    }
}

/// Half of what the changelogs keep tombstones.
fn oldest() -> Duration {
    let kept = topics::TABLE.iter().filter_map(|topic| match topic.cleanup {
        topics::Cleanup::Compact { tombstones } => Some(tombstones),
        _ => None,
    });
    kept.min().unwrap_or_default() / 2
}

/// Turns what a [`Cache`] knows into metrics.
#[derive(Debug, Default)]
pub(super) struct SnapshotMetrics {
    told: Counts,
    /// Files whose size was told.
    shown: BTreeSet<(String, Partition)>,
}

impl SnapshotMetrics {
    /// To be called now and then.
    pub(super) fn tell(&mut self, cache: &Cache) {
        self.count(cache.snapshots.counts());
        self.show(cache.snapshots.files());
    }

    fn count(&mut self, now: Counts) {
        let told = &self.told;
        for (reason, count) in &now.discarded {
            let before = told.discarded.get(reason).copied().unwrap_or(0);
            metrics::counter!(names::SNAPSHOTS_DISCARDED, "reason" => *reason)
                .increment(count.saturating_sub(before));
        }
        for (name, now, before) in [
            (names::SNAPSHOTS_USED, now.used, told.used),
            (names::SNAPSHOTS_DROPPED, now.dropped, told.dropped),
            (names::SNAPSHOT_FAILURES, now.failures, told.failures),
            (names::SNAPSHOT_COMPACTIONS, now.compactions, told.compactions),
            (names::SNAPSHOT_WRITTEN, now.written, told.written),
        ] {
            metrics::counter!(name).increment(now.saturating_sub(before));
        }
        self.told = now;
    }

    fn show(&mut self, files: Vec<FileStatus>) {
        let gauge = |name: &'static str, (role, partition): &(String, Partition)| metrics::gauge!(name, "role" => role.clone(), "partition" => partition.to_string());
        let mut before = std::mem::take(&mut self.shown);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        for file in files {
            // The directory is named after the group; metrics know roles.
            let role = file.role.rsplit('.').next().unwrap_or_default().to_owned();
            let name = (role, file.partition);
            if let Some(marked_at) = file.marked_at {
                let marked_at = Duration::from_millis(u64::try_from(marked_at).unwrap_or(0));
                gauge(names::SNAPSHOT_AGE, &name).set(now.saturating_sub(marked_at).as_secs_f64());
            }
            gauge(names::SNAPSHOT_BYTES, &name).set(float(file.bytes));
            before.remove(&name);
            self.shown.insert(name);
        }
        // Of tasks that are elsewhere now.
        for name in &before {
            gauge(names::SNAPSHOT_AGE, name).set(0.0);
            gauge(names::SNAPSHOT_BYTES, name).set(0.0);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_used_for_half_of_the_life_of_a_tombstone() {
        assert_eq!(oldest(), Duration::from_secs(7 * 24 * 3_600 / 2));
    }
}
