//! What must hold of Kafka before a role works on it: every topic is there and as it must be, and the key secret is
//! the one that the topics were filled with.

mod finding;
mod identity;
mod wanted;

use std::collections::BTreeMap;

use catchment_connectors::kafka::{AskError, Cluster, DescribedTopic, TopicAdmin, WantedTopic};
use catchment_contracts::settings::IdentitySetting;
use catchment_pipeline::topology::Topology;

use crate::config::Config;
use crate::wiring;

pub(crate) use finding::{Finding, grouped, partitions_text};
pub(crate) use identity::{Recorded, record, usable_secret};
pub(crate) use wanted::wanted;

/// Why `run` can't begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PreflightError {
    /// Kafka can't be reached: wait, and ask again.
    #[error("{0}")]
    Unreachable(String),
    /// A password, certificate or permission is wrong: wait, ask again, and let somebody know.
    #[error("{0}")]
    Denied(String),
    /// It would go wrong: stop, and say all of it.
    #[error("{}", list(.0))]
    Refused(Vec<Finding>),
}

fn list(findings: &[Finding]) -> String {
    grouped(findings).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl From<AskError> for PreflightError {
    fn from(error: AskError) -> Self {
        match &error {
            AskError::Unreachable { .. } => PreflightError::Unreachable(error.to_string()),
            AskError::Denied { .. } => PreflightError::Denied(error.to_string()),
            AskError::Refused { what, reason } => {
                PreflightError::Refused(vec![Finding::other(what, reason.clone())])
            }
        }
    }
}

/// Checks all that `run` rests on. The topology has the partitions that the topics really have. Warnings are logged.
///
/// # Errors
/// See [`PreflightError`].
pub(crate) fn check(config: &Config, cluster: &Cluster) -> Result<Topology, PreflightError> {
    let secret = usable_secret(config).map_err(|finding| PreflightError::Refused(vec![finding]))?;
    let cluster_state = State::ask(config, cluster)?;
    let (warnings, refusals): (Vec<Finding>, Vec<Finding>) =
        cluster_state.findings(config, Some(&secret)).into_iter().partition(|finding| finding.is_warning);
    for warning in warnings {
        tracing::warn!(topic = warning.subject, "{warning}");
    }
    if refusals.is_empty() { Ok(cluster_state.topology) } else { Err(PreflightError::Refused(refusals)) }
}

/// What a configuration wants, and what there is.
#[derive(Debug)]
pub(crate) struct State {
    /// The topics, with the partitions that those of upstream really have.
    pub(crate) topology: Topology,
    /// What each topic must be.
    pub(crate) wanted: Vec<WantedTopic>,
    /// What the topics that exist are.
    pub(crate) described: BTreeMap<String, DescribedTopic>,
    /// What is recorded of the identity.
    pub(crate) recorded: Recorded,
}

impl State {
    /// Asks Kafka.
    ///
    /// # Errors
    /// See [`PreflightError`].
    pub(crate) fn ask(config: &Config, cluster: &Cluster) -> Result<State, PreflightError> {
        let timeout = config.kafka.request_timeout.as_duration();
        let clash = |clash| PreflightError::Refused(vec![Finding::other("sources", format!("{clash}"))]);
        let of = |existing: &BTreeMap<String, u32>| {
            wiring::topology(config, config.topics.raw_partitions.into(), existing).map_err(clash)
        };
        let planned = of(&BTreeMap::new())?;
        let names = planned.table.iter().map(|(_, spec)| spec.name.as_str());
        let described = TopicAdmin::new(cluster, timeout)?.describe(names)?;
        let existing = described.iter().map(|(name, is)| (name.clone(), is.partitions)).collect();
        let topology = of(&existing)?;
        let wanted = wanted(config, &topology);
        let settings = &topology.table.spec(topology.settings).name;
        let recorded = match described.contains_key(settings) {
            true => identity::recorded(cluster, settings, timeout)?,
            false => Recorded::Nothing,
        };
        Ok(State { topology, wanted, described, recorded })
    }

    /// The topics that are still to be made.
    pub(crate) fn missing(&self) -> Vec<WantedTopic> {
        self.wanted.iter().filter(|topic| !self.described.contains_key(&topic.name)).cloned().collect()
    }

    /// All that is not as it must be, topics first. Without a secret its fingerprint is not compared.
    pub(crate) fn findings(
        &self,
        config: &Config,
        secret: Option<&catchment_domain::KeySecret>,
    ) -> Vec<Finding> {
        let mut findings = finding::of_topics(config, &self.wanted, &self.described);
        if let Some(secret) = secret {
            let wanted = IdentitySetting::new(secret.fingerprint(), config.partitions.into());
            findings.extend(self.recorded.finding(&wanted));
        }
        findings
    }
}
