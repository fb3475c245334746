//! `catchment offsets`

mod way;

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use catchment_connectors::kafka::{
    Cluster, Group, Inspector, NamedPartition, Place, RawRecord, ToolWriter, View,
};
use catchment_contracts::dead_letter::{DeadLetter, ErrorCode, FieldError};
use catchment_contracts::topics;
use catchment_domain::time::format_rfc3339;
use serde::Serialize;

use super::UsageError;
use super::operator::{now, user};
use super::run::Role;
use crate::config::{Config, Span};
use crate::connect;
use crate::out::Out;
use way::{Facts, Way};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum OffsetsCommand {
    /// Let a role go on behind a part of its input that it can't read
    ///
    /// The way out of an input gap: records went by retention before the role had read them, and it waits until
    /// somebody decides. And the way to say where a role begins where Kafka has forgotten how far it was (nothing is
    /// committed), or where the partition ends before the committed offset (the topic was made anew or cut off). What is
    /// skipped is recorded on `dlq.<role>` with the code `skipped`, together with the reason. Stop the role first: Kafka
    /// must not have a living member in its group.
    Skip(SkipArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct SkipArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
    config: PathBuf,
    /// Role that is to go on
    #[arg(long)]
    role: Role,
    /// Topic that it reads
    #[arg(long)]
    topic: String,
    /// Partition of the topic
    #[arg(long)]
    partition: u32,
    /// The next offset to read
    #[arg(long, value_name = "OFFSET", required_unless_present = "to_earliest")]
    to: Option<i64>,
    /// Go on with the oldest record that is still there
    #[arg(long, conflicts_with = "to")]
    to_earliest: bool,
    /// Why, for the record; nothing personal
    #[arg(long)]
    reason: String,
    /// Do it; without this flag, only say what would be skipped
    #[arg(long)]
    yes: bool,
}

pub(super) fn run<W: Write>(out: &mut Out<W>, command: &OffsetsCommand) -> anyhow::Result<()> {
    let OffsetsCommand::Skip(args) = command;
    let config = connect::config(&args.config)?;
    let inputs = args.role.inputs(&config);
    if !inputs.contains(&args.topic.as_str()) {
        let (role, topic) = (args.role.name(), &args.topic);
        let expected = inputs.join(", ");
        return Err(UsageError(format!("`{role}` does not read `{topic}`; it reads {expected}")).into());
    }
    if args.reason.trim().is_empty() {
        return Err(UsageError("--reason is empty: say why, for who looks into it later".to_owned()).into());
    }
    let cluster = connect::cluster(&config.kafka)?;
    let skip = Skip::plan(&config, &cluster, args)?;
    out.line(&skip)?;
    if !args.yes {
        return out.line("Nothing is done yet: add --yes to do it.");
    }
    skip.carry_out(&config, &cluster)?;
    out.line(format_args!(
        "Done. {} goes on at offset {}; recorded on {}.",
        args.role.name(),
        skip.to,
        topics::dlq(args.role.name())
    ))
}

/// What is to be done.
#[derive(Debug)]
struct Skip {
    role: &'static str,
    group: String,
    at: NamedPartition,
    facts: Facts,
    way: Way,
    /// The next offset that is read.
    to: i64,
    /// `dedup.window`.
    window: Span,
    reason: String,
    inspector: Inspector,
}

/// Shown to the operator.
impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Skip { role, at, facts, way, to, window, .. } = self;
        f.write_str(&way.describe(facts, *to, role, at))?;
        if way.may_repeat() {
            write!(
                f,
                "\nWhat {role} has done already is recognised within `dedup.window` ({window}): records older than that may be \
                 counted again."
            )?;
        }
        Ok(())
    }
}

impl Skip {
    fn plan(config: &Config, cluster: &Cluster, args: &SkipArgs) -> anyhow::Result<Skip> {
        let role = args.role.name();
        let group = topics::group(&config.app, role);
        let timeout = config.kafka.request_timeout.as_duration();
        let inspector = Inspector::new(cluster, Some(&group), View::Committed, timeout)?;
        let counts = inspector.partitions([args.topic.as_str()])?;
        let Some(count) = counts.get(&args.topic) else { bail!("topic {} does not exist", args.topic) };
        if args.partition >= *count {
            let text = format!("topic {} has only {count} partitions, from 0", args.topic);
            return Err(UsageError(text).into());
        }
        let at = NamedPartition::new(&args.topic, i32::try_from(args.partition)?);
        let of = std::slice::from_ref(&at);
        let first = |found: Vec<Option<i64>>| found.into_iter().next().flatten();
        // The end last: asked before, it could lie before what was committed meanwhile.
        let committed = first(inspector.committed(of)?);
        let (earliest, end) =
            (first(inspector.offsets(of, Place::Earliest)?), first(inspector.offsets(of, Place::End)?));
        let (Some(earliest), Some(end)) = (earliest, end) else { bail!("{at} does not exist") };
        let facts = Facts { committed, earliest, end };
        let to = args.to.unwrap_or(earliest);
        let (way, window, reason) = (facts.way(to)?, config.dedup.window, args.reason.clone());
        Ok(Skip { role, group, at, facts, way, to, window, reason, inspector })
    }

