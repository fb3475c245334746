//! `catchment topics`

use std::io::Write;
use std::path::PathBuf;

use crate::out::Out;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum TopicsCommand {
    /// Create the topics that do not exist
    Create {
        /// Configuration file
        #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
        config: PathBuf,
    },
}

pub(super) fn run<W: Write>(_out: &mut Out<W>, command: &TopicsCommand) -> anyhow::Result<()> {
    anyhow::bail!("not built yet: {command:?}")
}
