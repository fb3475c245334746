//! `catchment lag`

use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use catchment_connectors::kafka::{AskError, Cluster, Group, Inspector, NamedPartition, Place, View};
use catchment_contracts::topics;
use catchment_domain::time::format_rfc3339;
use serde::Serialize;

use super::operator::now;
use super::run::Role;
use crate::config::Config;
use crate::connect;
use crate::out::Out;

/// Between two looks of `--watch`.
const INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct LagArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
    pub(crate) config: PathBuf,
    /// Print JSON, a document a look
    #[arg(long)]
    pub(crate) json: bool,
    /// Look again every two seconds, until it is stopped
    #[arg(long)]
    pub(crate) watch: bool,
}

pub(super) fn run<W: Write>(out: &mut Out<W>, args: &LagArgs) -> anyhow::Result<()> {
    let config = connect::config(&args.config)?;
    let cluster = connect::cluster(&config.kafka)?;
    loop {
        match Lag::ask(&config, &cluster) {
            Ok(lag) if args.json => out.line(serde_json::to_string(&lag)?)?,
            Ok(lag) => lag.print(out)?,
            // Whoever watches an outage wants to see its end.
            Err(error @ AskError::Unreachable { .. }) if args.watch => {
                tracing::warn!("{error}; asking again");
            }
            Err(error) => return Err(error.into()),
        }
        if !args.watch {
            return Ok(());
        }
        thread::sleep(INTERVAL);
        out.line("")?;
    }
}

/// How far all roles are.
#[derive(Debug, Serialize)]
struct Lag {
    at: String,
    groups: Vec<GroupLag>,
}

#[derive(Debug, Serialize)]
struct GroupLag {
    role: &'static str,
    group: String,
    state: String,
    members: usize,
    lag: i64,
    /// Topics that do not exist.
    missing: Vec<String>,
    partitions: Vec<PartitionLag>,
}

#[derive(Debug, Serialize)]
struct PartitionLag {
    topic: String,
    partition: i32,
    committed: Option<i64>,
    earliest: i64,
    end: i64,
    lag: i64,
    state: Reading,
    owner: Option<String>,
}

/// How it stands with the reading of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Reading {
    /// Records are there, and are read one after the other.
    AsUsual,
    /// Nothing is committed: no lane has taken it up, or Kafka has forgotten how far it was.
    NoOffset,
    /// What is to be read next is gone.
    InputGap,
    /// The partition ends before what is committed: the topic was made anew, or cut off.
    CutOff,
}

impl Lag {
    fn ask(config: &Config, cluster: &Cluster) -> Result<Lag, AskError> {
        let groups = Role::ALL.into_iter().map(|role| GroupLag::ask(config, cluster, role));
        Ok(Lag { groups: groups.collect::<Result<_, _>>()?, at: format_rfc3339(now()) })
    }

    fn print<W: Write>(&self, out: &mut Out<W>) -> anyhow::Result<()> {
        for (index, group) in self.groups.iter().enumerate() {
            let blank = if index == 0 { "" } else { "\n" };
            let state = if group.state.is_empty() { "never seen" } else { &group.state };
            out.line(format_args!(
                "{blank}{} (group {}): {state}, {} members, lag {}",
                group.role, group.group, group.members, group.lag
            ))?;
            for topic in &group.missing {
                out.line(format_args!("  {topic} does not exist; `catchment topics create` makes it"))?;
            }
            let head = ["topic", "partition", "committed", "end", "lag", "state", "owner"].map(str::to_owned);
            let rows = group.partitions.iter().map(PartitionLag::row);
            out.table("  ", &std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

impl GroupLag {
    fn ask(config: &Config, cluster: &Cluster, role: Role) -> Result<GroupLag, AskError> {
        let name = topics::group(&config.app, role.name());
        let timeout = config.kafka.request_timeout.as_duration();
        let inspector = Inspector::new(cluster, Some(&name), View::Uncommitted, timeout)?;
        let inputs = role.inputs(config);
        let counts = inspector.partitions(inputs.iter().copied())?;
        let missing = inputs.iter().filter(|topic| !counts.contains_key(**topic));
        let missing = missing.map(|topic| (*topic).to_owned()).collect();
        let of: Vec<NamedPartition> = inputs
            .iter()
            .flat_map(|topic| {
                let count = counts.get(*topic).copied().and_then(|count| i32::try_from(count).ok());
                (0..count.unwrap_or(0)).map(|partition| NamedPartition::new(*topic, partition))
            })
            .collect();
        let committed = inspector.committed(&of)?;
        let earliest = inspector.offsets(&of, Place::Earliest)?;
        let ends = inspector.offsets(&of, Place::End)?;
        let group = inspector.group(&name)?;
        let places = committed.into_iter().zip(earliest).zip(ends);
        let partitions: Vec<PartitionLag> = of
            .iter()
            .zip(places)
            .filter_map(|(at, ((committed, earliest), end))| {
                Some(PartitionLag::new(at, committed, earliest?, end?, &group))
            })
            .collect();
        let lag = partitions.iter().map(|partition| partition.lag).sum();
        let (state, members) = (group.state, group.members.len());
        Ok(GroupLag { role: role.name(), group: name, state, members, lag, missing, partitions })
    }
}

impl PartitionLag {
    fn new(at: &NamedPartition, committed: Option<i64>, earliest: i64, end: i64, group: &Group) -> Self {
        let state = match committed {
            None => Reading::NoOffset,
            Some(committed) if committed < earliest => Reading::InputGap,
            Some(committed) if committed > end => Reading::CutOff,
            Some(_) => Reading::AsUsual,
        };
        let next = match state {
            Reading::AsUsual => committed.unwrap_or(earliest),
            Reading::NoOffset | Reading::InputGap | Reading::CutOff => earliest,
        };
        PartitionLag {
            topic: at.topic.clone(),
            partition: at.partition,
            committed,
            earliest,
            end,
            lag: end - next,
            state,
            owner: group.owner(at).map(|member| format!("{} ({})", member.name, member.host)),
        }
    }

    fn row(&self) -> [String; 7] {
        let committed = self.committed.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
        let state = match self.state {
            Reading::AsUsual => String::new(),
            Reading::NoOffset => "no offset committed".to_owned(),
            Reading::CutOff => format!("cut off: ends before {committed}"),
            Reading::InputGap => {
                let (from, to) = (self.committed.unwrap_or(0), self.earliest - 1);
                format!("input gap: {from} to {to} are gone")
            }
        };
        let owner = self.owner.clone().unwrap_or_else(|| "-".to_owned());
        let (partition, end, lag) = (self.partition.to_string(), self.end.to_string(), self.lag.to_string());
        [self.topic.clone(), partition, committed, end, lag, state, owner]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_what_is_still_there_to_be_read() {
        let lag = |committed, earliest, end| {
            let at = NamedPartition::new("crm", 0);
            let found = PartitionLag::new(&at, committed, earliest, end, &Group::default());
            (found.lag, found.state)
        };
        assert_eq!(lag(Some(5), 0, 9), (4, Reading::AsUsual));
        assert_eq!(lag(Some(9), 9, 9), (0, Reading::AsUsual));
        assert_eq!(lag(None, 3, 9), (6, Reading::NoOffset));
        assert_eq!(lag(Some(2), 3, 9), (6, Reading::InputGap));
        assert_eq!(lag(Some(12), 4, 9), (5, Reading::CutOff));
    }
}
