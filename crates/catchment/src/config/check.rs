//! What the types can't say: ranges, names, files that must be there.

use std::collections::HashMap;
use std::path::Path;

use catchment_connectors::kafka::Properties;

use super::document::{Document, plain};
use super::fault::{ConfigError, Origin};
use super::keys::{Key, Kind, Rule};
use super::node::{Node, Step, Value, path_text};
use super::units::{Size, Span};

/// A value at fault, and what is wrong with it.
struct Wrong {
    path: Vec<Step>,
    origin: Origin,
    message: String,
}

/// Holds a document against the table of keys. What breaks a rule is recorded and left out of what is read later.
/// Unknown keys and wrong types are no business of this pass.
pub(crate) fn check(document: &mut Document, keys: &[Key], findings: &mut Vec<ConfigError>) {
    let directory = document.file.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut pass = Pass { directory: &directory, wrong: Vec::new() };
    pass.section(&document.root, keys, &mut Vec::new());
    for wrong in pass.wrong {
        let message = format!("`{}`: {}", path_text(&wrong.path), wrong.message);
        findings.push(document.finding(wrong.origin, message));
        if let Some(node) = document.root.get_mut(&wrong.path) {
            node.faulty = true;
        }
    }
}

/// A property of the Kafka client that stands both as a text and as a file has two values.
pub(crate) fn properties_once(document: &Document, findings: &mut Vec<ConfigError>) {
    let at = |key: &str| [Step::Key("kafka".to_owned()), Step::Key(key.to_owned())];
    let [texts, files] = ["properties", "secret_files"].map(|key| document.root.get(&at(key)));
    let (Some(texts), Some(Value::Map(files))) = (texts, files.map(|node| &node.value)) else { return };
    for file in files.iter().filter(|file| texts.entry(&file.key).is_some()) {
        let message = format!("`kafka.secret_files.{}`: stands in `kafka.properties`, too", file.key);
        findings.push(document.finding(file.value.origin.clone(), message));
    }
}

struct Pass<'a> {
    directory: &'a Path,
    wrong: Vec<Wrong>,
}

impl Pass<'_> {
    fn section(&mut self, node: &Node, keys: &[Key], path: &mut Vec<Step>) {
        for key in keys {
            if let Some(entry) = node.entry(key.name) {
                path.push(Step::Key(key.name.to_owned()));
                self.value(&entry.value, &key.kind, path);
                path.pop();
            }
        }
    }

    fn value(&mut self, node: &Node, kind: &Kind, path: &mut Vec<Step>) {
        match (kind, &node.value) {
            (Kind::Section(keys), _) => self.section(node, keys, path),
            (Kind::Sections(_), Value::List(items)) if items.is_empty() => {
                self.note(node, path, "expected at least one entry, got none".to_owned());
            }
            (Kind::Sections(keys), Value::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    self.section(item, keys, path);
                    path.pop();
                }
                self.unique(items, keys, path);
            }
            (Kind::Text(rule), Value::Text(text)) if !(rule.holds)(text) => {
                self.note(node, path, format!("expected {}, got the text `{text}`", rule.expected));
            }
            (Kind::FieldPath, Value::Text(text)) if text.split('.').any(str::is_empty) => {
                let message = format!(
                    "expected the path of a field, such as `context.receivedAt`, got the text `{text}`"
                );
                self.note(node, path, message);
            }
            (Kind::Integer { least, most }, Value::Integer(number))
                if !(i128::from(*least)..=i128::from(*most)).contains(number) =>
            {
                let message =
                    format!("expected a whole number from {least} to {most}, got the number {number}");
                self.note(node, path, message);
            }
            (Kind::Size { least, most }, _) => {
                let size = match &node.value {
                    Value::Integer(bytes) => u64::try_from(*bytes).ok().map(Size),
                    Value::Text(text) => text.parse().ok(),
                    _ => None,
                };
                self.range(node, path, "a size", size, (*least, *most));
            }
            (Kind::Span { least, most }, Value::Text(text)) => {
                self.range(node, path, "a length of time", text.parse::<Span>().ok(), (*least, *most));
            }
            (Kind::File, Value::Text(file)) => self.file(node, file, path),
            (Kind::Files, Value::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    if let Value::Text(file) = &item.value {
                        self.file(item, file, path);
                    }
                    path.pop();
                }
            }
            (Kind::Properties, Value::Map(entries)) => {
                for entry in entries {
                    self.property(&entry.value, &entry.key, path);
                }
            }
            (Kind::PropertyFiles, Value::Map(entries)) => {
                for entry in entries {
                    self.property(&entry.value, &entry.key, path);
                    path.push(Step::Key(entry.key.clone()));
                    if let Value::Text(file) = &entry.value.value {
                        self.file(&entry.value, file, path);
                    }
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// A property of the Kafka client that a user must not set would be found only when a client is made.
    fn property(&mut self, node: &Node, name: &str, path: &mut Vec<Step>) {
        if let Some(reason) = Properties::refusal(name) {
            path.push(Step::Key(name.to_owned()));
            self.note(node, path, format!("can't be set: {reason}"));
            path.pop();
        }
    }

    /// What is no quantity at all (`None`) is a matter of types.
    fn range<T: PartialOrd + std::fmt::Display>(
        &mut self,
        node: &Node,
        path: &[Step],
        what: &str,
        value: Option<T>,
        (least, most): (T, T),
    ) {
        let Some(value) = value.filter(|value| *value < least || *value > most) else {
            return;
        };
        // As it stands in the file, so that it is found there.
        let got = match &node.value {
            Value::Text(text) => text.clone(),
            _ => value.to_string(),
        };
        self.note(node, path, format!("expected {what} from {least} to {most}, got {got}"));
    }

    fn file(&mut self, node: &Node, file: &str, path: &[Step]) {
        match std::fs::metadata(self.directory.join(file)) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => self.note(node, path, format!("`{file}` is not a file")),
            Err(error) => self.note(node, path, format!("`{file}` can't be read: {}", plain(&error))),
        }
    }

    fn unique(&mut self, items: &[Node], keys: &[Key], path: &mut Vec<Step>) {
        for key in keys {
            let Kind::Text(Rule { unique: true, .. }) = key.kind else {
                continue;
            };
            let mut first: HashMap<&str, usize> = HashMap::new();
            for (index, item) in items.iter().enumerate() {
                let Some(entry) = item.entry(key.name) else {
                    continue;
                };
                let Value::Text(text) = &entry.value.value else {
                    continue;
                };
                if let Some(before) = first.get(text.as_str()) {
                    path.extend([Step::Index(index), Step::Key(key.name.to_owned())]);
                    let before = items[*before].origin.clone();
                    let place = match before {
                        Origin::Place { line, .. } => format!("line {line}"),
                        Origin::Variable(name) => name.to_string(),
                    };
                    self.note(
                        &entry.value,
                        path,
                        format!("`{text}` is the name of the entry at {place} already"),
                    );
                    path.truncate(path.len() - 2);
                } else {
                    first.insert(text, index);
                }
            }
        }
    }

    fn note(&mut self, node: &Node, path: &[Step], message: String) {
        self.wrong.push(Wrong { path: path.to_vec(), origin: node.origin.clone(), message });
    }
}
