//! The key secret, and what is recorded of it on `<app>.settings`.
//!
//! Two secrets would make two customers of each one, silently. So the fingerprint of the secret that topics are filled
//! with is written beside them once, and compared at every start.

use std::time::Duration;

use catchment_connectors::kafka::{AskError, Cluster, NamedPartition, Place, RawRecord, Scan, ToolWriter};
use catchment_contracts::settings::{IDENTITY, IdentitySetting};
use catchment_domain::KeySecret;

use super::Finding;
use crate::config::Config;
use crate::connect;

/// Far more than a setting takes.
const LARGEST_SETTING: usize = 100_000;

/// What is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// Nothing yet.
    Nothing,
    /// This.
    Setting(IdentitySetting),
    /// A record that this release can't read.
    Unreadable(String),
}

/// The secret that `run` works with.
///
/// # Errors
/// There is none, it can't be read, or it is the published one.
pub(crate) fn usable_secret(config: &Config) -> Result<KeySecret, Finding> {
    const HINT: &str =
        "make one with `openssl rand -hex 32 > FILE`, keep it as safe as the data, and never change it";
    let subject = "identity.secret_file";
    match config.secret() {
        Ok(Some(secret)) if secret.is_published() => Err(Finding::new(
            subject,
            "this is the secret of the demo, which is published and protects nothing",
            HINT,
        )),
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => {
            Err(Finding::new(subject, "the key is missing; roles on Kafka need a secret of their own", HINT))
        }
        Err(errors) => Err(Finding::new(subject, errors.to_string(), HINT)),
    }
}

/// Reads what is recorded on the topic.
///
/// # Errors
/// See [`AskError`].
pub(super) fn recorded(cluster: &Cluster, topic: &str, patience: Duration) -> Result<Recorded, AskError> {
    let mut scan = Scan::new(cluster, &[NamedPartition::new(topic, 0)], Place::Earliest, patience)?;
    let mut last = None;
    while let Some(record) = scan.next_record()? {
        if record.key.as_deref() == Some(IDENTITY.as_bytes()) {
            last = record.value;
        }
    }
    Ok(match last.map(|value| IdentitySetting::decode(&value)) {
        None => Recorded::Nothing,
        Some(Ok(setting)) => Recorded::Setting(setting),
        Some(Err(error)) => Recorded::Unreadable(error.to_string()),
    })
}

/// Records the identity where nothing is recorded yet, and says what is recorded then. Two that do it at once fence
/// each other, so that one of them sees what the other wrote.
///
/// # Errors
/// See [`AskError`].
pub(crate) fn record(
    config: &Config,
    cluster: &Cluster,
    wanted: &IdentitySetting,
) -> Result<Recorded, AskError> {
    let topic = catchment_contracts::topics::settings(&config.app);
    let patience = config.kafka.request_timeout.as_duration();
    let id = connect::operator(&config.app, "settings");
    let writer = ToolWriter::new(cluster, &id, LARGEST_SETTING, patience)?;
    let found = recorded(cluster, &topic, patience)?;
    if found != Recorded::Nothing {
        return Ok(found);
    }
    let value = wanted.encode().map_err(|error| AskError::refused(topic.clone(), error.to_string()))?;
    writer.transaction(|writer| {
        writer.send(&RawRecord {
            topic: &topic,
            partition: Some(0),
            key: Some(IDENTITY.as_bytes()),
            value: Some(&value),
            ..RawRecord::default()
        })
    })?;
    Ok(Recorded::Setting(wanted.clone()))
}

impl Recorded {
    /// Where it is not what is wanted.
    pub(crate) fn finding(&self, wanted: &IdentitySetting) -> Option<Finding> {
        let subject = "identity.secret_file";
        match self {
            Recorded::Nothing => Some(Finding::new(
                subject,
                "its fingerprint is not recorded yet, so that nobody could tell another secret",
                "`catchment topics create` records it",
            )),
            Recorded::Unreadable(reason) => Some(Finding::new(
                subject,
                format!("what is recorded of it can't be read ({reason})"),
                "was it written by a newer release? Run that one",
            )),
            Recorded::Setting(setting) if setting.fingerprint != wanted.fingerprint => Some(Finding::new(
                subject,
                format!(
                    "the secret has the fingerprint {}, but the topics are filled with one of {}",
                    wanted.fingerprint, setting.fingerprint
                ),
                "with another secret every customer would be a new one: configure the secret of before",
            )),
            Recorded::Setting(setting) if setting.partitions != wanted.partitions => Some(Finding::new(
                "partitions",
                format!(
                    "the key says {}, but the topics are filled with {}",
                    wanted.partitions, setting.partitions
                ),
                format!(
                    "the number is part of where a customer lives: set `partitions: {}`",
                    setting.partitions
                ),
            )),
            Recorded::Setting(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::finding::tests::config;

    #[test]
    fn another_secret_or_another_number_of_partitions_is_refused() {
        let wanted = IdentitySetting::new([1; 8], 8);
        let found = |recorded: &Recorded| recorded.finding(&wanted).map(|finding| finding.problem);
        let setting =
            |fingerprint, partitions| Recorded::Setting(IdentitySetting::new(fingerprint, partitions));
        assert_eq!(found(&setting([1; 8], 8)), None);
        let text = "the secret has the fingerprint 0101010101010101, but the topics are filled with one of 0202020202020202";
        assert_eq!(found(&setting([2; 8], 8)).as_deref(), Some(text));
        assert_eq!(
            found(&setting([1; 8], 12)).as_deref(),
            Some("the key says 8, but the topics are filled with 12")
        );
        assert!(found(&Recorded::Nothing).unwrap().contains("not recorded yet"));
        assert!(found(&Recorded::Unreadable("x".to_owned())).unwrap().contains("can't be read (x)"));
    }

    #[test]
    fn a_secret_is_needed_and_not_the_published_one() {
        let problem = |config: &Config| usable_secret(config).unwrap_err().to_string();
        let missing = problem(&config(""));
        assert!(
            missing.contains("the key is missing") && missing.contains("openssl rand -hex 32"),
            "{missing}"
        );
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        let mut with_secret = config("");
        with_secret.identity.secret_file = Some(file.clone());
        let hex: String =
            b"catchment demo: it is published.".iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(&file, hex).unwrap();
        assert!(problem(&with_secret).contains("is published"));
        std::fs::write(&file, "07".repeat(32)).unwrap();
        assert!(usable_secret(&with_secret).is_ok());
    }
}
