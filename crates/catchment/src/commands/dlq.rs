//! `catchment dlq`

mod filter;
mod handled;
mod letter;
mod list;
mod replay;
mod show;

use std::io::Write;

use anyhow::bail;
use catchment_connectors::kafka::{Cluster, Inspector, NamedPartition, Place, Scan, View};
use catchment_contracts::handled::{Action, HandledLetters};

use super::UsageError;
use crate::config::Config;
use crate::connect;
use crate::out::Out;
use filter::{Filter, FilterArgs};
use letter::Letter;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum DlqCommand {
    /// Count the dead letters that wait, by topic and code
    List {
        #[command(flatten)]
        which: FilterArgs,
        /// Count those that were replayed or dropped, too
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show dead letters one by one: what was wrong, and where they come from
    ///
    /// Key, value and header values are personal data, and shown with `--values` alone.
    Show {
        #[command(flatten)]
        which: FilterArgs,
        /// Show those that were replayed or dropped, too
        #[arg(long)]
        all: bool,
        /// Most letters to show
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u64,
        /// Show key, value and header values: personal data
        #[arg(long)]
        values: bool,
        /// Write nothing but the bytes of the values, each with a line end behind it: personal data
        #[arg(long, conflicts_with = "values")]
        raw: bool,
    },
    /// Put dead letters back on the topics that they came from
    ///
    /// Do it once the cause is gone: the mapping is corrected, the schema registered. A letter goes back with its key,
    /// value and headers, and is marked as replayed in the same transaction: it is replayed once, whatever crashes. An
    /// event that was taken from elsewhere meanwhile is recognised as a duplicate within `dedup.window` only: of an older
    /// letter, make sure that upstream has not sent it again.
    Replay {
        #[command(flatten)]
        which: FilterArgs,
        /// Most letters to replay
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
        /// Do it; without this flag, only say what would be replayed
        #[arg(long)]
        yes: bool,
    },
    /// Give dead letters up: mark them, so that they are not listed any more
    ///
    /// The records stay where they are until retention takes them.
    Drop {
        #[command(flatten)]
        which: FilterArgs,
        /// Why, for the record; nothing personal
        #[arg(long)]
        reason: String,
        /// Do it; without this flag, only say what would be dropped
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn run<W: Write>(out: &mut Out<W>, command: &DlqCommand) -> anyhow::Result<()> {
    let (DlqCommand::List { which, .. }
    | DlqCommand::Show { which, .. }
    | DlqCommand::Replay { which, .. }
    | DlqCommand::Drop { which, .. }) = command;
    let config = connect::config(&which.config)?;
    let filter = Filter::new(which, &config).map_err(UsageError)?;
    let cluster = connect::cluster(&config.kafka)?;
    let desk = Desk { config, cluster, filter };
    match command {
        DlqCommand::List { all, json, .. } => list::run(out, &desk, *all, *json),
        DlqCommand::Show { all, limit, values, raw, .. } => {
            let shown = match (raw, values) {
                (true, _) => show::Shown::Raw,
                (false, true) => show::Shown::Values,
                (false, false) => show::Shown::Reasons,
            };
            show::run(out, &desk, *all, *limit, shown)
        }
        DlqCommand::Replay { limit, yes, .. } => {
            let work =
                replay::Work { action: Action::Replayed, reason: None, limit: limit.unwrap_or(u64::MAX) };
            replay::run(out, &desk, &work, *yes)
        }
        DlqCommand::Drop { reason, yes, .. } => {
            if reason.trim().is_empty() {
                bail!(UsageError("--reason is empty: say why, for who looks into it later".to_owned()));
            }
            let work = replay::Work { action: Action::Dropped, reason: Some(reason), limit: u64::MAX };
            replay::run(out, &desk, &work, *yes)
        }
    }
}

/// What all of them work with.
struct Desk {
    config: Config,
    cluster: Cluster,
    filter: Filter,
}

impl Desk {
    fn patience(&self) -> std::time::Duration {
        self.config.kafka.request_timeout.as_duration()
    }

    /// The letters that the filter takes, in order of topic, partition and offset; with `all`, those that were dealt
    /// with, too.
    fn letters(&self, handled: HandledLetters, all: bool) -> anyhow::Result<Letters<'_>> {
        let of = self.partitions()?;
        let from = self.filter.since.map_or(Place::Earliest, Place::Time);
        let scan = Scan::new(&self.cluster, &of, from, self.patience())?;
        Ok(Letters { scan, filter: &self.filter, handled, all })
    }

    /// The partitions of the topics that the filter names; a topic that doesn't exist has none.
    fn partitions(&self) -> anyhow::Result<Vec<NamedPartition>> {
        let inspector = Inspector::new(&self.cluster, None, View::Committed, self.patience())?;
        let topics = &self.filter.topics;
        let counts = inspector.partitions(topics.iter().map(String::as_str))?;
        let mut partitions = Vec::new();
        for topic in topics {
            let count = counts.get(topic).copied().unwrap_or(0);
            partitions.extend((0..i32::try_from(count)?).map(|number| NamedPartition::new(topic, number)));
        }
        Ok(partitions)
    }
}

/// Dead letters as they are read, one at a time.
struct Letters<'a> {
    scan: Scan,
    filter: &'a Filter,
    handled: HandledLetters,
    all: bool,
}

impl Letters<'_> {
    /// The next letter, and what was done with it.
    fn next_letter(&mut self) -> anyhow::Result<Option<(Letter, Option<Action>)>> {
        while let Some(record) = self.scan.next_record()? {
            let letter = Letter(record);
            let Letter(record) = &letter;
            let action =
                self.handled.action(&record.at.topic, record.at.partition, record.offset, record.time);
            if (self.all || action.is_none()) && self.filter.takes(&letter) {
                return Ok(Some((letter, action)));
            }
        }
        Ok(None)
    }
}
