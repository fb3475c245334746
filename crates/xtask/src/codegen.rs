//! Writes the Rust records of `crates/contracts/src/generated` from the Avro schemas of the hot contracts.
//!
//! The output is committed, so that a build needs no generator and a reviewer sees what a change of a schema
//! does to the code. `--check` compares instead of writing; a test does the same.

mod emit;
mod model;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Schemas whose records every event passes through. The others are read by the `apache-avro` crate.
const HOT: [&str; 9] = [
    "customer_event",
    "customer_profile",
    "node_state",
    "campaign_trigger",
    "campaign_decision",
    "catalog_item",
    "watermark",
    "inbox_message",
    "customer_merge",
];

/// Generates the records of the hot contracts of the workspace at `root`. With `check`, nothing is written,
/// and code that is not what would be generated is an error.
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let contracts = root.join("crates/contracts");
    let folder = contracts.join("src/generated");
    let mut files = Vec::new();
    for (name, text) in generate(&contracts.join("schemas"))? {
        files.push((name, format(root, &text)?));
    }
    let unexpected = unexpected_files(&folder, &files)?;
    if check {
        let mut stale: Vec<&str> = unexpected.iter().map(String::as_str).collect();
        for (name, text) in &files {
            if fs::read_to_string(folder.join(name)).unwrap_or_default() != *text {
                stale.push(name);
            }
        }
        if !stale.is_empty() {
            bail!("{} is stale in {}: run `cargo xtask codegen`", folder.display(), stale.join(", "));
        }
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    for name in unexpected {
        fs::remove_file(folder.join(name))?;
    }
    for (name, text) in files {
        // An unchanged file keeps its time, so that cargo does not build again for nothing.
        if fs::read_to_string(folder.join(&name)).unwrap_or_default() != text {
            fs::write(folder.join(&name), text).with_context(|| format!("cannot write {name}"))?;
        }
    }
    Ok(())
}

/// The generated files, by name, before formatting.
fn generate(schemas: &Path) -> Result<Vec<(String, String)>> {
    let mut model = model::Model::default();
    for name in HOT {
        let path = schemas.join(format!("{name}.avsc"));
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let json = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
        model.add(name, &json).with_context(|| format!("{} can't be generated", path.display()))?;
    }
    emit::files(&model)
}

/// Names of files in the folder that no schema generates any more.
fn unexpected_files(folder: &Path, files: &[(String, String)]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if folder.exists() {
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !files.iter().any(|(file, _)| *file == name) {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Runs `rustfmt` with the workspace's settings.
fn format(root: &Path, text: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run rustfmt (rustup component add rustfmt)")?;
    let mut stdin = child.stdin.take().context("rustfmt has no input")?;
    // rustfmt reads everything before it writes, so this can't block on a full output pipe.
    stdin.write_all(text.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refused generated code");
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn generated_code_is_current() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        run(&root, true).unwrap();
    }

    /// What the generator says of two schemas that each hold these fields.
    fn generate_two(first: &serde_json::Value, second: &serde_json::Value) -> Result<()> {
        let mut model = model::Model::default();
        for (name, field_type) in [("first", first), ("second", second)] {
            let record = json!({"type": "record", "name": name, "doc": "A record.", "fields": [
                {"name": "field", "doc": "A field.", "unit": "none", "pii": "none", "type": field_type}
            ]});
            model.add(name, &record)?;
        }
        emit::files(&model).map(|_| ())
    }

    #[test]
    fn one_name_with_two_definitions_is_refused() {
        let one = json!({"type": "enum", "name": "Colour", "doc": "A colour.", "symbols": ["red"]});
        let other = json!({"type": "enum", "name": "Colour", "doc": "A colour.", "symbols": ["blue"]});
        generate_two(&one, &one).unwrap();
        assert!(generate_two(&one, &other).is_err());
    }

    #[test]
    fn what_can_not_be_generated_is_refused() {
        let empty = json!({"type": "record", "name": "Empty", "doc": "Nothing.", "fields": []});
        for bad in [
            json!("Unknown"),
            json!(["string", "null"]),
            json!(["null", "string", "long"]),
            json!({"type": "map", "values": "string"}),
            json!({"type": "array", "items": empty}),
        ] {
            assert!(generate_two(&bad, &json!("string")).is_err(), "{bad}");
        }
    }
}
