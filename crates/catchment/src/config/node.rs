//! A YAML document as a tree that remembers where each value was written.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::fault::Origin;

/// A value of a document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    /// Something is wrong with it and has been reported: it is left out of what is read after that, so that the
    /// next mistake can be found.
    pub(crate) faulty: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) origin: Origin,
    pub(crate) value: Node,
}

/// A step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// `sources[0].mapping`
pub(crate) fn path_text(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(index) => {
                text.push('[');
                text.push_str(&index.to_string());
                text.push(']');
            }
        }
    }
    text
}

/// Reads what [`path_text`] writes. What is no index in brackets counts as part of a key.
pub(crate) fn parse_path(text: &str) -> Vec<Step> {
    let mut path = Vec::new();
    for part in text.split('.').filter(|part| !part.is_empty()) {
        let (key, indexes) = part.split_once('[').unwrap_or((part, ""));
        if !key.is_empty() {
            path.push(Step::Key(key.to_owned()));
        }
        let indexes = indexes.split('[').filter_map(|text| text.strip_suffix(']')?.parse().ok());
        path.extend(indexes.map(Step::Index));
    }
    path
}

impl Node {
    pub(crate) fn new(value: Value, origin: Origin) -> Self {
        Node { value, origin, faulty: false }
    }

    /// The entry of that key, if this is a map that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    pub(crate) fn get(&self, path: &[Step]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| match (step, &node.value) {
            (Step::Key(key), _) => node.entry(key).map(|entry| &entry.value),
            (Step::Index(index), Value::List(items)) => items.get(*index),
            (Step::Index(_), _) => None,
        })
    }

    pub(crate) fn get_mut(&mut self, path: &[Step]) -> Option<&mut Node> {
        path.iter().try_fold(self, |node, step| match (step, &mut node.value) {
            (Step::Key(key), Value::Map(entries)) => {
                entries.iter_mut().find(|entry| entry.key == *key).map(|entry| &mut entry.value)
            }
            (Step::Index(index), Value::List(items)) => items.get_mut(*index),
            _ => None,
        })
    }

    /// Where the deepest value on the way to `path` was written; the key's place for the last step of a map.
    pub(crate) fn origin_of(&self, path: &[Step]) -> Origin {
        let mut node = self;
        let mut origin = self.origin.clone();
        for step in path {
            match (step, &node.value) {
                (Step::Key(key), Value::Map(entries)) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == *key) else {
                        return origin;
                    };
                    origin = entry.origin.clone();
                    node = &entry.value;
                }
                (Step::Index(index), Value::List(items)) => {
                    let Some(item) = items.get(*index) else {
                        return origin;
                    };
                    origin = item.origin.clone();
                    node = item;
                }
                _ => return origin,
            }
        }
        origin
    }

    /// Says of the value and all in it that it came from an environment variable.
    pub(crate) fn set_variable(&mut self, name: &Arc<str>) {
        self.origin = Origin::Variable(Arc::clone(name));
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.set_variable(name)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.origin = Origin::Variable(Arc::clone(name));
                    entry.value.set_variable(name);
                }
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {}
        }
    }
}

/// Reads a YAML text.
pub(crate) fn parse(text: &str) -> Result<Node, (Origin, String)> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // `NO` is Norway.
        strict_booleans: true,
    };
    match serde_saphyr::from_str_with_options::<Option<Spanned<Value>>>(text, options) {
        Ok(Some(spanned)) => Ok(of_spanned(spanned)),
        // An empty file is a file without keys.
        Ok(None) => Ok(Node::new(Value::Map(Vec::new()), Origin::FILE)),
        Err(error) => {
            let origin = error
                .location()
                .map_or(Origin::FILE, |at| Origin::Place { line: at.line(), column: at.column() });
            Err((origin, message_of(&error)))
        }
    }
}

/// The error's own words in one line, without its ending "at line 3, column 4": the place stands before it already.
fn message_of(error: &serde_saphyr::Error) -> String {
    if let serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } = error.without_snippet() {
        return format!("the key `{key}` is there twice");
    }
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.split(" at line ").next().unwrap_or(text);
    format!("not valid YAML: {}", text.strip_prefix("error: ").unwrap_or(text))
}

fn of_spanned(spanned: Spanned<Value>) -> Node {
    let at = spanned.referenced;
    let origin = Origin::Place { line: at.line(), column: at.column() };
    Node::new(spanned.value, origin)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Spanned<Value>>()? {
            items.push(of_spanned(item));
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let at = key.referenced;
            entries.push(Entry {
                key: key.value,
                origin: Origin::Place { line: at.line(), column: at.column() },
                value: of_spanned(map.next_value()?),
            });
        }
        Ok(Value::Map(entries))
    }
}
