//! Frozen bytes of every hot record: what one release writes, every later one must read.
//!
//! `golden/<contract>.v1.hex` is the datum, `golden/<contract>.v1.json` its rendering. They are never changed;
//! a new version of a contract gets files of its own. `CATCHMENT_WRITE_GOLDEN=1` writes those that are missing.

// Helpers of tests, which clippy takes for code.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use catchment_contracts::{
    CampaignDecision, CampaignTrigger, CatalogItem, CustomerEvent, CustomerMerge, CustomerProfile,
    InboxMessage, NodeState, Watermark, catalogue, released, render,
};

fn frozen(file: &str, now: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
    if !path.exists() && std::env::var_os("CATCHMENT_WRITE_GOLDEN").is_some() {
        fs::write(&path, format!("{now}\n")).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.trim_end().to_owned()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Holds an instance against the frozen files of a contract's version.
macro_rules! check {
    ($record:ident, $contract:literal, $instance:expr) => {
        check!($record, $contract, "v1", $instance)
    };
    ($record:ident, $contract:literal, $version:literal, $instance:expr) => {
        let instance: $record<'_> = $instance;
        let mut encoded = Vec::new();
        instance.encode(&mut encoded);
        let hex = frozen(concat!($contract, ".", $version, ".hex"), &to_hex(&encoded));
        assert_eq!(to_hex(&encoded), hex, "{} is written differently", $contract);
        let datum = from_hex(&hex);
        assert_eq!($record::decode(&datum).unwrap(), instance, "{} is read differently", $contract);

        let schema = Schema::parse_str(catalogue::find($contract).unwrap().schema).unwrap();
        let mut json = String::new();
        render::render_json(&schema, &datum, &mut json).unwrap();
        assert_eq!(
            json,
            frozen(concat!($contract, ".", $version, ".json"), &json),
            "{} is shown differently",
            $contract
        );
    };
}

#[test]
fn records_are_read_and_written_as_ever() {
    check!(CustomerEvent, "customer_event", "v2", common::customer_event());
    check!(CustomerProfile, "customer_profile", "v2", common::customer_profile());
    check!(NodeState, "node_state", "v2", common::node_state());
    check!(CampaignTrigger, "campaign_trigger", common::campaign_trigger());
    check!(CampaignDecision, "campaign_decision", common::campaign_decision());
    check!(CatalogItem, "catalog_item", "v2", common::catalog_item());
    check!(Watermark, "watermark", common::watermark());
    check!(InboxMessage, "inbox_message", common::inbox_message());
    check!(CustomerMerge, "customer_merge", common::customer_merge());
}

/// What the first version wrote of a product is an item without what came later, and its variants are as long as they were.
#[test]
fn the_first_version_of_a_product_is_read_by_its_own_schema() {
    let released = released::ALL[0].schema("catalog_item").unwrap();
    let [old, new] = [released, catalogue::CATALOG_ITEM.schema].map(|text| Schema::parse_str(text).unwrap());
    let datum = from_hex(&frozen("catalog_item.v1.hex", ""));
    let reader = GenericDatumReader::builder(&old).build().unwrap();
    let value = reader.read_value(&mut datum.as_slice()).unwrap().resolve(&new).unwrap();
    let bytes = GenericDatumWriter::builder(&new).build().unwrap().write_value_to_vec(value).unwrap();
    let mut expected = common::catalog_item();
    (expected.listed_at, expected.withdrawn_at) = (None, None);
    for variant in &mut expected.variants {
        (variant.colour, variant.currency, variant.availability) = (None, None, None);
    }
    assert_eq!(CatalogItem::decode(&bytes).unwrap(), expected);
}

/// What the first version wrote is a beginning of the second, whose new fields are all as if they were empty.
#[test]
fn the_first_version_of_a_node_is_the_second_without_its_end() {
    let datum = [from_hex(&frozen("node_state.v1.hex", "")), vec![0; 11]].concat();
    assert_eq!(NodeState::decode(&datum).unwrap(), common::ledger());
}
