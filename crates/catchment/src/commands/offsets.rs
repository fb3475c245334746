//! `catchment offsets`

use std::io::Write;
use std::path::PathBuf;

use anyhow::{bail, ensure};
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
use crate::config::Config;
use crate::connect;
use crate::out::Out;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum OffsetsCommand {
    /// Let a role go on behind a part of its input that it can't read
    ///
    /// The way out of an input gap: records went by retention before the role had read them, and it waits until
    /// somebody decides. What is skipped is recorded on `dlq.<role>` with the code `skipped`, together with the reason.
    /// Stop the role first: Kafka must not have a living member in its group.
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
        return out.line("Nothing is done yet: add --yes to skip them.");
    }
    skip.carry_out(&config, &cluster)?;
    out.line(format_args!(
        "Done. {} goes on at offset {}; recorded on {}.",
        args.role.name(),
        skip.to,
        topics::dlq(args.role.name())
    ))
}

/// What is to be skipped.
#[derive(Debug)]
struct Skip {
    role: &'static str,
    group: String,
    at: NamedPartition,
    /// First offset that is skipped.
    from: i64,
    /// First offset that is not.
    to: i64,
    earliest: i64,
    reason: String,
    inspector: Inspector,
}

/// Shown to the operator.
impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Skip { role, at, from, to, earliest, .. } = self;
        let there = (to - earliest.max(from)).max(0);
        write!(
            f,
            "{role} skips offsets {from} to {} of {at}: {} in all, of which {} are gone and {there} could still be read.",
            to - 1,
            to - from,
            to - from - there
        )
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
        ensure!(args.partition < *count, "topic {} has only {count} partitions, from 0", args.topic);
        let at = NamedPartition::new(&args.topic, i32::try_from(args.partition)?);
        let of = std::slice::from_ref(&at);
        let first = |found: Vec<Option<i64>>| found.into_iter().next().flatten();
        let committed = first(inspector.committed(of)?);
        let (earliest, end) =
            (first(inspector.offsets(of, Place::Earliest)?), first(inspector.offsets(of, Place::End)?));
        let (Some(earliest), Some(end)) = (earliest, end) else { bail!("{at} does not exist") };
        let from = committed.unwrap_or(earliest);
        let to = args.to.unwrap_or(earliest);
        check_target(from, to, end, committed.is_some())?;
        Ok(Skip { role, group, at, from, to, earliest, reason: args.reason.clone(), inspector })
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
            from = self.from,
            to = self.to,
            reason = self.reason,
            "input skipped by an operator"
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

    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let skipped = format!("offsets {} to {}", self.from, self.to - 1);
        let errors = [FieldError::new(ErrorCode::Skipped, "", "a record", &format!("{skipped} skipped"))];
        let letter = DeadLetter {
            errors: &errors,
            topic: &self.at.topic,
            partition: self.at.partition,
            offset: self.from,
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
            from: self.from,
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
    /// First offset that was skipped.
    from: i64,
    /// First offset that was not.
    to: i64,
    reason: &'a str,
    at: String,
    by: Option<String>,
}

/// Whether going on at `to` skips something, and nothing that is not there yet.
fn check_target(from: i64, to: i64, end: i64, is_committed: bool) -> anyhow::Result<()> {
    let place = if is_committed { "committed" } else { "the oldest, since nothing is committed yet" };
    ensure!(to != from, "nothing to skip: offset {from} ({place}) is the next to be read anyway");
    ensure!(
        to > from,
        "offset {to} lies before {from} ({place}); going back is not skipping: the role would read again what it has done"
    );
    ensure!(to <= end, "offset {to} lies behind the end of the partition, {end}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_goes_forward_and_not_beyond_the_end() {
        for (to, problem) in [
            (5, Some("nothing to skip")),
            (4, Some("lies before 5 (committed)")),
            (6, None),
            (9, None),
            (10, Some("behind the end of the partition, 9")),
        ] {
            let found = check_target(5, to, 9, true).err().map(|error| error.to_string());
            match (problem, &found) {
                (None, None) => {}
                (Some(part), Some(text)) if text.contains(part) => {}
                _ => panic!("{to}: {found:?}"),
            }
        }
    }
}
