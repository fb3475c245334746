//! What is not as it must be, and what to do about it.

use std::collections::BTreeMap;
use std::fmt;

use catchment_connectors::kafka::{DescribedTopic, Mismatch, PartitionCount, WantedTopic, check};
use catchment_contracts::topics::{self, Partitions};

use crate::config::Config;

/// One thing that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The topic, or what else it is about.
    pub(crate) subject: String,
    /// What is wrong.
    pub(crate) problem: String,
    /// What to do.
    pub(crate) remedy: String,
    /// Roles can work even so.
    pub(crate) is_warning: bool,
}

impl Finding {
    /// A finding that keeps roles from working.
    pub(crate) fn new(subject: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        let subject = subject.to_owned();
        Finding { subject, problem: problem.into(), remedy: remedy.into(), is_warning: false }
    }

    /// A finding whose remedy is plain.
    pub(crate) fn other(subject: &str, problem: impl Into<String>) -> Self {
        Self::new(subject, problem, "")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { subject, problem, remedy, is_warning } = self;
        if *is_warning {
            f.write_str("warning: ")?;
        }
        write!(f, "{subject}: {problem}")?;
        if !remedy.is_empty() {
            write!(f, "\n  {}", remedy.replace('\n', "\n  "))?;
        }
        Ok(())
    }
}

/// Findings that say the same are said once, with all subjects; in the order of the first of each.
pub(crate) fn grouped(findings: &[Finding]) -> Vec<Finding> {
    let mut groups: Vec<Finding> = Vec::new();
    for finding in findings {
        let same = |group: &&mut Finding| {
            (&group.problem, &group.remedy, group.is_warning)
                == (&finding.problem, &finding.remedy, finding.is_warning)
        };
        match groups.iter_mut().find(same) {
            Some(group) => {
                group.subject.push_str(", ");
                group.subject.push_str(&finding.subject);
            }
            None => groups.push(finding.clone()),
        }
    }
    groups
}

/// Where topics are not as they must be.
pub(super) fn of_topics(
    config: &Config,
    wanted: &[WantedTopic],
    described: &BTreeMap<String, DescribedTopic>,
) -> Vec<Finding> {
    let brokers = config.kafka.brokers.as_deref().unwrap_or("BROKERS");
    let mut findings: Vec<Finding> = Vec::new();
    let (min_insync, replication) = (config.topics.min_insync, config.topics.replication);
    if min_insync > replication {
        let problem = format!("`topics.min_insync` is {min_insync}, `topics.replication` {replication}");
        findings.push(Finding::new(
            "configuration",
            problem,
            "with fewer copies than must be in step nothing can be written; lower the former",
        ));
    }
    findings.extend(disagreement(wanted, described));
    for mismatch in check(wanted, described) {
        let remedy = remedy(&mismatch, brokers);
        let Mismatch { topic, what, wanted, found, is_warning } = mismatch;
        let problem = match what {
            Mismatch::MISSING => "the topic is missing".to_owned(),
            Mismatch::PARTITIONS => format!("must have {wanted} partitions, has {found}"),
            Mismatch::REPLICATION => format!("must have {wanted} replicas, has {found}"),
            key => format!("{key} must be {wanted}, is {found}"),
        };
        findings.push(Finding { subject: topic, problem, remedy, is_warning });
    }
    findings
}

/// Topics by the same key whose numbers of partitions differ from each other: a customer would be looked for where she
/// is not, whatever the configuration says.
fn disagreement(wanted: &[WantedTopic], described: &BTreeMap<String, DescribedTopic>) -> Option<Finding> {
    let mut by_count: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for topic in wanted {
        let is_keyed =
            topics::spec(&topic.name).is_some_and(|spec| spec.partitions == Partitions::Configured);
        if let Some(is) = described.get(&topic.name).filter(|_| is_keyed) {
            by_count.entry(is.partitions).or_default().push(&topic.name);
        }
    }
    if by_count.len() < 2 {
        return None;
    }
    let groups: Vec<String> =
        by_count.iter().map(|(count, names)| format!("{count} in {}", names.join(", "))).collect();
    let problem = format!("topics of one key disagree about partitions: {}", groups.join("; "));
    Some(Finding::new(
        "partitions",
        problem,
        "a customer's state and events must lie on the same number; make the topics that are wrong anew",
    ))
}

fn remedy(mismatch: &Mismatch, brokers: &str) -> String {
    let Mismatch { topic, what, wanted, found, is_warning } = mismatch;
    if *is_warning && *what != Mismatch::UNCLEAN {
        return "the topic belongs to upstream: ask its owner".to_owned();
    }
    match *what {
        Mismatch::MISSING => "`catchment topics create` makes it".to_owned(),
        Mismatch::PARTITIONS => format!(
            "the number can't be changed once there are records: if all topics have {found}, set the key `partitions`; \
             if the topic is still empty, delete it and run `catchment topics create`"
        ),
        Mismatch::REPLICATION => format!(
            "add replicas with `kafka-reassign-partitions --bootstrap-server {brokers} …`, or lower \
             `topics.replication` if the cluster has fewer brokers"
        ),
        key => format!(
            "kafka-configs --bootstrap-server {brokers} --alter --entity-type topics --entity-name {topic} \
             --add-config {key}={}",
            wanted.rsplit(' ').next().unwrap_or(wanted)
        ),
    }
}

