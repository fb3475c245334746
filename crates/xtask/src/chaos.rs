//! `cargo xtask chaos`: the end-to-end test of workers that are killed at random, in the size that is asked for.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::cargo;
use crate::services::ForTests;

/// The test; it reads its size from the variables below.
const TEST: &str = "chaos::workers_that_are_killed_at_random_lose_nothing_and_double_nothing";

/// Flags with a number, and the variables that the test reads them from.
const NUMBERS: [(&str, &str); 4] = [
    ("--events", "CATCHMENT_CHAOS_EVENTS"),
    ("--customers", "CATCHMENT_CHAOS_CUSTOMERS"),
    ("--kills", "CATCHMENT_CHAOS_KILLS"),
    ("--seed", "CATCHMENT_CHAOS_SEED"),
];

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    release: bool,
    variables: Vec<(&'static str, u64)>,
}

impl Asked {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut asked = Asked::default();
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            if *flag == "--release" {
                asked.release = true;
                continue;
            }
            let Some((_, variable)) = NUMBERS.iter().find(|(name, _)| name == flag) else {
                bail!("chaos knows no {flag}");
            };
            let number = rest.next().with_context(|| format!("{flag} wants a number"))?;
            let number = number.parse().with_context(|| format!("{flag} {number}: not a number"))?;
            asked.variables.push((variable, number));
        }
        Ok(asked)
    }
}

/// Starts the services and runs the test.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<ExitCode> {
    let asked = Asked::parse(arguments)?;
    let mut services = ForTests::default();
    services.start(true)?;
    let mut command = cargo();
    command.current_dir(root).args(["test", "--package", "catchment-tests", "--test", "e2e"]);
    command.args(asked.release.then_some("--release"));
    command.args(["--", "--exact", TEST, "--nocapture"]);
    command.envs(services.variables());
    command.envs(asked.variables.iter().map(|(name, number)| (name, number.to_string())));
    let passed = command.status().context("cannot start cargo")?.success();
    services.stop(passed)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_variables_of_the_test() {
        let asked = Asked::parse(&["--events", "1000", "--release", "--seed", "7"]).unwrap();
        let variables = vec![("CATCHMENT_CHAOS_EVENTS", 1_000), ("CATCHMENT_CHAOS_SEED", 7)];
        assert_eq!(asked, Asked { release: true, variables });
        assert_eq!(Asked::parse(&[]).unwrap(), Asked::default());
        for (wrong, said) in [
            (&["--evens", "1"][..], "chaos knows no --evens"),
            (&["--kills"], "--kills wants a number"),
            (&["--kills", "ten"], "--kills ten: not a number"),
        ] {
            assert_eq!(Asked::parse(wrong).unwrap_err().to_string(), said);
        }
    }
}
