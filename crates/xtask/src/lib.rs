//! What a contributor runs: `cargo xtask test`, `cargo xtask lint`, `cargo xtask services`,
//! `cargo xtask chaos`, `cargo xtask codegen`, `cargo xtask docs`. As a library it is what tests start services of their own with, [`services`], and clients of
//! other projects, [`interop`].

mod chaos;
mod check;
mod client;
mod codegen;
mod docs;
pub mod interop;
mod lint;
pub mod services;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

const USAGE: &str = "\
cargo xtask COMMAND

  test [--fast] [--no-services]
                     format, lints, generated code, and all tests, for which it starts a broker and a schema registry;
                     --no-services leaves these out, --fast them and the tests in documentation
  lint               what a deployment consists of: Dockerfile, Compose file, alerts and dashboards; part of test
  services [--keep]  start the broker and the schema registry, say where they are, and stop them on Ctrl-C; --keep
                     leaves their data and logs
  chaos [--events N] [--customers N] [--kills N] [--seed N] [--release]
                     kill workers at random while they work through a load, and compare what comes of it; as in test,
                     or larger
  codegen [--check]  write the Rust records from the schemas, or say which are stale
  docs [--check]     write the pages that are generated from code, or say which are stale
";

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = root().and_then(|root| match arguments.as_slice() {
        ["test", flags @ ..] if flags.iter().all(|flag| ["--fast", "--no-services"].contains(flag)) => {
            let fast = flags.contains(&"--fast");
            check::run(&root, fast, !fast && !flags.contains(&"--no-services"))
        }
        ["lint"] => {
            let passed = lint::Lint::default().run(&root)?;
            Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        ["chaos", arguments @ ..] => chaos::run(&root, arguments),
        ["services"] => services::run(false).map(|()| ExitCode::SUCCESS),
        ["services", "--keep"] => services::run(true).map(|()| ExitCode::SUCCESS),
        ["codegen"] => codegen::run(&root, false).map(|()| ExitCode::SUCCESS),
        ["codegen", "--check"] => codegen::run(&root, true).map(|()| ExitCode::SUCCESS),
        ["docs"] => docs::run(&root, false).map(|()| ExitCode::SUCCESS),
        ["docs", "--check"] => docs::run(&root, true).map(|()| ExitCode::SUCCESS),
        ["help" | "--help" | "-h"] => say(USAGE).map(|()| ExitCode::SUCCESS),
        _ => say(USAGE).map(|()| ExitCode::from(2)),
    });
    result.unwrap_or_else(|error| {
        // Where stderr is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}

/// The workspace.
fn root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().with_context(|| format!("cannot find the workspace at {}", root.display()))
}

/// Where cargo puts what it builds, and this puts what it downloads.
fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    // Of this workspace; children run elsewhere.
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"));
    std::path::absolute(&target).unwrap_or(target)
}

/// The cargo that runs this.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Writes to stdout at once, so that it stands before what a child writes.
fn say(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
