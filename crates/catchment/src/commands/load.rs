//! `catchment load`

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use catchment_connectors::kafka::{RawProducer, RawRecord};
use catchment_contracts::headers;

use crate::config::Clock;
use crate::out::Out;
use crate::sandbox::Feed;
use crate::{config, connect};

/// How long the last records may take to be delivered.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(clap::Args, Debug)]
pub(crate) struct LoadArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
    pub(crate) config: PathBuf,
    /// Directory with a file `<source>.ndjson` for each source, one record a line as the source would send it
    #[arg(long, value_name = "DIR")]
    pub(crate) input: PathBuf,
}

/// Sends files to the raw topics, in order of arrival, as their sources would have. With `clock: event` the time of a
/// record in Kafka is its arrival, as in the sandbox: for records whose own field can't be read it is the only clock.
pub(super) fn run<W: Write>(out: &mut Out<W>, args: &LoadArgs) -> anyhow::Result<()> {
    let config = config::load(&args.config, std::env::vars())?;
    let producer = RawProducer::new(&connect::cluster(&config.kafka)?)?;
    let mut feed = Feed::open(&config, &args.input)?;
    let mut sent = vec![0u64; config.sources.len()];
    while let Some(input) = feed.next()? {
        let source = &config.sources[input.source];
        let record = RawRecord {
            topic: &source.topic,
            value: Some(&input.bytes),
            time: (config.clock == Clock::Event).then_some(input.arrival),
            headers: &[(headers::SOURCE, source.name.as_bytes())],
            ..RawRecord::default()
        };
        producer.send(&record).with_context(|| format!("source {} line {}", source.name, input.line))?;
        sent[input.source] += 1;
    }
    producer.flush(PATIENCE)?;
    for (source, count) in config.sources.iter().zip(sent) {
        out.line(format_args!("{count:>8}  {} to {}", source.name, source.topic))?;
    }
    Ok(())
}
