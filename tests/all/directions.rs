//! Which crate may know which: the lines that keep decisions free of I/O.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::support::root;

/// Crates of ours that each crate may know.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("catchment-domain", &[]),
    ("catchment-runtime", &[]),
    ("catchment-contracts", &["catchment-domain"]),
    ("catchment-pipeline", &["catchment-contracts", "catchment-domain", "catchment-runtime"]),
    ("catchment-connectors", &["catchment-contracts", "catchment-runtime"]),
    (
        "catchment",
        &[
            "catchment-connectors",
            "catchment-contracts",
            "catchment-domain",
            "catchment-pipeline",
            "catchment-runtime",
        ],
    ),
    // Has to run while the others do not compile: it generates code of theirs.
    ("xtask", &[]),
    (
        "catchment-tests",
        &[
            "catchment",
            "catchment-connectors",
            "catchment-contracts",
            "catchment-domain",
            "catchment-pipeline",
            "catchment-runtime",
        ],
    ),
];

/// What speaks to the outside belongs to `connectors` alone.
const OUTSIDE: [&str; 14] = [
    "axum",
    "hyper",
    "hyper-util",
    "mio",
    "ort",
    "rdkafka",
    "rdkafka-sys",
    "reqwest",
    "schema_registry_converter",
    "socket2",
    "tonic",
    "tower-http",
    "tract-onnx",
    "ureq",
];

/// These decide, and a decision depends on nothing but its input.
const PURE: [&str; 4] =
    ["catchment-contracts", "catchment-domain", "catchment-pipeline", "catchment-runtime"];

/// What brings threads, clocks, chance or files into a crate.
const IMPURE: [&str; 15] = [
    "async-std",
    "chrono",
    "crossbeam-channel",
    "fastrand",
    "getrandom",
    "mimalloc",
    "nix",
    "rand",
    "rayon",
    "signal-hook",
    "smol",
    "tempfile",
    "tokio",
    "tracing-subscriber",
    "uuid",
];

/// Names of the crates that each member needs to run; what only its tests need is its own business.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root())
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let needed = package["dependencies"].as_array().unwrap().iter();
            let needed = needed.filter(|dependency| dependency["kind"] != "dev");
            let needed = needed.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
            (package["name"].as_str().unwrap().to_owned(), needed.collect())
        })
        .collect()
}

#[test]
fn crates_know_only_whom_they_may() {
    let dependencies = dependencies();
    let members: Vec<&str> = dependencies.keys().map(String::as_str).collect();
    let mut known: Vec<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(members, known, "say here whom a new crate may know");
    for (name, allowed) in ALLOWED {
        for needed in &dependencies[name] {
            let ours = members.contains(&needed.as_str());
            assert!(!ours || allowed.contains(&needed.as_str()), "{name} must not know {needed}");
        }
    }
}

#[test]
fn only_connectors_speak_to_the_outside() {
    for (name, needed) in dependencies() {
        for outside in OUTSIDE {
            let speaks = needed.iter().any(|needed| needed == outside);
            assert!(!speaks || name == "catchment-connectors", "{name} must not need {outside}");
        }
    }
}

#[test]
fn what_decides_has_no_clock_no_chance_and_no_threads() {
    let dependencies = dependencies();
    for name in PURE {
        for impure in IMPURE {
            assert!(
                !dependencies[name].iter().any(|needed| needed == impure),
                "{name} must not need {impure}"
            );
        }
    }
}
