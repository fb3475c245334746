//! The pages that are generated from code, in whole or in part: `catchment docs` writes them.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::cargo;

/// Writes the pages of the workspace at `root`. With `check`, nothing is written, and a stale page is an error.
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let mut command = cargo();
    command.current_dir(root).args(["run", "--quiet", "--locked", "--package", "catchment", "--"]);
    command.args(["docs", "docs"]);
    if check {
        command.arg("--check");
    }
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("the generated pages are not in order");
    }
    Ok(())
}