/// A word for how a topic is wanted, in lists.
pub(crate) fn partitions_text(count: Option<PartitionCount>) -> String {
    match count {
        Some(PartitionCount::Exactly(count) | PartitionCount::About(count)) => count.to_string(),
        None => "default".to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{config, wiring};

    pub(in crate::preflight) fn config(more: &str) -> Config {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catchment.yaml");
        let text = format!(
            "app: shop\nkafka: {{brokers: 'kafka:9092'}}\nsources:\n  - {{name: crm, topic: crm, mapping: contact}}\n{more}"
        );
        std::fs::write(&path, text).unwrap();
        config::load(&path, []).unwrap()
    }

    fn good() -> (Config, Vec<WantedTopic>, BTreeMap<String, DescribedTopic>) {
        let config = config("");
        let topology = wiring::topology(&config, 8, &BTreeMap::new()).unwrap();
        let wanted = super::super::wanted::wanted(&config, &topology);
        let pairs = [
            ("message.timestamp.type", "LogAppendTime"),
            ("min.insync.replicas", "2"),
            ("max.message.bytes", "1048588"),
            ("max.compaction.lag.ms", "2592000000"),
            ("retention.bytes", "-1"),
            ("segment.ms", "3600000"),
        ];
        let mut described = BTreeMap::new();
        for topic in &wanted {
            let mut entries: BTreeMap<String, String> =
                pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let compact = topic.cleanup == Some(catchment_connectors::kafka::CleanupPolicy::Compact);
            entries
                .insert("cleanup.policy".to_owned(), if compact { "compact" } else { "delete" }.to_owned());
            let key = if compact { "delete.retention.ms" } else { "retention.ms" };
            let (catchment_connectors::kafka::Retention::Exactly(kept)
            | catchment_connectors::kafka::Retention::AtMost(kept)) = topic.retention.unwrap();
            entries.insert(key.to_owned(), kept.as_millis().to_string());
            let (PartitionCount::Exactly(partitions) | PartitionCount::About(partitions)) =
                topic.partitions.unwrap();
            let is = DescribedTopic { partitions, replication: 3, config: entries };
            described.insert(topic.name.clone(), is);
        }
        (config, wanted, described)
    }

    fn findings(change: impl FnOnce(&mut BTreeMap<String, DescribedTopic>)) -> Vec<String> {
        let (config, wanted, mut described) = good();
        change(&mut described);
        grouped(&of_topics(&config, &wanted, &described)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn topics_that_are_as_they_must_be_are_not_named() {
        assert_eq!(findings(|_| {}), [""; 0]);
    }

    #[test]
    fn a_setting_comes_with_the_command_that_corrects_it() {
        let found = findings(|all| {
            let config = &mut all.get_mut("customer.events").unwrap().config;
            config.insert("message.timestamp.type".to_owned(), "CreateTime".to_owned());
            config.insert("max.message.bytes".to_owned(), "500000".to_owned());
        });
        let command = "  kafka-configs --bootstrap-server kafka:9092 --alter --entity-type topics --entity-name customer.events --add-config";
        assert_eq!(
            found,
            [
                format!(
                    "customer.events: message.timestamp.type must be LogAppendTime, is CreateTime\n{command} message.timestamp.type=LogAppendTime"
                ),
                format!(
                    "customer.events: max.message.bytes must be at least 1040000, is 500000\n{command} max.message.bytes=1040000"
                ),
            ]
        );
    }

    #[test]
    fn a_risk_to_our_topics_comes_with_a_command_too() {
        let found = findings(|all| {
            let config = &mut all.get_mut("customer.events").unwrap().config;
            config.insert("unclean.leader.election.enable".to_owned(), "true".to_owned());
        });
        let text = "warning: customer.events: unclean.leader.election.enable must be false, is true\n  kafka-configs ";
        assert!(found.len() == 1 && found[0].starts_with(text), "{found:#?}");
        assert!(found[0].ends_with("--add-config unclean.leader.election.enable=false"), "{found:#?}");
    }

    #[test]
    fn topics_of_one_key_that_disagree_are_named_together() {
        let found = findings(|all| all.get_mut("customer.profiles").unwrap().partitions = 12);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(
            found[0].starts_with(
                "partitions: topics of one key disagree about partitions: 8 in customer.events, "
            )
        );
        assert!(found[0].contains("; 12 in customer.profiles"), "{}", found[0]);
        assert!(found[1].starts_with("customer.profiles: must have 8 partitions, has 12\n"), "{}", found[1]);
    }

    #[test]
    fn dead_letters_and_upstream_may_have_other_numbers() {
        let found = findings(|all| {
            all.get_mut("crm").unwrap().partitions = 3;
            all.get_mut("dlq.crm").unwrap().partitions = 1;
            all.get_mut("crm").unwrap().config.insert("retention.ms".to_owned(), "-1".to_owned());
        });
        let warning = "warning: crm: retention.ms must be at most 2592000000, is -1\n  the topic belongs to upstream: ask its owner";
        assert_eq!(found, [warning]);
    }

    #[test]
    fn what_is_missing_is_made_by_a_command() {
        let found = findings(|all| {
            all.remove("crm");
            all.remove("shop.profile.dedup");
        });
        let text = "crm, shop.profile.dedup: the topic is missing\n  `catchment topics create` makes it";
        assert_eq!(found, [text]);
    }

    #[test]
    fn copies_that_can_never_be_in_step_are_found() {
        let config = config("topics: {replication: 1, min_insync: 2}\n");
        let found = of_topics(&config, &[], &BTreeMap::new());
        assert!(
            found[0]
                .to_string()
                .starts_with("configuration: `topics.min_insync` is 2, `topics.replication` 1")
        );
    }
}
