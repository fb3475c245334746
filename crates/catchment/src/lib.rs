//! Catchment, the program: configuration, command line, and the wiring of the roles.
//!
//! The binary is this library's [`main`] and nothing else.

pub mod bench;
mod cli;
mod commands;
pub mod config;
mod connect;
mod definitions;
mod demo;
pub mod docs;
mod effects;
pub mod lanes;
mod logging;
pub mod metrics;
pub mod observe;
mod out;
mod preflight;
mod record_lines;
mod run;
mod sandbox;
pub mod stop;
mod wiring;

use std::io::Write as _;
use std::process::ExitCode;

/// The allocator of the program. Profiles are many small lists and texts: they cost less time and leave fewer holes than
/// with the C library's. Set where a program begins, so that a test that links this library can have one of its own.
pub use mimalloc::MiMalloc as Allocator;

/// Runs the program with the arguments and the environment of the process.
///
/// The exit code is 0 if all went well, 1 if the work failed, 2 if the command line, a configuration, campaign or model
/// file, or the topics are not as they must be.
#[must_use]
pub fn main() -> ExitCode {
    // Prints usage errors, `--help` and `--version`, and exits with 2 or 0.
    let cli = cli::parse();
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

fn report(error: &anyhow::Error) -> ExitCode {
    // Whoever read the output has seen enough, as in `catchment … | head`.
    if error.is::<out::ClosedPipe>() {
        return ExitCode::SUCCESS;
    }
    let (text, code) = if let Some(findings) = error.downcast_ref::<config::ConfigErrors>() {
        (findings.to_string(), 2)
    } else if let Some(refused @ preflight::PreflightError::Refused(_)) = error.downcast_ref() {
        (refused.to_string(), 2)
    } else if let Some(usage) = error.downcast_ref::<commands::UsageError>() {
        (format!("error: {usage}"), 2)
    } else if let Some(missing) = error.downcast_ref::<connect::MissingKey>() {
        (format!("error: {missing}"), 2)
    } else {
        (format!("error: {error:#}"), 1)
    };
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}
