//! The example shop through the sandbox, held against the facts that are known of it (`expected.json` beside its data).

use crate::support::{catchment, finished, root};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;

pub(crate) fn shop() -> PathBuf {
    root().join("deploy/examples/awesomeshoes")
}

pub(crate) fn expected() -> Value {
    serde_json::from_str(&fs::read_to_string(shop().join("data/expected.json")).unwrap()).unwrap()
}

/// Runs the sandbox over the shop, with some configuration changed by the environment.
fn sandbox(changes: &[(&str, &str)], until: Option<&str>) -> TempDir {
    sandbox_over(&shop().join("data"), changes, until)
}

/// As [`sandbox`], over other files.
pub(crate) fn sandbox_over(data: &Path, changes: &[(&str, &str)], until: Option<&str>) -> TempDir {
    let output = TempDir::new().unwrap();
    let config = shop().join("catchment.yaml");
    let mut command = catchment(&["sandbox"]);
    command.arg("--config").arg(config).arg("--input").arg(data).arg("--output").arg(output.path());
    command.envs(changes.iter().copied());
    if let Some(until) = until {
        command.args(["--until", until]);
    }
    let (code, _, error) = finished(&mut command);
    assert_eq!(code, 0, "{error}");
    output
}

/// The shop as it is configured, run once for all tests that only read.
static RUN: LazyLock<TempDir> = LazyLock::new(|| sandbox(&[], None));

