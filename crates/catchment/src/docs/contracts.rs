//! `docs/contracts.md`: every contract, field by field.

use std::fmt::Write as _;

use catchment_contracts::catalogue::{self, Contract};

use super::{code, sentence, table};

/// Where the schemas lie, from `docs/`.
const SCHEMAS: &str = "../crates/contracts/schemas";

pub(super) fn list() -> anyhow::Result<String> {
    let rows = catalogue::ALL.into_iter().map(|contract| {
        let name = contract.name;
        let mut files = vec![format!("[Avro]({SCHEMAS}/{name}.avsc)")];
        files.extend(
            contract
                .json_forms
                .iter()
                .map(|form| format!("[JSON: {name}]({SCHEMAS}/json/{name}.schema.json)", name = form.name)),
        );
        [
            format!("[`{name}`](#{name})"),
            contract.topic.map_or_else(String::new, code),
            contract.direction.to_string(),
            contract.version.to_string(),
            code(contract.compatibility().as_str()),
            files.join(", "),
        ]
    });
    Ok(table(["contract", "topic", "direction", "version", "compatibility", "schemas"], rows))
}

pub(super) fn fields() -> anyhow::Result<String> {
    let mut text = String::new();
    for contract in catalogue::ALL {
        section(&mut text, contract)?;
    }
    Ok(text)
}

fn section(text: &mut String, contract: &Contract) -> anyhow::Result<()> {
    let schema: serde_json::Value = serde_json::from_str(contract.schema)?;
    let about = sentence(schema["doc"].as_str().unwrap_or_default());
    let topic = match (contract.topic, contract.subject()) {
        (Some(topic), Some(subject)) => format!("topic `{topic}`, subject `{subject}`"),
        _ => "no topic of its own".to_owned(),
    };
    let _ = write!(
        text,
        "## {}\n\n{about}\nVersion {}, {}, {topic}.\n\n",
        contract.name, contract.version, contract.direction
    );
    let rows = contract.fields()?.into_iter().map(|field| {
        let required = if field.required { "yes" } else { "no" };
        [code(&field.path), field.ty, field.unit, required.to_owned(), field.pii, field.freshness, field.doc]
    });
    text.push_str(&table(["field", "type", "unit", "required", "pii", "freshness", "meaning"], rows));
    text.push('\n');
    Ok(())
}
