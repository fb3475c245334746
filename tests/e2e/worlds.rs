//! The world at fault: what happens to a deployment when its surroundings fail, and what it says about it.

use crate::deployment::{Deployment, services};
use crate::gate::Gate;
use crate::process::Process;
use crate::shop::{comes_out_as, drained};
use crate::wait::until;
use xtask::services::BrokerOptions;

/// Waits until `/readyz` is red, and says that text.
#[track_caller]
pub(crate) fn not_ready(process: &Process, because: &str) {
    let red = || process.get("/readyz").filter(|(status, body)| *status == 503 && body.contains(because));
    until(red, || format!("{:?}\n{}", process.get("/readyz"), process.text()));
}

pub(crate) fn alive(process: &Process) {
    assert_eq!(process.get("/healthz").unwrap().0, 200, "{}", process.text());
}

#[test]
fn brokers_that_can_not_be_reached_are_waited_for_at_the_start_and_under_load() {
    let Some(mut deployment) = Deployment::new("brokers_gone") else { return };
    let sandbox = deployment.sandbox();
    deployment.load();
    deployment.broker.stop();
    let process = deployment.run("one", &[], &[("BATCH__MAX_RECORDS", "50")]);
    process.says("waits for kafka");
    not_ready(&process, "kafka");
    alive(&process);
    assert!(process.metric("catchment_waiting", &["kafka"]) > 0.0);

    deployment.broker.restart().unwrap();
    let events = |process: &Process| process.metric("catchment_ingest_events_total", &[]);
    until(|| (events(&process) > 100.0).then_some(()), || process.text());
    deployment.broker.kill();
    not_ready(&process, "kafka");
    alive(&process);
    deployment.broker.restart().unwrap();
    comes_out_as(&deployment, &sandbox);
    process.ready();
    assert!(process.stop().success());
}

#[test]
fn a_registry_that_is_down_at_the_start_is_waited_for() {
    let Some((_, registry)) = services("registry_down") else { return };
    let Some(mut deployment) = Deployment::new("registry_down") else { return };
    let address = registry.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let gate = Gate::to(&address);
    gate.close();
    deployment.set("REGISTRY__URL", &registry.replace(&address, &gate.address()));
    let process = deployment.run("one", &[], &[]);
    process.says("waits for registry");
    not_ready(&process, "registry");
    alive(&process);
    gate.open();
    process.ready();
}

#[test]
fn topics_that_are_not_what_they_must_be_refuse_the_start() {
    let Some(deployment) = Deployment::bare("topics_wrong", BrokerOptions::default()) else { return };
    deployment.done(&["contracts", "register"]);
    let refusal = |changes: &[(&str, &str)]| {
        let mut command = deployment.command(&["run"]);
        command.envs(changes.iter().map(|(key, value)| (format!("CATCHMENT__{key}"), value)));
        let (code, _, said) = crate::support::finished(&mut command);
        assert_eq!(code, 2, "{said}");
        said
    };
    let said = refusal(&[]);
    assert!(said.contains("customer.events") && said.contains("topics create"), "{said}");
    deployment.done(&["topics", "create"]);
    let said = refusal(&[("PARTITIONS", "4")]);
    assert!(said.contains("customer.events") && said.contains('4') && said.contains('3'), "{said}");
    let other = deployment.path("other-secret");
    std::fs::write(&other, "5f".repeat(32)).unwrap();
    let said = refusal(&[("IDENTITY__SECRET_FILE", other.to_str().unwrap())]);
    assert!(said.contains("secret"), "{said}");
}

#[test]
fn a_gap_in_the_input_stops_its_partition_until_somebody_skips_it() {
    let Some(deployment) = Deployment::new("gap") else { return };
    let process = deployment.run("one", &[], &[]);
    deployment.load();
    drained(&process);
    assert!(process.stop().success());
    deployment.load();
    deployment.forget("behaviour.events", 0, 4_000);

    let process = deployment.run("one", &[], &[]);
    let held = || process.metric("catchment_partition_held", &["behaviour.events", "input_gap"]);
    until(|| (held() == 1.0).then_some(()), || process.text());
    assert_eq!(process.metric("catchment_input_gap_records", &["behaviour.events"]), 4_000.0 - 2_331.0);
    process.says("offsets 2331 to 3999 were deleted before they were read");
    process.ready();
    assert!(process.stop().success());

    let skip = ["offsets", "skip", "--role", "ingest", "--topic", "behaviour.events", "--partition", "0"];
    let reason = ["--to-earliest", "--reason", "retention was too short", "--yes"];
    until(
        || {
            (deployment.command(&[&skip[..], &reason].concat()).status().unwrap().code() == Some(0))
                .then_some(())
        },
        || deployment.refused(&[&skip[..], &reason].concat()).1,
    );
    let process = deployment.run("one", &[], &[]);
    drained(&process);
    assert_eq!(process.metric("catchment_partition_held", &[]), 0.0);
}

#[test]
fn a_dead_letter_above_the_limit_holds_its_partition_and_the_others_go_on() {
    let Some(deployment) = Deployment::new("too_large") else { return };
    // Below what a record of the source may be, and what the topic takes.
    let limit = ("KAFKA__MAX_RECORD", "64KiB");
    let process = deployment.run("one", &[], &[limit]);
    process.ready();
    deployment.send("behaviour.events", &[], format!("{{\"type\":\"{}\"}}", "x".repeat(100_000)).as_bytes());
    let held = || process.metric("catchment_partition_held", &["behaviour.events", "too_large"]);
    until(|| (held() == 1.0).then_some(()), || process.text());
    let contact = br#"{"contact_id":"C-1","updated_at":"2026-03-01T00:00:00Z","email":"a@example.com"}"#;
    deployment.send("crm.contacts", &[("catchment.source", "crm_contacts")], contact);
    let events = || deployment.read("customer.events").len() + deployment.read("dlq.crm_contacts").len();
    until(|| (events() == 1).then_some(()), || process.text());
    drop(process);
    // With room for it, it becomes the dead letter that it is.
    let process = deployment.run("one", &[], &[]);
    until(|| (deployment.read("dlq.behaviour").len() == 1).then_some(()), || process.text());
}
