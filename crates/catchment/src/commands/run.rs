//! `catchment run`

use std::path::PathBuf;

use crate::cli::LogArgs;

#[derive(clap::Args, Debug)]
pub(crate) struct RunArgs {
    /// Roles to run; all of them where none is named
    #[arg(value_name = "ROLE")]
    pub(crate) roles: Vec<Role>,
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
    pub(crate) config: PathBuf,
    /// The global flags, which clap reads at the top.
    #[arg(skip)]
    pub(crate) log: LogArgs,
}

/// A role of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Raw records to events, by source
    Ingest,
    /// Events to profiles and decisions, by customer
    Profile,
    /// What is said of products to products, by product
    Catalog,
}
