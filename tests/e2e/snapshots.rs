//! Restarts with and without a snapshot, on real Kafka: the state is the same, and only the way to it is shorter.

use crate::deployment::Deployment;
use crate::process::Process;
use crate::shop::{comes_out_as, drained};
use crate::wait::until;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where the files of the role `profile` are.
fn files(directory: &Path) -> Vec<PathBuf> {
    let role = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let role = role.filter(|path| path.is_dir()).collect::<Vec<_>>();
    assert_eq!(role.len(), 1, "{role:?}");
    std::fs::read_dir(&role[0]).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Waits until the role `profile` has its state, and says how many records came from snapshots and from changelogs.
fn origins(process: &Process) -> (u64, u64) {
    let restored = || {
        let lines = process.logged();
        lines.into_iter().find(|line| line["message"] == "the state is restored" && is_profile(line))
    };
    let line = until(restored, || process.text());
    (line["snapshots"].as_u64().unwrap(), line["changelogs"].as_u64().unwrap())
}

fn is_profile(line: &Value) -> bool {
    line.to_string().contains(r#""role":"profile""#)
}

/// Profiles, timers and ids of events that are held.
fn state(process: &Process) -> [f64; 3] {
    process.ready();
    let metric = |name| process.metric(name, &[]);
    let read = || ["catchment_profiles", "catchment_timers_pending", "catchment_dedup_entries"].map(metric);
    until(|| Some(read()).filter(|[profiles, ..]| *profiles > 0.0), || process.text())
}

#[test]
fn a_restart_finds_the_same_state_with_and_without_a_snapshot() {
    let Some(deployment) = Deployment::new("snapshots") else { return };
    let sandbox = deployment.sandbox();
    let directory = deployment.path("state");
    let kept = [("STATE__DIR", directory.to_str().unwrap()), ("STATE__SNAPSHOT_INTERVAL", "1s")];
    deployment.load();
    let process = deployment.run("one", &[], &kept);
    drained(&process);
    comes_out_as(&deployment, &sandbox);
    let expected = state(&process);
    assert!(process.stop().success());

    // After a graceful stop nothing is left to be read from Kafka.
    let process = deployment.run("one", &[], &kept);
    assert_eq!(state(&process), expected);
    let (snapshots, changelogs) = origins(&process);
    assert!(snapshots > 0, "{}", process.text());
    assert_eq!(changelogs, 0, "{}", process.text());
    let age = || process.metric("catchment_snapshot_bytes", &["profile"]);
    until(|| (age() > 0.0).then_some(()), || process.text());
    process.kill();

    // After a kill as well, as far as it was marked.
    let process = deployment.run("one", &[], &kept);
    assert_eq!(state(&process), expected);
    assert!(origins(&process).0 > 0, "{}", process.text());
    process.kill();

    // Torn somewhere, and one of them lost.
    let mut files = files(&directory);
    files.sort();
    for (at, file) in files.iter().enumerate() {
        let bytes = std::fs::read(file).unwrap();
        if at == 0 {
            std::fs::remove_file(file).unwrap();
        } else {
            std::fs::write(file, &bytes[..bytes.len() - bytes.len() / (at + 2)]).unwrap();
        }
    }
    let process = deployment.run("one", &[], &kept);
    assert_eq!(state(&process), expected);
    assert!(origins(&process).1 > 0, "{}", process.text());
    assert!(process.stop().success());

    // Without snapshots; and everything that is sent again is known.
    let process = deployment.run("one", &[], &[]);
    assert_eq!(state(&process), expected);
    assert_eq!(origins(&process).0, 0);
    assert!(process.stop().success());
    let process = deployment.run("one", &[], &kept);
    assert!(origins(&process).0 > 0);
    let count = |topic| deployment.read(topic).len();
    let written = || ["customer.profiles", "campaign.triggers", "campaign.decisions"].map(count);
    let (before, events) = (written(), count("customer.events") as f64);
    deployment.load();
    let duplicates = || process.metric("catchment_duplicates_total", &[]);
    until(|| (duplicates() == events).then_some(()), || format!("{} of {events}", duplicates()));
    drained(&process);
    assert_eq!((written(), state(&process)), (before, expected));
}

#[test]
fn a_directory_that_can_not_be_written_costs_the_snapshots_and_nothing_else() {
    let Some(deployment) = Deployment::new("snapshots_refused") else { return };
    let directory = deployment.path("a-file");
    std::fs::write(&directory, "").unwrap();
    let process = deployment.run("one", &[], &[("STATE__DIR", directory.to_str().unwrap())]);
    process.says("no snapshots");
    process.ready();
    assert!(process.metric("catchment_snapshot_failures_total", &[]) > 0.0);
    assert!(process.stop().success());
}
