//! The input: one file for each source, merged by time of arrival.

use crate::config::{Config, Source};
use anyhow::Context as _;
use catchment_connectors::files::{LineLimits, Lines};
use catchment_domain::Millis;
use catchment_pipeline::ingest::ArrivalPath;
use std::path::Path;

/// A record of the input, as its source would send it.
#[derive(Debug)]
pub(crate) struct Input {
    /// Place of the source in the configuration.
    pub(crate) source: usize,
    /// Line of the source's file, from 1.
    pub(crate) line: u64,
    /// When it arrived.
    pub(crate) arrival: Millis,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

/// Reads the files of all sources in order of arrival, ties in order of the configuration. Holds one line of each.
#[derive(Debug)]
pub(crate) struct Feed {
    readers: Vec<Reader>,
}

#[derive(Debug)]
struct Reader {
    lines: Lines,
    path: ArrivalPath,
    arrival: Millis,
    head: Option<Input>,
}

impl Feed {
    /// Opens `<source>.ndjson` of each configured source.
    ///
    /// # Errors
    /// A file that is missing or can't be read.
    pub(crate) fn open(config: &Config, directory: &Path) -> anyhow::Result<Feed> {
        let missing: Vec<String> = config
            .sources
            .iter()
            .map(|source| directory.join(format!("{}.ndjson", source.name)))
            .filter(|path| !path.exists())
            .map(|path| path.display().to_string())
            .collect();
        anyhow::ensure!(
            missing.is_empty(),
            "no such file: {} (every source needs one; an empty file will do)",
            missing.join(", ")
        );
        let readers = config.sources.iter().map(|source| Reader::open(source, directory));
        let mut feed = Feed { readers: readers.collect::<anyhow::Result<_>>()? };
        for source in 0..feed.readers.len() {
            feed.readers[source].advance(source)?;
        }
        Ok(feed)
    }

    /// The record that arrived first among those not yet taken; `None` at the end.
    ///
    /// # Errors
    /// A file that can't be read on.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Input>> {
        let heads = self.readers.iter().enumerate();
        let first = heads.filter_map(|(source, reader)| Some((reader.head.as_ref()?.arrival, source))).min();
        let Some((_, source)) = first else { return Ok(None) };
        let reader = &mut self.readers[source];
        let taken = reader.head.take();
        reader.advance(source)?;
        Ok(taken)
    }
}

impl Reader {
    fn open(source: &Source, directory: &Path) -> anyhow::Result<Reader> {
        let path = directory.join(format!("{}.ndjson", source.name));
        let limit = LineLimits::new(usize::try_from(source.max_bytes.bytes()).unwrap_or(usize::MAX));
        let lines = Lines::open(&path, limit)
            .with_context(|| format!("source `{}` needs its records in a file", source.name))?;
        let field = source.arrival.as_deref().with_context(|| {
            format!("source `{}` names no `arrival` field, and a file has no other clock", source.name)
        })?;
        let arrival_path: ArrivalPath = field.parse()?;
        let arrival = first_arrival(&path, limit, &arrival_path)?;
        Ok(Reader { lines, path: arrival_path, arrival, head: None })
    }

    fn advance(&mut self, source: usize) -> anyhow::Result<()> {
        let Some(line) = self.lines.next_line()? else {
            return Ok(());
        };
        let stated = self.path.read(line.bytes);
        // A file is in order of arrival, whatever its records say: time never runs backwards within it.
        self.arrival = stated.map_or(self.arrival, |stated| stated.max(self.arrival));
        self.head =
            Some(Input { source, line: line.number, arrival: self.arrival, bytes: line.bytes.to_vec() });
        Ok(())
    }
}

/// When the first line arrived whose arrival can be read: lines before it arrived no later. 0 if there is none.
fn first_arrival(path: &Path, limit: LineLimits, field: &ArrivalPath) -> anyhow::Result<Millis> {
    let mut lines = Lines::open(path, limit)?;
    while let Some(line) = lines.next_line()? {
        if let Some(arrival) = field.read(line.bytes) {
            return Ok(arrival);
        }
    }
    Ok(0)
}
