//! `catchment dlq`

use std::io::Write;
use std::path::PathBuf;

use crate::out::Out;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum DlqCommand {
    /// List the dead letters by topic and code
    List {
        /// Configuration file
        #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
        config: PathBuf,
    },
}

pub(super) fn run<W: Write>(_out: &mut Out<W>, command: &DlqCommand) -> anyhow::Result<()> {
    anyhow::bail!("not built yet: {command:?}")
}
