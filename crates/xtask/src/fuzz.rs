//! `cargo xtask fuzz`: decoders under libFuzzer, by `cargo-fuzz`. What holds for them, and their seeds, are in
//! `tests/src/fuzz.rs`; the normal tests try some inputs of each, this tries as many as there is time for.

use std::fs;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{cargo, say, target};

/// How long a target runs where nothing else is said.
const SECONDS: u32 = 60;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fuzz {
    /// One target; all of them, one after the other, if none is named.
    target: Option<String>,
    seconds: u32,
}

impl Fuzz {
    /// Reads the arguments behind `fuzz`; `None` if they are not in order.
    pub(crate) fn parse(arguments: &[&str]) -> Option<Self> {
        let mut fuzz = Fuzz { target: None, seconds: SECONDS };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match *argument {
                "--seconds" => fuzz.seconds = rest.next()?.parse().ok().filter(|seconds| *seconds > 0)?,
                name if !name.starts_with('-') && fuzz.target.is_none() => {
                    fuzz.target = Some(name.to_owned());
                }
                _ => return None,
            }
        }
        Some(fuzz)
    }

    /// Runs the targets. The first finding ends the run, and its input stays.
    pub(crate) fn run(&self, root: &Path) -> Result<ExitCode> {
        let installed = cargo()
            .args(["fuzz", "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !installed {
            bail!("this needs cargo-fuzz: cargo install --locked cargo-fuzz@0.13.2");
        }
        let directory = root.join("tests/fuzz");
        // The very dependencies of the workspace; cargo drops what is not needed.
        fs::copy(root.join("Cargo.lock"), directory.join("Cargo.lock"))
            .context("cannot copy the workspace's Cargo.lock")?;
        let known = targets(&directory)?;
        let chosen: Vec<&String> = match &self.target {
            Some(name) => match known.iter().find(|known| *known == name) {
                Some(name) => vec![name],
                None => bail!("no target {name}; there are {}", known.join(", ")),
            },
            None => known.iter().collect(),
        };
        for name in chosen {
            say(&format!("\n=== {name}, {} s\n", self.seconds))?;
            if !self.run_one(&directory, name)? {
                say(&format!("\n{name}: failed; the input is named above\n"))?;
                return Ok(ExitCode::FAILURE);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn run_one(&self, directory: &Path, name: &str) -> Result<bool> {
        let base = target().join("fuzz");
        let (corpus, found) = (base.join("corpus").join(name), base.join("found").join(name));
        for path in [&corpus, &found] {
            fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let status = cargo()
            .args(["fuzz", "run", "--fuzz-dir"])
            .arg(directory)
            // No `unsafe` stands in this workspace; without the address sanitizer twice as many inputs are tried.
            .args(["--sanitizer", "none", name])
            .arg(&corpus)
            .args(["--", "-timeout=10", "-rss_limit_mb=1024", "-max_len=65536", "-print_final_stats=1"])
            .arg(format!("-max_total_time={}", self.seconds))
            .arg(format!("-artifact_prefix={}/", found.display()))
            .env("CARGO_TARGET_DIR", base.join("target"))
            .env("CATCHMENT_FUZZ_CORPUS", &corpus)
            .status()
            .context("cannot start cargo fuzz")?;
        Ok(status.success())
    }
}

/// Names of the targets, in order.
fn targets(directory: &Path) -> Result<Vec<String>> {
    let files = directory.join("fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&files).with_context(|| format!("cannot list {}", files.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_and_a_time_may_be_named() {
        let fuzz = |target: Option<&str>, seconds| Some(Fuzz { target: target.map(str::to_owned), seconds });
        for (arguments, expected) in [
            (&[][..], fuzz(None, SECONDS)),
            (&["stored"], fuzz(Some("stored"), SECONDS)),
            (&["stored", "--seconds", "5"], fuzz(Some("stored"), 5)),
            (&["--seconds", "5"], fuzz(None, 5)),
            (&["--seconds"], None),
            (&["--seconds", "0"], None),
            (&["stored", "headers"], None),
            (&["--runs"], None),
        ] {
            assert_eq!(Fuzz::parse(arguments), expected, "{arguments:?}");
        }
    }

    #[test]
    fn targets_are_found_by_their_files() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz");
        let names = targets(&directory).unwrap();
        assert!(names.contains(&"stored".to_owned()), "{names:?}");
    }
}
