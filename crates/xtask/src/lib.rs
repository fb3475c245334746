//! What a contributor runs: `cargo xtask test`, `cargo xtask lint`, `cargo xtask services`,
//! `cargo xtask sim`, `cargo xtask chaos`, `cargo xtask bench`, `cargo xtask codegen`, `cargo xtask docs`, `cargo xtask fuzz`.
//! As a library it is what tests start services of their own with, [`services`], and clients of other projects, [`interop`].

mod bench;
mod chaos;
mod check;
mod client;
mod codegen;
mod docs;
mod fuzz;
pub mod interop;
mod lint;
pub mod services;
mod sim;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

const USAGE: &str = "\
cargo xtask COMMAND

  test [--fast] [--no-services]
                     format, lints, generated code, and all tests, for which it starts a broker and a schema registry;
                     --no-services leaves these out, --fast them and the tests in documentation
  lint               what a deployment consists of: Dockerfile, Compose file, alerts and dashboards; part of test
  services [--keep]  start the broker and the schema registry, say where they are, and stop them on Ctrl-C; --keep
                     leaves their data and logs
  sim [--seeds N] [--from N] [--seed N] [--threads N] [--trace]
                     the simulation with N seeds (300), from seed N on (0), or one seed again; --trace shows all that
                     happens in it; 300 seeds are part of test
  bench [--repeats N] [FLAGS of catchment bench]
                     `catchment bench` of a release build N times (3) for each way of publishing, and the medians
  chaos [--events N] [--customers N] [--kills N] [--seed N] [--release]
                     kill workers at random while they work through a load, and compare what comes of it; as in test,
                     or larger
  codegen [--check]  write the Rust records from the schemas, or say which are stale
  docs [--check]     write the pages that are generated from code, or say which are stale
  fuzz [TARGET] [--seconds N]
                     one decoder, or all, under the fuzzer for 60 s each; needs cargo-fuzz
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
        ["sim", flags @ ..] => sim::run(&root, flags),
        ["bench", flags @ ..] => bench::run(&root, flags),
        ["codegen"] => codegen::run(&root, false).map(|()| ExitCode::SUCCESS),
        ["codegen", "--check"] => codegen::run(&root, true).map(|()| ExitCode::SUCCESS),
        ["docs"] => docs::run(&root, false).map(|()| ExitCode::SUCCESS),
        ["docs", "--check"] => docs::run(&root, true).map(|()| ExitCode::SUCCESS),
        ["fuzz", arguments @ ..] => match fuzz::Fuzz::parse(arguments) {
            Some(fuzz) => fuzz.run(&root),
            None => say(USAGE).map(|()| ExitCode::from(2)),
        },
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

/// The cargo that runs this, without what it says of this very package: build scripts of others listen to these
/// variables, and much would be built again whenever cargo is called the other way.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| own(name)).for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// Writes to stdout at once, so that it stands before what a child writes.
fn say(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
