//! The command line.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::{
    ContractsCommand, DlqCommand, HealthArgs, IdentityCommand, LagArgs, LoadArgs, MappingsCommand,
    OffsetsCommand, ReadArgs, RunArgs, TopicsCommand,
};
use crate::config::{LogFormat, LogLevel};

/// Turns customer events from every source into one profile per customer, and profiles into campaign triggers.
/// Nothing is lost, nothing is sent twice, and what could not be read waits with a reason.
#[derive(Debug, Parser)]
#[command(name = "catchment", version, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// What is logged, and how: beats the environment and the configuration file.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct LogArgs {
    /// How much is logged [default: info, or what the configuration says]
    #[arg(long, global = true, value_name = "LEVEL", hide_possible_values = false)]
    pub(crate) log_level: Option<LogLevel>,
    /// How log lines are written to stderr [default: human, or what the configuration says]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Replay a shop's events on this machine and show what comes of them. Needs nothing else
    Demo(DemoArgs),
    /// Run a configuration over files instead of Kafka, to try a campaign or a model on past events
    Sandbox(SandboxArgs),
    /// Run roles on Kafka
    Run(RunArgs),
    /// Create the topics of a configuration, or check that they are what they must be
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// Look into dead letters, put them back, or give them up
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Print what a topic holds, a line of JSON a record
    ///
    /// The output holds personal data: profiles, events and dead letters are shown as they are. Do not leave it where it
    /// lives longer than the topic, or where more people can read it.
    Read(ReadArgs),
    /// Show who an identifier belongs to, and why
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Send files of events to the raw topics, to try a deployment or to fill one
    Load(LoadArgs),
    /// Show how far each role is behind its input
    ///
    /// For every partition: how far the role is, where the partition ends, and who reads it. Lag is counted in offsets.
    /// Marks of transactions take some, so a partition that is read to its end may show a lag of a few. `input gap`:
    /// records went before they were read. `cut off`: the partition ends before what was read already. `no offset
    /// committed`: no lane has read it yet, or Kafka has forgotten how far it was. `catchment offsets skip` says where the
    /// role goes on.
    Lag(LagArgs),
    /// Ask a process that runs roles whether it is well; for the health check of a container
    Health(HealthArgs),
    /// Measure what the roles cost, on Kafka or without, beside what a copy of the same bytes costs
    ///
    /// On Kafka it makes topics whose names begin with `catchment-bench.`, and deletes them at the end; nothing else is
    /// touched. The roles run in a process of their own; progress is logged on standard error.
    Bench(crate::bench::BenchArgs),
    /// Move a role's place in its input
    #[command(subcommand)]
    Offsets(OffsetsCommand),
    /// Check a configuration, or list what can be configured
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show what sources may send and what consumers get, field by field
    #[command(subcommand)]
    Contracts(ContractsCommand),
    /// Test how foreign payloads are mapped
    #[command(subcommand)]
    Mappings(MappingsCommand),
    /// Print a script that completes commands and flags in a shell
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Write what is generated of the pages in a directory; `cargo xtask docs` calls it
    #[command(hide = true)]
    Docs {
        /// Directory of the pages
        directory: PathBuf,
        /// Write nothing, and fail if a page is stale
        #[arg(long)]
        check: bool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The global flags, which clap reads at the top.
    #[arg(skip)]
    pub(crate) log: LogArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SandboxArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Directory with a file `<source>.ndjson` for each source, one record a line as the source would send it
    #[arg(long, value_name = "DIR")]
    pub(crate) input: PathBuf,
    /// Directory for what each topic would hold
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Go on to this time after the last event, so that timers fire; RFC 3339, as 2026-03-05T09:00:00Z
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    pub(crate) until: Option<String>,
    /// The global flags, which clap reads at the top.
    #[arg(skip)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a configuration with its models and campaigns, and print what it sets up
    Check {
        /// Configuration file
        #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
        config: PathBuf,
    },
    /// Print all keys with type, default and meaning, in Markdown
    Reference,
}

fn rfc3339(text: &str) -> Result<String, String> {
    match catchment_domain::time::parse_rfc3339(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected a time such as 2026-03-05T09:00:00Z".to_owned()),
    }
}

/// The commands as a newcomer meets them. Clap has no groups of commands; a test holds that none is forgotten.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Try it", &["demo", "sandbox"]),
    ("Check it", &["config", "contracts", "mappings", "topics"]),
    ("Run it", &["run", "lag", "read", "identity", "load", "dlq", "offsets", "health", "bench"]),
    ("Set up", &["completions"]),
];

const AFTER_HELP: &str = "\
Examples:
  catchment demo
  catchment config check --config catchment.yaml
  catchment sandbox --config catchment.yaml --input events/ --output result/

Exit codes:
  0  all went well
  1  the work failed, or was stopped before its end
  2  the command line, a configuration, campaign or model file, or the topics are not as they must be
  130, 143  stopped at once by a second SIGINT or SIGTERM; the first one stops in order";

/// The command line with its commands in groups.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command();
    let mut groups = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(groups, "{title}:");
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(groups, "  {name:<12} {about}");
        }
        groups.push('\n');
    }
    let template = format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}\n\n{AFTER_HELP}\n\n\
         `catchment COMMAND --help` says more about a command."
    );
    command.help_template(template)
}

pub(crate) fn parse() -> Cli {
    let matches = command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match &mut cli.command {
        Command::Demo(args) => args.log = cli.log,
        Command::Sandbox(args) => args.log = cli.log,
        Command::Run(args) => args.log = cli.log,
        _ => {}
    }
    cli
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_in_one_group() {
        command().debug_assert();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let command = Cli::command();
        let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
        let mut commands: Vec<&str> = shown.map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        commands.sort_unstable();
        assert_eq!(grouped, commands);
    }
}
