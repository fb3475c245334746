//! `catchment read`

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use catchment_connectors::kafka::{NamedPartition, Place, Scan, Scanned};
use catchment_runtime::{Offset, OwnedRecord, TopicId};

use super::UsageError;
use crate::connect;
use crate::out::Out;
use crate::preflight::State;
use crate::record_lines::TopicValues;

/// How long the brokers may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(clap::Args, Debug)]
pub(crate) struct ReadArgs {
    /// Topic, as `docs/topics.md` names it
    pub(crate) topic: String,
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
    pub(crate) config: PathBuf,
    /// Only this partition
    #[arg(long, value_name = "NUMBER")]
    pub(crate) partition: Option<u32>,
    /// At most so many records
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,
}

/// Prints what a topic holds now, a line a record, partition by partition.
pub(super) fn run<W: Write>(out: &mut Out<W>, args: &ReadArgs) -> anyhow::Result<()> {
    let config = connect::config(&args.config)?;
    let cluster = connect::cluster(&config.kafka)?;
    let topology = State::ask(&config, &cluster)?.topology;
    let Some(topic) = topology.table.find(&args.topic) else {
        return Err(UsageError(format!("`{}` is no topic of this configuration", args.topic)).into());
    };
    let of = partitions(&args.topic, topology.table.spec(topic).partitions, args.partition)?;
    let values = TopicValues::of(&args.topic)?;
    let lines = values.lines()?;
    let mut left = args.limit.unwrap_or(u64::MAX);
    if left == 0 {
        return Ok(());
    }
    let mut scan = Scan::new(&cluster, &of, Place::Earliest, PATIENCE)?;
    while left > 0
        && let Some(record) = scan.next_record()?
    {
        let (at, offset) = (record.at.to_string(), record.offset);
        let mut line = String::new();
        lines
            .write(&owned(topic, record)?, None, &mut line)
            .with_context(|| format!("{at} offset {offset}"))?;
        if !line.is_empty() {
            out.text(&line)?;
            left -= 1;
        }
    }
    Ok(())
}

/// The partitions of a topic that has so many, or the one that is asked for.
fn partitions(topic: &str, count: u32, only: Option<u32>) -> anyhow::Result<Vec<NamedPartition>> {
    let asked = match only {
        Some(only) if only < count => only..only + 1,
        Some(only) => {
            let text = format!("--partition {only}: topic {topic} has only {count} partitions, from 0");
            return Err(UsageError(text).into());
        }
        None => 0..count,
    };
    asked.map(|number| Ok(NamedPartition::new(topic, i32::try_from(number)?))).collect()
}

/// The record as the writer of lines takes it.
fn owned(topic: TopicId, record: Scanned) -> anyhow::Result<OwnedRecord> {
    let Scanned { at, offset, time, key, value, headers } = record;
    let partition = u32::try_from(at.partition)?;
    Ok(OwnedRecord {
        topic,
        partition,
        offset: Offset(u64::try_from(offset)?),
        append_time: time,
        key,
        value,
        headers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_is_not_there_is_refused() {
        let numbers =
            |only| partitions("crm", 3, only).map(|of| of.iter().map(|at| at.partition).collect::<Vec<_>>());
        assert_eq!(numbers(None).unwrap(), [0, 1, 2]);
        assert_eq!(numbers(Some(2)).unwrap(), [2]);
        let error = numbers(Some(3)).unwrap_err();
        assert!(error.is::<UsageError>());
        assert_eq!(error.to_string(), "--partition 3: topic crm has only 3 partitions, from 0");
    }
}
