//! The pages that are generated from code.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{cargo, say};

/// Each page, with the arguments that make `catchment` print it.
const PAGES: [(&str, &[&str]); 1] = [("docs/configuration.md", &["config", "reference"])];

/// Writes the pages of the workspace at `root`. With `check`, nothing is written, and a stale page is an error.
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for (page, arguments) in PAGES {
        let text = print(root, arguments)?;
        let path = root.join(page);
        // No page yet is a stale one.
        if fs::read(&path).unwrap_or_default() == text {
            continue;
        }
        if check {
            stale.push(page);
            continue;
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {page}"))?;
        say(&format!("wrote {page}\n"))?;
    }
    if !stale.is_empty() {
        bail!("stale: {}; run `cargo xtask docs`", stale.join(", "));
    }
    Ok(())
}

fn print(root: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(cargo())
        .current_dir(root)
        .args(["run", "--quiet", "--locked", "--package", "catchment", "--"])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("`catchment {}` failed", arguments.join(" "));
    }
    Ok(output.stdout)
}
