//! `catchment lag`

use std::io::Write;
use std::path::PathBuf;

use crate::out::Out;

#[derive(Debug, clap::Args)]
pub(crate) struct LagArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
    pub(crate) config: PathBuf,
}

pub(super) fn run<W: Write>(_out: &mut Out<W>, command: &LagArgs) -> anyhow::Result<()> {
    anyhow::bail!("not built yet: {command:?}")
}
