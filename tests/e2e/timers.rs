//! Waits by the clock on the wall: a cart is reminded of unless its order came, though other sources say nothing.

use crate::deployment::Deployment;
use crate::wait::until;
use serde_json::json;
use std::fs;
use std::time::UNIX_EPOCH;
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

#[test]
fn a_cart_is_reminded_of_unless_its_order_came_and_an_idle_source_holds_nobody_up() {
    let Some(mut deployment) = Deployment::bare("timers", BrokerOptions::default()) else { return };
    deployment.config = deployment.path("catchment.yaml");
    fs::write(&deployment.config, CONFIG).unwrap();
    fs::write(deployment.path("cart.yaml"), CAMPAIGN).unwrap();
    deployment.set_up();
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
