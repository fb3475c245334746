//! `cargo xtask sim`: the simulation with as many seeds as one has time for, or one seed again.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::cargo;

/// The test that runs seeds.
const TEST: &str = "whatever_goes_wrong_the_results_are_those_of_a_run_without_trouble";

/// What the test reads from its environment, by the flag that sets it.
const FLAGS: [(&str, &str); 4] = [
    ("--seeds", "CATCHMENT_SIM_SEEDS"),
    ("--from", "CATCHMENT_SIM_FROM"),
    ("--seed", "CATCHMENT_SIM_SEED"),
    ("--threads", "CATCHMENT_SIM_THREADS"),
];

/// Runs the simulation as the flags say.
pub(crate) fn run(root: &Path, flags: &[&str]) -> Result<ExitCode> {
    let variables = variables(flags)?;
    let mut command = cargo();
    command.current_dir(root).args(["test", "--package", "catchment-tests", "--test", "sim", "--locked"]);
    command.args(["--", "--exact", TEST, "--nocapture"]);
    let status = command.envs(variables).status().context("cannot start cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn variables(flags: &[&str]) -> Result<Vec<(&'static str, String)>> {
    let mut variables = Vec::new();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        if *flag == "--trace" {
            variables.push(("CATCHMENT_SIM_TRACE", "1".to_owned()));
            continue;
        }
        let Some((_, variable)) = FLAGS.iter().find(|(known, _)| known == flag) else {
            bail!("sim knows no `{flag}`: --seeds N, --from N, --seed N, --threads N, --trace");
        };
        let number = flags.next().and_then(|text| text.parse::<u64>().ok());
        let number = number.with_context(|| format!("`{flag}` needs a number"))?;
        variables.push((variable, number.to_string()));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_variables() {
        let set = variables(&["--seeds", "5", "--from", "7", "--trace"]).unwrap();
        let expected =
            [("CATCHMENT_SIM_SEEDS", "5"), ("CATCHMENT_SIM_FROM", "7"), ("CATCHMENT_SIM_TRACE", "1")];
        assert!(set.iter().map(|(name, value)| (*name, value.as_str())).eq(expected));
        assert!(variables(&["--seed"]).unwrap_err().to_string().contains("needs a number"));
        assert!(variables(&["--seed", "x"]).unwrap_err().to_string().contains("needs a number"));
        assert!(variables(&["--sed", "1"]).unwrap_err().to_string().contains("`--sed`"));
    }
}