pub(crate) fn records(directory: &Path, topic: &str) -> Vec<Value> {
    let text = fs::read_to_string(directory.join(format!("{topic}.ndjson"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Values of a topic.
fn values(topic: &str) -> Vec<Value> {
    records(RUN.path(), topic).into_iter().map(|mut record| record["value"].take()).collect()
}

fn line(value: &Value) -> u64 {
    value["line"].as_u64().unwrap()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

/// Lines that may be taken or left: no count includes them.
fn either() -> BTreeSet<u64> {
    expected()["behaviour"]["either"].as_array().unwrap().iter().map(line).collect()
}

/// Well-formed behaviour events, those that nobody sent too, in order of their lines.
fn behaviour() -> Vec<Value> {
    let either = either();
    let mut events = values("customer.events");
    events.extend(values("customer.unattributed"));
    events.retain(|event| event["source"] == "behaviour" && !either.contains(&line(event)));
    events.sort_by_key(line);
    events
}

/// The first arrival of each.
fn distinct() -> Vec<Value> {
    let mut seen = BTreeSet::new();
    behaviour().into_iter().filter(|event| seen.insert(text(event, "event_id").to_owned())).collect()
}

fn count_by(events: &[Value], field: &str) -> Value {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for event in events {
        *counts.entry(text(event, field)).or_default() += 1;
    }
    serde_json::to_value(counts).unwrap()
}

#[test]
fn behaviour_events_are_counted_by_type_and_event() {
    let facts = &expected()["behaviour"];
    let (all, distinct) = (behaviour(), distinct());
    assert_eq!(facts["well_formed_lines"], all.len());
    assert_eq!(facts["well_formed_distinct"], distinct.len());
    assert_eq!(facts["well_formed_lines_by_type"], count_by(&all, "type"));
    assert_eq!(facts["distinct_by_type"], count_by(&distinct, "type"));
    let tracks: Vec<Value> = distinct.into_iter().filter(|event| event["type"] == "track").collect();
    assert_eq!(facts["distinct_by_event"], count_by(&tracks, "event"));
}

/// Line, code and field of every dead letter of a source, but those that may be taken or left.
fn dead_letters(source: &str) -> Vec<(u64, String, String)> {
    let either = if source == "behaviour" { either() } else { BTreeSet::new() };
    let letters = values(&format!("dlq.{source}"));
    let letters = letters.iter().filter(|letter| !either.contains(&line(letter)));
    letters
        .map(|letter| (line(letter), text(letter, "code").to_owned(), text(letter, "field").to_owned()))
        .collect()
}

#[track_caller]
fn check_malformed(source: &str, facts: &Value) {
    let facts = facts.as_array().unwrap().iter();
    let facts: Vec<_> = facts
        .map(|fact| (line(fact), text(fact, "code").to_owned(), text(fact, "field").to_owned()))
        .collect();
    assert!(!facts.is_empty());
    assert_eq!(dead_letters(source), facts);
}

#[test]
fn malformed_lines_are_dead_letters_with_their_code_and_field() {
    let facts = expected();
    check_malformed("behaviour", &facts["behaviour"]["malformed"]);
    check_malformed("catalog", &facts["catalog"]["malformed"]);
    for source in ["crm_hubspot", "crm_salesforce", "crm_contacts"] {
        check_malformed(source, &facts["crm"][format!("{source}.ndjson")]["malformed"]);
    }
}

#[test]
fn a_dead_letter_names_one_fault_and_keeps_the_bytes() {
    let raw = fs::read(shop().join("data/behaviour.ndjson")).unwrap();
    let lines: Vec<&[u8]> = raw.split(|byte| *byte == b'\n').collect();
    for letter in values("dlq.behaviour") {
        assert_eq!(letter["errors"].as_array().map(Vec::len), Some(1), "{letter}");
        let bytes = from_base64(text(&letter, "value"));
        let line = usize::try_from(line(&letter)).unwrap();
        assert!(bytes == lines[line - 1], "line {line}");
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bytes = text.trim_end_matches('=').as_bytes();
    let groups = bytes.chunks(4).map(|group| {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 6 | u32::from(digit(*byte)));
        let bits = bits << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    });
    groups.flatten().collect()
}

#[test]
fn repeated_events_are_dropped_by_profile() {
    let summary: Value =
        serde_json::from_str(&fs::read_to_string(RUN.path().join("summary.json")).unwrap()).unwrap();
    let mut dropped = summary["duplicates"].as_object().unwrap().clone();
    // HubSpot's second attempt, which is no behaviour event.
    assert_eq!(dropped.remove("7701440"), Some(serde_json::json!([64])));
    let facts = expected();
    let facts = facts["behaviour"]["duplicates"].as_object().unwrap();
    let repeats: serde_json::Map<String, Value> = facts
        .iter()
        .map(|(id, lines)| (id.clone(), Value::from(lines.as_array().unwrap()[1..].to_vec())))
        .collect();
    assert_eq!(dropped, repeats);
}

#[test]
fn events_without_an_identifier_are_nobodys() {
    let lines: Vec<u64> = values("customer.unattributed").iter().map(line).collect();
    assert_eq!(expected()["behaviour"]["unattributable"], serde_json::to_value(lines).unwrap());
}

#[test]
fn wrong_clocks_are_corrected() {
    let times: BTreeMap<u64, String> =
        behaviour().iter().map(|event| (line(event), text(event, "occurred_at").to_owned())).collect();
    let facts = expected();
    let facts = facts["behaviour"]["clock_skew"].as_array().unwrap();
    assert!(facts.len() > 100);
    for fact in facts {
        assert_eq!(times.get(&line(fact)).map(String::as_str), fact["occurred_at"].as_str(), "{fact}");
    }
}

#[test]
fn orders_and_answers_add_up() {
    let events = distinct();
    let orders: Vec<&Value> =
        events.iter().map(|event| &event["order"]).filter(|order| !order.is_null()).collect();
    let sum = |field: &str| orders.iter().map(|order| order[field].as_i64().unwrap()).sum::<i64>();
    let facts = &expected()["behaviour"];
    assert_eq!(facts["orders"]["orders"], orders.len());
    assert_eq!(facts["orders"]["total_cents"], sum("total"));
    assert_eq!(facts["orders"]["units"], sum("units"));
    let scores: Vec<i64> = events.iter().filter_map(|event| event["survey"]["score"].as_i64()).collect();
    assert_eq!(facts["nps"]["responses"], scores.len());
    assert_eq!(facts["nps"]["promoters"], scores.iter().filter(|score| **score >= 9).count());
    assert_eq!(facts["nps"]["detractors"], scores.iter().filter(|score| **score <= 6).count());
}

/// Every file of a directory, by name.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[track_caller]
fn check_same(changes: &[(&str, &str)]) {
    let (run, again) = (files(RUN.path()), files(sandbox(changes, None).path()));
    assert_eq!(run.keys().collect::<Vec<_>>(), again.keys().collect::<Vec<_>>());
    for (name, content) in &run {
        assert!(*content == again[name], "{name} differs with {changes:?}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    check_same(&[]);
}

#[test]
fn results_do_not_depend_on_where_a_batch_ends() {
    check_same(&[("CATCHMENT__BATCH__MAX_RECORDS", "7")]);
    check_same(&[("CATCHMENT__PROFILES__PUBLISH", "event")]);
}

#[test]
fn profiles_do_not_depend_on_the_number_of_partitions() {
    let run = files(RUN.path());
    // How often a score was computed depends on which of two customers hears first that they are one.
    let summary = |files: &BTreeMap<String, Vec<u8>>| {
        let mut summary: Value = serde_json::from_slice(&files["summary.json"]).unwrap();
        summary["predictions"].take();
        summary
    };
    for partitions in ["1", "8"] {
        let again = files(sandbox(&[("CATCHMENT__PARTITIONS", partitions)], None).path());
        for name in ["customer.profiles.ndjson", "campaign.decisions.ndjson", "dlq.behaviour.ndjson"] {
            assert!(run[name] == again[name], "{name} differs with {partitions} partitions");
        }
        assert_eq!(summary(&run), summary(&again), "{partitions} partitions");
    }
}

#[test]
fn carts_are_decided_when_their_half_hour_is_over() {
    let decisions = values("campaign.decisions");
    let carts: Vec<&Value> = decisions.iter().filter(|d| d["campaign"] == "cart_abandoned").collect();
    let of = |user: &str| -> Vec<&Value> {
        let profile = profile_of(user);
        carts.iter().filter(|decision| text(decision, "profile_id") == profile).copied().collect()
    };
    // Omar adds at 14:00 and leaves; that he consented is known by his address, through the CRM.
    let omar = of("u-omar");
    assert_eq!(omar.len(), 1);
    assert_eq!(omar[0]["decided_at"], "2026-03-05T14:30:00.100Z");
    assert_eq!(omar[0]["reason"], "matched");
    // Priya orders in time; Pia's order overtakes her cart.
    assert!(of("u-priya").is_empty() && of("u-pia").is_empty());
    // Quinn's order is made in time, but arrives three hours late.
    assert_eq!(of("u-quinn").len(), 1);
}

fn profile_of(user: &str) -> String {
    let profiles = values("customer.profiles");
    let is_user = |identifier: &Value| identifier["type"] == "user_id" && identifier["value"] == user;
    let profile = profiles.iter().find(|p| p["identifiers"].as_array().unwrap().iter().any(is_user));
    text(profile.unwrap(), "profile_id").to_owned()
}

#[test]
fn every_trigger_has_its_decision_and_its_own_id() {
    let (decisions, triggers) = (values("campaign.decisions"), values("campaign.triggers"));
    let ids: BTreeSet<&str> = triggers.iter().map(|trigger| text(trigger, "trigger_id")).collect();
    assert!(!triggers.is_empty());
    assert_eq!(ids.len(), triggers.len());
    let sent = |decision: &&Value| ["send", "deferred"].contains(&text(decision, "outcome"));
    let decided: BTreeSet<&str> =
        decisions.iter().filter(sent).map(|decision| text(decision, "trigger_id")).collect();
    assert_eq!(decided, ids);
}

#[test]
fn time_can_go_on_after_the_last_event() {
    let summary = |directory: &Path| -> Value {
        serde_json::from_str(&fs::read_to_string(directory.join("summary.json")).unwrap()).unwrap()
    };
    // Cut the data in the middle of Omar's half hour: his timer is pending, until time goes on.
    let input = TempDir::new().unwrap();
    for entry in fs::read_dir(shop().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ndjson") {
            let content = fs::read(&path).unwrap();
            let behaviour = path.ends_with("behaviour.ndjson");
            let lines = content.split_inclusive(|byte| *byte == b'\n').take(if behaviour { 2028 } else { 0 });
            fs::write(input.path().join(path.file_name().unwrap()), lines.collect::<Vec<_>>().concat())
                .unwrap();
        }
    }
    let run = |until: Option<&str>| {
        let output = TempDir::new().unwrap();
        let mut command = catchment(&["sandbox"]);
        command.arg("--config").arg(shop().join("catchment.yaml")).arg("--input").arg(input.path());
        command.arg("--output").arg(output.path());
        command.args(until.map(|until| format!("--until={until}")));
        let (code, out, error) = finished(&mut command);
        (code, out, error, output)
    };
    let (code, out, _, output) = run(None);
    assert!(code == 0 && out.contains("1 timers are due later"), "{out}");
    assert_eq!(summary(output.path())["timers_pending"], 1);
    let (code, _, error, output) = run(Some("2026-03-05T14:30:00.100Z"));
    assert_eq!(code, 0, "{error}");
    assert_eq!(summary(output.path())["timers_pending"], 0);
    let (code, _, error, _) = run(Some("2026-03-05T13:00:00Z"));
    assert!(code == 1 && error.contains("--until is before the last arrival"), "{code} {error}");
}
