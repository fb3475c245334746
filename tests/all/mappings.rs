//! The mappings that come with the program, and their samples.

use crate::support::{catchment, finished, root};

#[test]
fn every_sample_of_a_shipped_mapping_becomes_what_is_expected() {
    let (code, out, error) = finished(catchment(&["mappings", "test"]).arg(root().join("deploy/mappings")));
    assert_eq!(code, 0, "{out}{error}");
    let mappings: std::collections::BTreeSet<&str> =
        out.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(mappings.len(), 8, "{out}");
    assert!(out.lines().all(|line| line.ends_with(": ok")), "{out}");
}

#[test]
fn a_source_with_a_mapping_of_its_own_goes_through_the_sandbox() {
    let directory = tempfile::TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mappings = root().join("deploy/mappings");
    let config = format!(
        "app: shop\nclock: event\npartitions: 2\nsources:\n  - {{name: shopify, topic: orders, mapping: segment, via: '{}', \
         arrival: created_at}}\n  - {{name: crm, topic: contacts, mapping: contact, via: '{}', arrival: data.payload.LastModifiedDate}}\n",
        mappings.join("shopify_order.yaml").display(),
        mappings.join("salesforce_contact.yaml").display(),
    );
    std::fs::write(at("catchment.yaml"), config).unwrap();
    std::fs::create_dir(at("in")).unwrap();
    for (source, samples) in [
        ("shopify", &["shopify_order/create.json", "shopify_order/cancelled.json"][..]),
        ("crm", &["salesforce_contact/create.json"]),
    ] {
        let line = |sample: &&str| {
            let text = std::fs::read_to_string(mappings.join(sample)).unwrap();
            serde_json::from_str::<serde_json::Value>(&text).unwrap().to_string() + "\n"
        };
        let lines: String = samples.iter().map(line).collect();
        std::fs::write(at(&format!("in/{source}.ndjson")), lines).unwrap();
    }
    let (code, _, error) = finished(
        catchment(&["sandbox"])
            .arg("--config")
            .arg(at("catchment.yaml"))
            .arg("--input")
            .arg(at("in"))
            .arg("--output")
            .arg(at("out"))
            .args(["--until", "2026-11-25T00:00:00Z"]),
    );
    assert_eq!(code, 0, "{error}");
    let profiles = crate::shop::records(&at("out"), "customer.profiles");
    let [profile] = profiles.as_slice() else { panic!("not one customer: {profiles:?}") };
    // The shop and the CRM know her by one address, and one of her two orders was called off.
    assert_eq!(profile["value"]["identifiers"].as_array().unwrap().len(), 4);
    assert_eq!(profile["value"]["lifetime"][0]["orders"], 1);
    assert_eq!(profile["value"]["lifetime"][0]["total"], 14_375);
}
