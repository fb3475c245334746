//! Avro in and out: what Confluent's client writes is read, and what we write is read by it, through the registry.

use crate::deployment::{Deployment, lines, services};
use crate::gate::Gate;
use crate::process::Process;
use crate::wait::until;
use catchment_connectors::registry::{Registry, RegistrySettings};
use serde_json::{Value, json};
use std::fs;
use std::time::UNIX_EPOCH;
use xtask::interop;

const CONFIG: &str = "
app: avro
partitions: 3
sources:
  - {name: behaviour, topic: behaviour.events, mapping: segment}
  - {name: crm, topic: crm.contacts, format: avro, mapping: contact, arrival: updated_at}
campaigns: [seen.yaml]
";

const CAMPAIGN: &str = "
name: seen
trigger: {event: Product Viewed}
channel: onsite
";

/// A deployment with an Avro source and a campaign that answers every view of a product.
fn deployment(test: &str) -> Option<Deployment> {
    let mut deployment = Deployment::bare(test, xtask::services::BrokerOptions::default())?;
    deployment.config = deployment.path("catchment.yaml");
    fs::write(&deployment.config, CONFIG).unwrap();
    fs::write(deployment.path("seen.yaml"), CAMPAIGN).unwrap();
    deployment.set_up();
    Some(deployment)
}

fn view(id: &str) -> Vec<u8> {
    let now = UNIX_EPOCH.elapsed().unwrap();
    let time = catchment_domain::time::format_rfc3339(i64::try_from(now.as_millis()).unwrap());
    let properties = json!({"product_id": "run-aero"});
    let event = json!({
        "type": "track", "event": "Product Viewed", "messageId": id, "userId": "u-1", "timestamp": time,
        "properties": properties
    });
    event.to_string().into_bytes()
}

#[test]
fn confluents_client_writes_what_we_read_and_reads_what_we_write() {
    let Some(script) = interop::avro("confluent").unwrap() else { return };
    let Some(deployment) = deployment("confluent") else { return };
    let (brokers, registry) = (deployment.broker.address(), deployment.registry());
    let client = |command: &str, topic: &str, input: &str| {
        let arguments = [command, "--brokers", &brokers, "--registry", &registry, "--topic", topic];
        lines(&script.run(&arguments, input).unwrap())
    };
    let contact = json!({"value": {
        "contact_id": "C-7", "user_id": "u-1", "email": "Jane@Example.com", "updated_at": "2026-03-01T10:00:00Z"
    }});
    client("produce", "crm.contacts", &contact.to_string());
    let process = deployment.run("one", &[], &[]);
    let events = || deployment.read("customer.events");
    until(
        || (events().len() == 1).then_some(()),
        || format!("{:?}\n{}", deployment.read("dlq.crm"), process.text()),
    );
    let event = &events()[0]["value"];
    assert_eq!(event["source"], "crm");
    assert!(event.to_string().contains("jane@example.com"), "{event}");

    deployment.send("behaviour.events", &[], &view("view-1"));
    until(|| (deployment.read("campaign.triggers").len() == 1).then_some(()), || process.text());
    for topic in ["campaign.triggers", "customer.profiles"] {
        let ours = deployment.read(topic);
        let theirs = client("consume", topic, "");
        assert_eq!(theirs.len(), ours.len(), "{topic}");
        let last = |records: &[Value]| records.last().unwrap().clone();
        let (ours, theirs) = (last(&ours), last(&theirs));
        assert_eq!(theirs["key"], ours["key"], "{topic}");
        let field = if topic == "campaign.triggers" { "campaign" } else { "events" };
        assert_eq!(theirs["value"][field], ours["value"][field], "{topic}");
    }
}

/// A contact by a schema of its own, as another release of the CRM might write it.
const SMALL: &str = r#"{"type": "record", "name": "Small", "fields": [
    {"name": "contact_id", "type": "string"}, {"name": "updated_at", "type": "string"},
    {"name": "email", "type": "string"}]}"#;

fn small(id: u32, texts: [&str; 3]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(id.to_be_bytes());
    for text in texts {
        // The length of a text, as Avro writes small numbers.
        bytes.push(u8::try_from(2 * text.len()).unwrap());
        bytes.extend(text.as_bytes());
    }
    bytes
}

#[test]
fn a_registry_that_goes_away_holds_what_it_alone_can_read_and_strange_bytes_are_dead_letters() {
    let Some((_, registry)) = services("registry_gone") else { return };
    let Some(mut deployment) = deployment("registry_gone") else { return };
    let address = registry.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let gate = Gate::to(&address);
    deployment.set("REGISTRY__URL", &registry.replace(&address, &gate.address()));
    let process = deployment.run("one", &[], &[]);
    process.ready();
    gate.close();

    let now = UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let schemas = Registry::start(RegistrySettings::new(&registry)).unwrap();
    let id = schemas.register(&format!("e2e-{now}-value"), SMALL).unwrap().0;
    let good = small(id, ["C-1", "2026-03-01T00:00:00Z", "a@example.com"]);
    deployment.send("crm.contacts", &[], &good);
    let held = |process: &Process| process.metric("catchment_waiting", &["registry"]);
    until(|| (held(&process) == 1.0).then_some(()), || process.text());
    deployment.send("behaviour.events", &[], &view("view-1"));
    let triggers = || deployment.read("campaign.triggers").len();
    until(|| (triggers() == 1).then_some(()), || process.text());
    assert_eq!(held(&process), 1.0, "the others go on");

    gate.open();
    let contacts = || {
        deployment.read("customer.events").iter().filter(|event| event["value"]["source"] == "crm").count()
    };
    until(|| (contacts() == 1).then_some(()), || process.text());
    until(|| (held(&process) == 0.0).then_some(()), || process.text());

    // Of another schema, of none, and of one that the registry says it does not have.
    let mut cut = good.clone();
    cut.truncate(9);
    deployment.send("crm.contacts", &[], &cut);
    deployment.send("crm.contacts", &[], b"{\"contact_id\":\"C-2\"}");
    deployment.send(
        "crm.contacts",
        &[],
        &small(id + 100_000, ["C-3", "2026-03-01T00:00:00Z", "b@example.com"]),
    );
    deployment.send("crm.contacts", &[], &small(id, ["C-4", "2026-03-01T00:00:01Z", "c@example.com"]));
    until(|| (contacts() == 2).then_some(()), || process.text());
    let letters = deployment.read("dlq.crm");
    let codes: Vec<&str> = letters.iter().map(|letter| letter["value"]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["invalid_avro", "no_schema_id", "unknown_schema"]);
}
