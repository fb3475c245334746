//! Who is who on Kafka: a chain of identifiers over several partitions becomes one customer.

use crate::deployment::Deployment;
use crate::process::Process;
use crate::wait::until;
use crate::workers::tell;
use serde_json::{Value, json};
use std::fs;
use std::time::Instant;
use xtask::services::BrokerOptions;

const CONFIG: &str = "
app: chain
partitions: 6
sources:
  - {name: behaviour, topic: behaviour.events, mapping: segment}
";

/// Six identifiers and what links them, the smallest at the end: device, address, device, number, device, user.
fn links() -> [Value; 5] {
    let call = |number: u32, device: &str, also: Value| {
        let mut call = json!({"type": "identify", "messageId": format!("m{number}"), "anonymousId": device});
        call.as_object_mut().unwrap().extend(also.as_object().unwrap().clone());
        call
    };
    let (email, phone) = (json!({"email": "mia@example.com"}), json!({"phone": "+442079460958"}));
    [
        call(1, "a-1", json!({"traits": email})),
        call(2, "a-2", json!({"traits": email})),
        call(3, "a-2", json!({"traits": phone})),
        call(4, "a-3", json!({"traits": phone})),
        call(5, "a-3", json!({"userId": "u-mia"})),
    ]
}

/// Messages that nodes sent, but for those that show a way.
fn messages(process: &Process) -> f64 {
    let kinds = ["observe", "link", "ask", "yes", "no", "absorb"];
    kinds.iter().map(|kind| process.metric("catchment_inbox_messages_total", &[kind])).sum()
}

#[test]
fn a_chain_of_identifiers_over_six_partitions_becomes_one_customer() {
    let Some(mut deployment) = Deployment::alone("chain", BrokerOptions::default()) else { return };
    deployment.config = deployment.path("catchment.yaml");
    fs::write(&deployment.config, CONFIG).unwrap();
    deployment.set_up();
    let process = deployment.run("one", &[], &[]);
    process.ready();
    // A customer of her own first, so that the lanes are awake.
    deployment.send(
        "behaviour.events",
        &[],
        json!({"type": "identify", "messageId": "m0", "userId": "u-zoe"}).to_string().as_bytes(),
    );
    until(|| (deployment.read("customer.profiles").len() == 1).then_some(()), || process.text());

    for link in links() {
        deployment.send("behaviour.events", &[], link.to_string().as_bytes());
    }
    let sent = Instant::now();
    let merged = || process.metric("catchment_merges_total", &[]);
    let is_one = || deployment.done(&["identity", "show", "user_id:u-mia", "--json"]);
    until(
        || {
            let shown: Value = serde_json::from_str(&is_one()).unwrap();
            (shown["members"].as_array().unwrap().len() == 6 && shown["events"] == 5).then_some(())
        },
        || format!("{}\n{}", is_one(), process.text()),
    );
    let (took, messages) = (sent.elapsed(), messages(&process));
    tell(&format!(
        "a chain of six: one customer after {took:?} at most, {messages} messages, {} merges",
        merged()
    ));
    assert!(messages <= 25.0, "{messages} messages for five links");

    // One profile is left of her, and the way to it leads from every identifier.
    let profiles = deployment.read("customer.profiles");
    let mut last = std::collections::BTreeMap::new();
    for record in profiles {
        last.insert(record["key"].to_string(), record["value"].clone());
    }
    let alive: Vec<&Value> = last.values().filter(|value| !value.is_null()).collect();
    assert_eq!(alive.len(), 2, "{last:?}");
    let text = deployment.done(&["identity", "show", "phone:+44 20 7946 0958"]);
    assert!(text.starts_with("customer ") && text.contains("by way of "), "{text}");
    assert!(text.contains("mia@example.com") && text.contains("by event m"), "{text}");
    let (code, said) = deployment.refused(&["identity", "show", "nobody"]);
    assert_eq!(code, 2, "{said}");
    assert!(deployment.done(&["identity", "show", "user_id:u-none"]).contains("was never seen"), "{said}");
    assert!(process.stop().success());
}
