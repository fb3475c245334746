//! What each command does.

mod config;
mod contracts;
mod dlq;
mod health;
mod identity;
mod lag;
mod load;
mod mappings;
mod offsets;
mod operator;
mod read;
mod run;
mod topics;

pub(crate) use contracts::ContractsCommand;
pub(crate) use dlq::DlqCommand;
pub(crate) use health::HealthArgs;
pub(crate) use identity::IdentityCommand;
pub(crate) use lag::LagArgs;
pub(crate) use load::LoadArgs;
pub(crate) use mappings::MappingsCommand;
pub(crate) use offsets::OffsetsCommand;
pub(crate) use read::ReadArgs;
pub(crate) use run::{Role, RunArgs};
pub(crate) use topics::TopicsCommand;

use clap_complete::generate;

use crate::cli::{Cli, Command, ConfigCommand};
use crate::out::Out;
use crate::{cli, demo, docs, logging, sandbox};

/// The command line asks for something that there is not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    // These start logging themselves, by their configuration.
    let by_itself = match &cli.command {
        Command::Bench(args) => args.is_worker(),
        command => matches!(command, Command::Sandbox(_) | Command::Run(_)),
    };
    if !by_itself {
        logging::init(&cli.log, None);
    }
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Sandbox(args) => sandbox::run(&args),
        Command::Config(ConfigCommand::Check { config }) => config::check(&mut Out::stdout(), &config),
        Command::Config(ConfigCommand::Reference) => Out::stdout().text(&crate::config::markdown()),
        Command::Contracts(command) => contracts::run(&mut Out::stdout(), &command),
        Command::Mappings(command) => mappings::run(&mut Out::stdout(), &command),
        Command::Run(args) => crate::run::run(&args),
        Command::Topics(command) => topics::run(&mut Out::stdout(), &command),
        Command::Dlq(command) => dlq::run(&mut Out::stdout(), &command),
        Command::Lag(args) => lag::run(&mut Out::stdout(), &args),
        Command::Health(args) => health::run(&args),
        Command::Identity(command) => identity::run(&mut Out::stdout(), &command),
        Command::Read(args) => read::run(&mut Out::stdout(), &args),
        Command::Load(args) => load::run(&mut Out::stdout(), &args),
        Command::Bench(args) => crate::bench::run(&args),
        Command::Offsets(command) => offsets::run(&mut Out::stdout(), &command),
        Command::Docs { directory, check } => docs::run(&directory, check),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            generate(shell, &mut cli::command(), "catchment", &mut script);
            Out::stdout().text(&String::from_utf8_lossy(&script))
        }
    }
}
