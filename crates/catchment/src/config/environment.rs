//! Environment variables that override keys: `CATCHMENT__BATCH__MAX_RECORDS=5` for `batch.max_records: 5`.

use std::sync::Arc;

use super::document::Document;
use super::fault::{ConfigError, Origin, nearest};
use super::keys::{Key, Kind};
use super::node::{self, Entry, Node, Value};

/// What every variable that overrides a key begins with.
pub const PREFIX: &str = "CATCHMENT__";

/// Names of the variables that override the keys, in the order of the table. What is in a list has none: lists are
/// reviewed in the file.
pub(crate) fn variables(keys: &[Key], prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for key in keys {
        let name = format!("{prefix}{}", key.name.to_uppercase());
        match key.kind {
            Kind::Section(inner) => names.extend(variables(inner, &format!("{name}__"))),
            Kind::Sections(_) => {}
            _ => names.push(name),
        }
    }
    names
}

/// Puts the values of the variables into the document. Others than those that begin with the prefix are none of ours.
pub(crate) fn apply(
    document: &mut Document,
    keys: &[Key],
    env: impl IntoIterator<Item = (String, String)>,
    findings: &mut Vec<ConfigError>,
) {
    let mut overrides: Vec<(String, String)> =
        env.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    // The environment has no order; findings should have one.
    overrides.sort();
    for (name, text) in overrides {
        let variable: Arc<str> = Arc::from(name.as_str());
        if let Err(message) = set(document, keys, &variable, &text) {
            findings.push(document.finding(Origin::Variable(variable), message));
        }
    }
}

fn set(document: &mut Document, keys: &[Key], variable: &Arc<str>, text: &str) -> Result<(), String> {
    let known = variables(keys, PREFIX);
    if !known.iter().any(|name| **name == **variable) {
        let hint = match nearest(variable, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "the reference of the configuration lists the names".to_owned(),
        };
        return Err(format!("this environment variable overrides no key: {hint}"));
    }
    let mut value = node::parse(text).map_err(|(_, message)| message)?;
    if text.trim().is_empty() {
        value.value = Value::Null;
    }
    value.set_variable(variable);
    let path: Vec<String> = variable[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
    insert(&mut document.root, &path, value);
    Ok(())
}

/// Puts a value at a path, with the sections on the way. A section that is something else in the file stays what it
/// is, to be reported as that.
fn insert(node: &mut Node, path: &[String], value: Node) {
    let Some((key, rest)) = path.split_first() else {
        *node = value;
        return;
    };
    if matches!(node.value, Value::Null) {
        node.value = Value::Map(Vec::new());
    }
    let Value::Map(entries) = &mut node.value else {
        return;
    };
    let index = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
        entries.push(Entry {
            key: key.clone(),
            origin: value.origin.clone(),
            value: Node::new(Value::Null, value.origin.clone()),
        });
        entries.len() - 1
    });
    insert(&mut entries[index].value, rest, value);
}
