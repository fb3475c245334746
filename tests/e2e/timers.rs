//! Waits by the clock on the wall: a cart is reminded of unless its order came, though other sources say nothing.

use crate::deployment::Deployment;
use crate::wait::until;
use serde_json::json;
use std::fs;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};
use xtask::services::BrokerOptions;

const CONFIG: &str = "
app: timers
partitions: 3
sources:
  - {name: behaviour, topic: behaviour.events, mapping: segment}
  - {name: crm, topic: crm.contacts, mapping: contact, arrival: updated_at}
campaigns: [cart.yaml]
timers: {grace: 1s}
";

const CAMPAIGN: &str = "
name: cart
trigger: {event: Product Added, after: 4s, unless: [Order Completed]}
scope: cart
channel: onsite
";

fn event(user: &str, name: &str) -> Vec<u8> {
    let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let properties = match name {
        "Order Completed" => {
            json!({"order_id": format!("o-{user}"), "total": 10, "products": [{"product_id": "run-aero"}]})
        }
        _ => json!({"product_id": "run-aero"}),
    };
    let event = json!({
        "type": "track", "event": name, "messageId": format!("{user}-{name}"), "userId": user,
        "timestamp": catchment_domain::time::format_rfc3339(now), "properties": properties
    });
    event.to_string().into_bytes()
}

/// A deployment with a campaign for carts whose wait is that long.
fn deployment(test: &str, wait: &str) -> Option<Deployment> {
    let mut deployment = Deployment::bare(test, BrokerOptions::default())?;
    deployment.config = deployment.path("catchment.yaml");
    fs::write(&deployment.config, CONFIG).unwrap();
    fs::write(deployment.path("cart.yaml"), CAMPAIGN.replace("4s", wait)).unwrap();
    deployment.set_up();
    Some(deployment)
}

#[test]
fn a_cart_is_reminded_of_unless_its_order_came_and_an_idle_source_holds_nobody_up() {
    let Some(deployment) = deployment("timers", "4s") else { return };
    let process = deployment.run("one", &[], &[]);
    process.ready();
    for user in ["stays", "orders"] {
        deployment.send("behaviour.events", &[], &event(user, "Product Added"));
    }
    deployment.send("behaviour.events", &[], &event("orders", "Order Completed"));
    // Killed while it waits: the wait is in the state.
    until(|| (deployment.read("customer.profiles").len() >= 2).then_some(()), || process.text());
    process.kill();
    let process = deployment.run("one", &[], &[]);
    let triggers = || deployment.read("campaign.triggers");
    until(|| (!triggers().is_empty()).then_some(()), || process.text());
    let triggers = triggers();
    let letters = deployment.read("dlq.behaviour");
    assert!(letters.is_empty(), "{letters:?}");
    assert_eq!(triggers.len(), 1, "{triggers:?}");
    assert!(triggers[0]["value"].to_string().contains("stays"), "{triggers:?}");
    let decisions = deployment.read("campaign.decisions");
    assert_eq!(decisions.len(), 1, "nothing is decided of a cart that was ordered: {decisions:?}");
}

#[test]
fn a_wait_that_ends_while_ingest_is_stopped_ends_for_nobody_whose_order_is_unread() {
    let Some(deployment) = deployment("stopped_ingest", "10s") else { return };
    let profile = deployment.run("profile", &["profile"], &[]);
    let ingest = deployment.run("ingest", &["ingest"], &[]);
    profile.ready();
    ingest.ready();
    let put = Instant::now();
    for user in ["stays", "orders"] {
        deployment.send("behaviour.events", &[], &event(user, "Product Added"));
    }
    let pending = || profile.metric("catchment_timers_pending", &[]);
    until(|| (pending() == 2.0).then_some(()), || profile.text());
    assert!(ingest.stop().success());
    assert!(
        put.elapsed() < Duration::from_secs(10),
        "too slow a machine: the wait ended before ingest was stopped"
    );
    deployment.send("behaviour.events", &[], &event("orders", "Order Completed"));
    // Profile goes on, and by its clock the wait is long over: that is what is waited for.
    thread::sleep(Duration::from_secs(14).saturating_sub(put.elapsed()));
    assert_eq!((pending(), deployment.read("campaign.decisions").len()), (2.0, 0));
    profile.ready();

    let _ingest = deployment.run("ingest", &["ingest"], &[]);
    until(|| (pending() == 0.0).then_some(()), || profile.text());
    let triggers = deployment.read("campaign.triggers");
    assert_eq!(triggers.len(), 1, "{triggers:?}");
    assert!(triggers[0]["value"].to_string().contains("stays"), "{triggers:?}");
    assert_eq!(deployment.read("campaign.decisions").len(), 1);
}
