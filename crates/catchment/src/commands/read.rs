//! `catchment read`

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use catchment_connectors::kafka::read_committed;
use catchment_runtime::TopicPartition;

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
    pub(crate) limit: Option<usize>,
}

/// Prints what a topic holds now, a line a record, partition by partition.
pub(super) fn run<W: Write>(out: &mut Out<W>, args: &ReadArgs) -> anyhow::Result<()> {
    let config = connect::config(&args.config)?;
    let cluster = connect::cluster(&config.kafka)?;
    let topology = State::ask(&config, &cluster)?.topology;
    let topic = topology
        .table
        .find(&args.topic)
        .with_context(|| format!("`{}` is no topic of this configuration", args.topic))?;
    let values = TopicValues::of(&args.topic)?;
    let lines = values.lines()?;
    let table = &topology.table;
    let mut left = args.limit.unwrap_or(usize::MAX);
    for partition in 0..table.spec(topic).partitions {
        if args.partition.is_some_and(|only| only != partition) {
            continue;
        }
        for record in read_committed(&cluster, table, TopicPartition { topic, partition }, PATIENCE)? {
            let mut line = String::new();
            lines.write(&record, None, &mut line)?;
            if !line.is_empty() {
                out.text(&line)?;
                left -= 1;
            }
            if left == 0 {
                return Ok(());
            }
        }
    }
    Ok(())
}
