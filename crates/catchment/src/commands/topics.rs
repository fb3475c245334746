//! `catchment topics`

mod acls;
mod consumer;

use std::io::Write;
use std::path::PathBuf;

use catchment_connectors::kafka::{Cluster, TopicAdmin};
use catchment_contracts::settings::IdentitySetting;
use catchment_contracts::topics;

use crate::config::{self, Config};
use crate::connect;
use crate::out::Out;
use crate::preflight::{self, Finding, PreflightError, Recorded, State, grouped, partitions_text};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum TopicsCommand {
    /// Create the topics that do not exist, and record the fingerprint of the key secret
    ///
    /// Can be run again at any time: topics that exist are never changed. Where one is not as it must be, the command
    /// that would change it is printed. Raw topics are made only where upstream has not made them.
    Create {
        /// Configuration file
        #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
        config: PathBuf,
        /// Say what would be created, and create nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Check that all topics are as they must be, and that the key secret is the one they were filled with
    ///
    /// `run` checks the same before it begins. The exit code is 1 if anything is wrong.
    Check {
        /// Configuration file
        #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
        config: PathBuf,
        /// Print the access lists that each role needs, as commands of `kafka-acls`, instead of asking Kafka
        #[arg(long)]
        acls: bool,
        /// Check the properties file of a consumer of our topics instead: it must read committed records only
        #[arg(long, value_name = "PROPERTIES", conflicts_with = "acls")]
        consumer: Option<PathBuf>,
    },
}

pub(super) fn run<W: Write>(out: &mut Out<W>, command: &TopicsCommand) -> anyhow::Result<()> {
    match command {
        TopicsCommand::Create { config, dry_run } => create(out, &connect::config(config)?, *dry_run),
        TopicsCommand::Check { consumer: Some(file), .. } => consumer::check(out, file),
        TopicsCommand::Check { config, acls: true, .. } => acls::print(out, &connect::config(config)?),
        TopicsCommand::Check { config, .. } => check(out, &connect::config(config)?),
    }
}

fn create<W: Write>(out: &mut Out<W>, config: &Config, dry_run: bool) -> anyhow::Result<()> {
    let secret = preflight::usable_secret(config)
        .map_err(|finding| anyhow::Error::from(PreflightError::Refused(vec![finding])))?;
    let cluster = connect::cluster(&config.kafka)?;
    let state = State::ask(config, &cluster)?;
    let identity = IdentitySetting::new(secret.fingerprint(), config.partitions.into());
    refuse_another_identity(&state.recorded, &identity)?;
    let missing = state.missing();
    let mut rows = Vec::new();
    if !missing.is_empty() {
        rows.push(["topic", "partitions", "replicas", "cleanup"].map(str::to_owned));
    }
    rows.extend(missing.iter().map(|topic| {
        let replicas = topic.replication.map_or_else(|| "default".to_owned(), |count| count.to_string());
        [topic.name.clone(), partitions_text(topic.partitions), replicas, cleanup(&topic.name)]
    }));
    if dry_run {
        let (missing, there) = (missing.len(), state.described.len());
        out.line(format_args!("{missing} topics would be created, {there} are there."))?;
        out.table("  ", &rows)?;
        let mut findings = state.findings(config, None);
        findings.retain(|finding| state.described.contains_key(&finding.subject));
        return report(out, &findings);
    }
    TopicAdmin::new(&cluster, config.kafka.request_timeout.as_duration())?.create(&missing)?;
    out.line(format_args!("{} topics created, {} were there.", missing.len(), state.described.len()))?;
    out.table("  ", &rows)?;
    preflight::record(config, &cluster, &identity)?;
    report(out, &State::ask(config, &cluster)?.findings(config, Some(&secret)))
}

/// Topics made for another secret or number of partitions would have to be deleted again.
fn refuse_another_identity(recorded: &Recorded, wanted: &IdentitySetting) -> Result<(), PreflightError> {
    match recorded {
        Recorded::Nothing => Ok(()),
        recorded => {
            recorded.finding(wanted).map_or(Ok(()), |finding| Err(PreflightError::Refused(vec![finding])))
        }
    }
}

/// How a topic forgets, in a word.
fn cleanup(topic: &str) -> String {
    let spec = topics::spec(topic).or_else(|| topics::spec(topics::BEHAVIOUR_EVENTS));
    spec.map_or_else(String::new, |spec| spec.cleanup.to_string())
}

/// Prints findings. An error if any of them is more than a warning.
fn report<W: Write>(out: &mut Out<W>, findings: &[Finding]) -> anyhow::Result<()> {
    let findings = grouped(findings);
    for finding in &findings {
        out.line(format_args!("\n{finding}"))?;
    }
    match findings.iter().filter(|finding| !finding.is_warning).count() {
        0 => Ok(()),
        1 => anyhow::bail!("1 thing is not as it must be"),
        count => anyhow::bail!("{count} things are not as they must be"),
    }
}

fn check<W: Write>(out: &mut Out<W>, config: &Config) -> anyhow::Result<()> {
    let cluster: Cluster = connect::cluster(&config.kafka)?;
    let state = State::ask(config, &cluster)?;
    let (mut findings, secret) = match preflight::usable_secret(config) {
        Ok(secret) => (Vec::new(), Some(secret)),
        Err(finding) => (vec![finding], None),
    };
    findings.extend(state.findings(config, secret.as_ref()));
    let mut rows = vec![["topic", "partitions", "replicas", "cleanup", "time", "state"].map(str::to_owned)];
    rows.extend(state.wanted.iter().map(|topic| row(topic.name.as_str(), &state, &findings)));
    out.table("", &rows)?;
    report(out, &findings)?;
    let warnings = findings.len();
    out.line(format_args!(
        "\nAll topics are as they must be{}",
        if warnings == 0 { ".".to_owned() } else { format!(", with {warnings} warnings.") }
    ))
}

fn row(topic: &str, state: &State, findings: &[Finding]) -> [String; 6] {
    let mut of_topic = findings.iter().filter(|finding| finding.subject == topic).peekable();
    let verdict = if of_topic.peek().is_none() {
        "ok"
    } else if of_topic.all(|finding| finding.is_warning) {
        "warning"
    } else {
        "wrong"
    };
    let Some(is) = state.described.get(topic) else {
        let nothing = || "-".to_owned();
        return [topic.to_owned(), nothing(), nothing(), nothing(), nothing(), "missing".to_owned()];
    };
    let value = |key: &str| is.config.get(key).map_or("unknown", String::as_str);
    let policy = value("cleanup.policy");
    let kept = value(if policy == "compact" { "delete.retention.ms" } else { "retention.ms" });
    [
        topic.to_owned(),
        is.partitions.to_string(),
        is.replication.to_string(),
        format!("{policy}, {}", span(kept)),
        value("message.timestamp.type").to_owned(),
        verdict.to_owned(),
    ]
}

fn span(millis: &str) -> String {
    match millis.parse::<i64>() {
        Ok(millis) if millis < 0 => "for ever".to_owned(),
        Ok(millis) => config::Span::of_millis(millis).to_string(),
        Err(_) => millis.to_owned(),
    }
}
