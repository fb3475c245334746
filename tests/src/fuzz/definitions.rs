//! Files that people write: the configuration, models, campaigns, mappings.

use std::path::Path;

use catchment::config::{self, Document};
use catchment_domain::campaign::{Campaign, CampaignFile};
use catchment_domain::model::{Model, ModelFile};
use catchment_pipeline::ingest::foreign::{Foreign, MappingFile};

use super::{Target, choose, chosen, file};

/// A configuration, and after a zero byte one variable of the environment, as `NAME=value`.
pub(super) const CONFIG: Target = Target {
    name: "config",
    body: configuration,
    seeds: || {
        let full = file("deploy/examples/awesomeshoes/catchment.yaml");
        let with = |variable: &str| [&full, &[0][..], variable.as_bytes()].concat();
        vec![
            full.clone(),
            with("CATCHMENT__DEDUP__WINDOW=12h"),
            with("CATCHMENT__KAFKA__PROPERTIES={\"linger.ms\": 5}"),
            b"app: x\nsources: [{name: a, topic: &t b, mapping: segment, format: *t}]\n".to_vec(),
        ]
    },
    // The parser reads ahead, and each finding names the file.
    least: 1 << 20,
    per_byte: 4_096,
};

fn configuration(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let text = |part: Option<&[u8]>| std::str::from_utf8(part?).ok().map(str::to_owned);
    let Some(yaml) = text(parts.next()) else { return };
    let variable = text(parts.next()).and_then(|variable| {
        variable.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    });
    let path = Path::new("fuzz.yaml");
    let Ok(document) = Document::from_text(path, &yaml) else { return };
    if let Err(errors) = config::read(path, document, variable) {
        assert!(!errors.findings().is_empty() && !errors.to_string().is_empty());
    }
}

/// Campaigns, models and mappings.
pub(super) const FILES: Target = Target {
    name: "files",
    body: files,
    seeds: || {
        let campaigns = ["cart_abandoned", "early_access"];
        let campaigns =
            campaigns.map(|name| file(&format!("deploy/examples/awesomeshoes/campaigns/{name}.yaml")));
        let campaigns = campaigns.iter().map(|campaign| chosen(0, campaign));
        let model = chosen(1, &file("deploy/models/buys_again_90d/model.yaml"));
        let mappings = ["hubspot_webhook", "shopify_order", "shopify_refund", "shopify_product"];
        let mappings = mappings.map(|name| chosen(2, &file(&format!("deploy/mappings/{name}.yaml"))));
        campaigns.chain([model]).chain(mappings).collect()
    },
    least: 1 << 20,
    per_byte: 8_192,
};

fn files(input: &[u8]) {
    let Some((kind, text)) = choose(input, 3) else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(document) = Document::from_text(Path::new("fuzz.yaml"), text) else { return };
    if kind == 0 {
        let Ok(campaign) = document.parse::<CampaignFile>() else { return };
        if let Err(error) = Campaign::new(campaign, &["buys_again_90d"]) {
            assert!(!error.to_string().is_empty());
        }
    } else if kind == 2 {
        let Ok(mapping) = document.parse::<MappingFile>() else { return };
        match Foreign::new(&mapping) {
            Ok(mapping) => drop(mapping.bring(r#"{"id":1,"list":[{"a":"b"}]}"#)),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    } else {
        let Ok(model) = document.parse::<ModelFile>() else { return };
        if let Err(error) = Model::new(model) {
            assert!(!error.to_string().is_empty());
        }
    }
}
