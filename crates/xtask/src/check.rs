//! `cargo xtask test`: everything that must hold before a change is merged. It needs a Rust toolchain and what the
//! Kafka client is built with. With Java and Maven, tests also run against a real broker and a real schema registry.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::client;
use crate::lint::Lint;
use crate::services::ForTests;
use crate::{cargo, codegen, say};

/// What a machine must have: a command that tells, and how to get it.
const TOOLS: [(&str, &[&str], &str); 3] = [
    ("rustfmt", &["fmt", "--version"], "rustup component add rustfmt"),
    ("clippy", &["clippy", "--version"], "rustup component add clippy"),
    ("a C compiler", &[], "apt-get install gcc, or the like of your system"),
];

/// Runs all checks, also after one has failed. The last line counts the tests.
pub(crate) fn run(root: &Path, fast: bool, with_services: bool) -> Result<ExitCode> {
    tools(root)?;
    let mut failed = Vec::new();
    let mut section = |name: &'static str, step: &mut dyn FnMut() -> Result<bool>| -> Result<()> {
        say(&format!("\n=== {name}\n"))?;
        let start = Instant::now();
        let passed = match step() {
            Ok(passed) => passed,
            Err(error) => {
                say(&format!("error: {error:#}\n"))?;
                false
            }
        };
        let verdict = if passed { "passed" } else { "FAILED" };
        say(&format!("--- {name}: {verdict} in {:.1} s\n", start.elapsed().as_secs_f64()))?;
        if !passed {
            failed.push(name);
        }
        Ok(())
    };
    section("format", &mut || passes(root, &["fmt", "--all", "--check"]))?;
    section("generated code", &mut || codegen::run(root, true).map(|()| true))?;
    section("lints", &mut || {
        let lints = ["clippy", "--workspace", "--all-targets", "--locked"];
        passes(root, &[&lints[..], &["--", "-D", "warnings"]].concat())
    })?;
    let mut lint = Lint::default();
    section("deployment files", &mut || lint.run(root))?;
    let mut services = ForTests::default();
    section("services", &mut || services.start(with_services))?;
    let mut counts = Counts::default();
    section("tests", &mut || {
        let passed = tests(root, fast, &services.variables(), &mut counts)?;
        services.stop(passed)?;
        Ok(passed)
    })?;
    if !failed.is_empty() {
        say(&format!("\nfailed: {}\n", failed.join(", ")))?;
    }
    say(&format!("\n{}\n{}\n", lint.summary(), services.summary()))?;
    say(&format!("{} passed, {} failed\n", counts.passed, counts.failed))?;
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says plainly what the machine lacks.
fn tools(root: &Path) -> Result<()> {
    let mut missing = Vec::new();
    for (name, arguments, remedy) in TOOLS {
        let mut command = match arguments {
            [] => Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into())),
            _ => cargo(),
        };
        let arguments = if arguments.is_empty() { &["--version"] } else { arguments };
        let status =
            command.current_dir(root).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            missing.push(format!("{name} ({remedy})"));
        }
    }
    missing.extend(client::lacks()?.into_iter().map(str::to_owned));
    if !missing.is_empty() {
        bail!("this machine lacks {}", missing.join("; "));
    }
    Ok(())
}

fn passes(root: &Path, arguments: &[&str]) -> Result<bool> {
    let status = cargo().current_dir(root).args(arguments).status().context("cannot start cargo")?;
    Ok(status.success())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

fn tests(root: &Path, fast: bool, variables: &[(&str, String)], counts: &mut Counts) -> Result<bool> {
    let mut command = cargo();
    command.current_dir(root).args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    if fast {
        command.args(["--lib", "--bins", "--tests"]);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            say(&format!("{line}\n"))?;
            counts.add(&line);
        }
    }
    Ok(child.wait()?.success())
}

impl Counts {
    /// Adds what a line says like `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_over_test_binaries() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 17 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.13s",
            "test result: none",
        ] {
            counts.add(line);
        }
        assert_eq!(counts, Counts { passed: 20, failed: 4 });
    }
}
