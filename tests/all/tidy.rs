//! Order that no compiler holds. Each rule is a ratchet: an exception is listed here with its bound, bounds only
//! shrink, and an exception that is no longer needed must go.

use std::fs;
use std::path::Path;

use catchment::metrics;

use crate::support::{files, root};

const MAX_LINES: usize = 600;

/// Files above the bound, each with the bound of its own.
const LONG: [(&str, usize); 0] = [];

/// Sources, but for what is generated.
fn sources() -> Vec<(String, String)> {
    let mut sources = files("crates", ".rs");
    sources.extend(files("tests", ".rs"));
    sources.retain(|file| !file.starts_with("crates/contracts/src/generated/"));
    assert!(sources.len() > 30, "found only {} files", sources.len());
    let root = root();
    sources
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(root.join(&file)).unwrap();
            (file, text)
        })
        .collect()
}

#[track_caller]
fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn no_file_is_longer_than_a_room() {
    let sources = sources();
    let mut found = Vec::new();
    for (file, text) in &sources {
        let lines = text.lines().count();
        let bound = LONG.iter().find(|(long, _)| long == file).map(|(_, bound)| *bound);
        if lines > bound.unwrap_or(MAX_LINES) {
            found.push(format!("{file}: {lines} lines"));
        }
        if bound.is_some_and(|bound| lines <= MAX_LINES || lines < bound) {
            found.push(format!("{file}: has only {lines} lines: lower its bound"));
        }
    }
    for (long, _) in LONG {
        if !sources.iter().any(|(file, _)| file == long) {
            found.push(format!("{long}: is gone: drop its bound"));
        }
    }
    none("files too long, or bounds too high", &found);
}

#[test]
fn nothing_is_left_to_be_done() {
    // In two parts, so that this file does not find itself.
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut found = Vec::new();
    for (file, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    none("marks of unfinished work", &found);
}

#[test]
fn every_file_says_what_it_is() {
    let found: Vec<String> = sources()
        .into_iter()
        // Tests beside the code speak by their names.
        .filter(|(file, _)| {
            let beside = file.starts_with("crates/") && file.contains("/tests/");
            !beside && !file.ends_with("tests.rs")
        })
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(file, _)| file)
        .collect();
    none("files that do not begin with a `//!` comment", &found);
}

#[test]
fn every_metric_is_in_the_table() {
    let mut found = Vec::new();
    for (file, text) in sources() {
        for name in text.split('"') {
            let measured = name.starts_with("catchment_")
                && ["_total", "_seconds", "_bytes"].iter().any(|ending| name.ends_with(ending))
                && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            if measured && !metrics::ALL.iter().any(|metric| metric.name == name) {
                found.push(format!("{file}: {name}"));
            }
        }
    }
    none("metrics that crates/catchment/src/metrics.rs does not list", &found);
}

/// Targets of the Markdown links of a text.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|target| target.split_whitespace().next().unwrap_or_default())
}

#[test]
fn links_of_the_documentation_lead_somewhere() {
    let root = root();
    let mut found = Vec::new();
    for file in files("", ".md") {
        let text = fs::read_to_string(root.join(&file)).unwrap();
        let directory = root.join(&file).parent().unwrap_or(Path::new("")).to_path_buf();
        for link in links(&text) {
            let outside = link.contains("://") || link.starts_with("mailto:");
            let target = link.split('#').next().unwrap_or_default();
            if !outside && !target.is_empty() && !directory.join(target).exists() {
                found.push(format!("{file}: {link}"));
            }
        }
    }
    none("links to files that there are not", &found);
}

#[test]
fn links_are_found_with_titles_and_anchors() {
    let text = "See [a](docs/a.md#part) and [b](<b.md> \"title\"), [c](c.md \"C\").";
    assert_eq!(links(text).collect::<Vec<_>>(), ["docs/a.md#part", "<b.md>", "c.md"]);
}
