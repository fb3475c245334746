//! `cargo xtask bench`: `catchment bench` of a release build again and again, and the medians.
//!
//! A single run says little on a machine that does other things. Every flag that is not its own is handed to
//! `catchment bench`: with `--brokers` and `--topic` it reads the very input that another system has read before.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{cargo, say, target};

/// How often each case is run.
const REPEATS: usize = 3;
/// What is told, by its place in a report.
const COLUMNS: [(&str, &str, &str); 9] = [
    ("ceiling", "per_cpu_s", "copy/CPU-s"),
    ("throughput", "per_s", "events/s"),
    ("throughput", "per_cpu_s", "/CPU-s"),
    ("throughput", "warm_per_cpu_s", "warm/CPU-s"),
    ("throughput", "peak_rss_mb", "peak MB"),
    ("throughput", "broker_cpu_s", "broker s"),
    ("restore", "restoring_s", "restore s"),
    ("restore", "wall_s", "serving s"),
    ("restore", "records", "records"),
];

/// Runs both ways of publishing, in turn, so that both meet the same moods of the machine.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<ExitCode> {
    let (repeats, flags) = split(arguments)?;
    let built = cargo()
        .current_dir(root)
        .args(["build", "--release", "--locked", "--package", "catchment"])
        .status()
        .context("cannot start cargo")?;
    if !built.success() {
        bail!("the release build failed");
    }
    let program = target().join("release/catchment");
    let mut reports: [Vec<Value>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..repeats {
        for (publish, reports) in ["step", "event"].into_iter().zip(&mut reports) {
            reports.push(measure(&program, publish, &flags)?);
        }
    }
    say(&format!("{}\n", table(&reports)))?;
    Ok(ExitCode::SUCCESS)
}

/// The number of repeats, and what is handed on.
fn split<'a>(arguments: &[&'a str]) -> Result<(usize, Vec<&'a str>)> {
    let Some(place) = arguments.iter().position(|flag| *flag == "--repeats") else {
        return Ok((REPEATS, arguments.to_vec()));
    };
    let number = arguments.get(place + 1).and_then(|text| text.parse().ok()).filter(|number| *number > 0);
    let repeats = number.context("`--repeats` needs a number, at least 1")?;
    let rest = arguments.iter().enumerate().filter(|(at, _)| *at != place && *at != place + 1);
    Ok((repeats, rest.map(|(_, flag)| *flag).collect()))
}

fn measure(program: &Path, publish: &str, flags: &[&str]) -> Result<Value> {
    let output = Command::new(program)
        .args(["bench", "--json", "--publish", publish])
        .args(flags)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    say(&text)?;
    if !output.status.success() {
        bail!("`catchment bench` failed");
    }
    serde_json::from_str(text.trim()).context("`catchment bench` printed no report")
}

/// Medians, a row for each way of publishing.
fn table(reports: &[Vec<Value>; 2]) -> String {
    let mut text = String::from("| publish |");
    for (_, _, title) in COLUMNS {
        text.push_str(&format!(" {title} |"));
    }
    text.push_str(&format!("\n|---|{}", "---|".repeat(COLUMNS.len())));
    for (publish, reports) in ["step", "event"].into_iter().zip(reports) {
        text.push_str(&format!("\n| {publish} |"));
        for (part, key, _) in COLUMNS {
            let values = reports.iter().filter_map(|report| report.get(part)?.get(key)?.as_f64());
            let cell = median(values.collect()).map_or_else(|| "-".to_owned(), |value| value.to_string());
            text.push_str(&format!(" {cell} |"));
        }
    }
    text
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn flags_that_are_not_its_own_are_handed_on() {
        let (repeats, flags) = split(&["--brokers", "b:1", "--repeats", "5", "--topic", "t"]).unwrap();
        assert_eq!((repeats, flags), (5, vec!["--brokers", "b:1", "--topic", "t"]));
        assert_eq!(split(&[]).unwrap(), (REPEATS, Vec::new()));
        assert!(split(&["--repeats"]).is_err() && split(&["--repeats", "0"]).is_err());
    }

    #[test]
    fn the_table_holds_medians_and_dashes() {
        let of = |value: f64| json!({"throughput": {"per_s": value, "peak_rss_mb": 7}});
        let text = table(&[vec![of(3.0), of(1.0), of(2.0)], vec![of(5.0)]]);
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            ["| step | - | 2 | - | - | 7 | - | - | - | - |", "| event | - | 5 | - | - | 7 | - | - | - | - |"]
        );
    }
}