    /// Writes the record and the offset in one transaction.
    fn carry_out(&self, config: &Config, cluster: &Cluster) -> anyhow::Result<()> {
        self.is_group_empty(config)?;
        let timeout = config.kafka.request_timeout.as_duration();
        let letters = topics::dlq(self.role);
        let counts = self.inspector.partitions([letters.as_str()])?;
        let Some(count) = counts.get(&letters) else {
            bail!(
                "topic {letters} does not exist, so that nothing could be recorded; `catchment topics create` makes it"
            );
        };
        let id = connect::operator(&config.app, "offsets");
        let limit = usize::try_from(config.kafka.max_record.bytes())?;
        let writer = ToolWriter::new(cluster, &id, limit, timeout)?;
        let (headers, value) = (self.headers(), self.value()?);
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        writer.transaction(|writer| -> anyhow::Result<()> {
            writer.send(&RawRecord {
                topic: &letters,
                partition: Some(self.at.partition % i32::try_from(*count)?),
                value: Some(&value),
                headers: &headers,
                ..RawRecord::default()
            })?;
            writer.send_offset(&self.inspector, &self.at, self.to)?;
            // A lane that joins after this question waits for the transaction before it is told an offset; one that
            // came before it is seen here.
            self.is_group_empty(config)
        })?;
        tracing::warn!(
            role = self.role,
            topic = self.at.topic,
            partition = self.at.partition,
            committed = self.facts.committed,
            from = self.from(),
            to = self.to,
            reason = self.reason,
            "an operator has said where the role goes on"
        );
        Ok(())
    }

    fn is_group_empty(&self, config: &Config) -> anyhow::Result<()> {
        let group: Group = self.inspector.group(&self.group)?;
        if group.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = group.members.iter().map(|member| member.name.as_str()).collect();
        bail!(
            "group {} is {} with {} members ({}): stop every process of the role `{}` first. One that was stopped still \
             counts until `kafka.session_timeout` ({}) is over",
            self.group,
            group.state,
            names.len(),
            names.join(", "),
            self.role,
            config.kafka.session_timeout
        )
    }

    /// The first offset that is not read.
    fn from(&self) -> i64 {
        self.facts.skipped_from(self.way)
    }

    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let (from, to) = (self.from(), self.to);
        let done = match self.way {
            _ if from < to => format!("offsets {from} to {} skipped", to - 1),
            Way::Skip { .. } | Way::Begin => format!("nothing was committed; begun at offset {to}"),
            Way::CutOff { committed } => format!("offset {committed} was committed; begun anew at {to}"),
        };
        let errors = [FieldError::new(ErrorCode::Skipped, "", "a record", &done)];
        let letter = DeadLetter {
            errors: &errors,
            topic: &self.at.topic,
            partition: self.at.partition,
            offset: from,
            stage: "skip",
            role: self.role,
            contract: "",
            source: "",
            attempt: 1,
        };
        letter.headers()
    }

    fn value(&self) -> anyhow::Result<Vec<u8>> {
        let record = SkipRecord {
            role: self.role,
            topic: &self.at.topic,
            partition: self.at.partition,
            committed: self.facts.committed,
            from: self.from(),
            to: self.to,
            reason: &self.reason,
            at: format_rfc3339(now()),
            by: user(),
        };
        Ok(serde_json::to_vec(&record)?)
    }
}

/// The value of the dead letter.
#[derive(Serialize)]
struct SkipRecord<'a> {
    role: &'a str,
    topic: &'a str,
    partition: i32,
    /// What was committed before.
    committed: Option<i64>,
    /// First offset that was skipped; where it is not below `to`, nothing was.
    from: i64,
    /// First offset that was not.
    to: i64,
    reason: &'a str,
    at: String,
    by: Option<String>,
}
