//! What each command does.

mod config;
mod contracts;

use clap_complete::generate;

use crate::cli::{Cli, Command, ConfigCommand, ContractsCommand};
use crate::out::Out;
use crate::{cli, demo, docs, logging, sandbox};

/// The command line asks for something that there is not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    // The sandbox starts logging itself, by its configuration.
    if !matches!(cli.command, Command::Sandbox(_)) {
        logging::init(&cli.log, None);
    }
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Sandbox(args) => sandbox::run(&args),
        Command::Config(ConfigCommand::Check { config }) => config::check(&mut Out::stdout(), &config),
        Command::Config(ConfigCommand::Reference) => Out::stdout().text(&crate::config::markdown()),
        Command::Contracts(ContractsCommand::List { name: None, json }) => {
            contracts::list(&mut Out::stdout(), json)
        }
        Command::Contracts(ContractsCommand::List { name: Some(name), json }) => {
            contracts::fields(&mut Out::stdout(), &name, json)
        }
        Command::Docs { directory, check } => docs::run(&directory, check),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            generate(shell, &mut cli::command(), "catchment", &mut script);
            Out::stdout().text(&String::from_utf8_lossy(&script))
        }
    }
}
