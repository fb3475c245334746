//! Finds the values that a mapping names, in one pass over a text.

use crate::ingest::json::{Fault, Json, Kind};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// Which values are looked for, by path.
#[derive(Debug, Default)]
pub(super) struct Finder {
    top: Node,
    /// The paths, by slot.
    paths: Vec<String>,
}

#[derive(Debug, Default)]
struct Node {
    /// Where the value goes, if somebody wants it whole.
    slot: Option<usize>,
    children: Vec<(String, Node)>,
}

/// What was found, by slot.
#[derive(Debug)]
pub(super) struct Found<'a> {
    values: Vec<Json<'a>>,
    /// The text could not be read to its end: of a name that is half a character, for one.
    pub(super) is_broken: bool,
}

impl<'a> Found<'a> {
    pub(super) fn get(&self, slot: usize) -> Json<'a> {
        self.values.get(slot).copied().unwrap_or_default()
    }
}

impl Finder {
    /// The slot of a path; no names are the value itself.
    pub(super) fn slot(&mut self, path: &str, names: &[&str]) -> usize {
        if let Some(known) = self.paths.iter().position(|known| known == path) {
            return known;
        }
        let slot = self.paths.len();
        self.paths.push(path.to_owned());
        let mut node = &mut self.top;
        for name in names {
            let place = node.children.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                node.children.push(((*name).to_owned(), Node::default()));
                node.children.len() - 1
            });
            node = &mut node.children[place].1;
        }
        node.slot = Some(slot);
        slot
    }

    /// The path of a slot.
    pub(super) fn path(&self, slot: usize) -> &str {
        self.paths.get(slot).map_or("", String::as_str)
    }

    /// Takes a whole text apart, if it is an object in which all that is gone into is one: in one pass. Else nothing is known of
    /// it, not even that it is JSON.
    pub(super) fn find_in_text<'a>(&self, text: &'a str) -> Option<Found<'a>> {
        let mut found = vec![Json::default(); self.paths.len()];
        let mut input = serde_json::Deserializer::from_str(text);
        if self.top.slot.is_some() {
            return None;
        }
        Into { node: &self.top, found: &mut found }.deserialize(&mut input).ok()?;
        input.end().ok()?;
        Some(Found { values: found, is_broken: false })
    }

    pub(super) fn find<'a>(&self, value: Json<'a>) -> Found<'a> {
        let mut found = vec![Json::default(); self.paths.len()];
        let mut input = serde_json::Deserializer::from_str(value.raw());
        let quick = self.top.slot.is_none() && value.kind() == Kind::Object;
        if quick && (Into { node: &self.top, found: &mut found }).deserialize(&mut input).is_ok() {
            return Found { values: found, is_broken: false };
        }
        // Something is no object where one was expected: every value is looked at by itself.
        found.fill(Json::default());
        let is_broken = self.top.take(value, &mut found).is_err();
        Found { values: found, is_broken }
    }
}

/// A text that can't be read to its end.
#[derive(Clone, Copy)]
struct Broken;

impl Node {
    fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    /// As [`Into`], whatever the value is.
    fn take<'a>(&self, value: Json<'a>, found: &mut [Json<'a>]) -> Result<(), Broken> {
        if let Some(slot) = self.slot.and_then(|slot| found.get_mut(slot)) {
            *slot = value;
        }
        if self.children.is_empty() {
            return Ok(());
        }
        let mut inner = Ok(());
        let entries = value.entries(|name, value| {
            if let Some(child) = self.child(&name) {
                child.forget(found);
                inner = inner.and(child.take(value, found));
            }
        });
        let mut place = 0usize;
        let elements = value.elements(|value| {
            if let Some(child) = self.child(&place.to_string()) {
                inner = inner.and(child.take(value, found));
            }
            place += 1;
        });
        if entries == Err(Fault::Broken) || elements == Err(Fault::Broken) { Err(Broken) } else { inner }
    }

    /// Of two fields of one name the last counts: nothing of the one before is left.
    fn forget(&self, found: &mut [Json<'_>]) {
        for (_, child) in &self.children {
            if let Some(slot) = child.slot.and_then(|slot| found.get_mut(slot)) {
                *slot = Json::default();
            }
            child.forget(found);
        }
    }
}

/// Takes an object apart, in which all that is gone into is an object.
struct Into<'n, 'f, 'de> {
    node: &'n Node,
    found: &'f mut [Json<'de>],
}

impl<'de> DeserializeSeed<'de> for Into<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        match self.node.slot {
            // Wanted whole, and perhaps in parts.
            Some(_) => {
                let value = serde::Deserialize::deserialize(input)?;
                self.node.take(value, self.found).map_err(|_| serde::de::Error::custom("broken"))
            }
            None => input.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Into<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(child) = map.next_key_seed(Child(self.node))? {
            match child {
                Some(node) => {
                    node.forget(self.found);
                    map.next_value_seed(Into { node, found: &mut *self.found })?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The child of a name.
struct Child<'n>(&'n Node);

impl<'n, 'de> DeserializeSeed<'de> for Child<'n> {
    type Value = Option<&'n Node>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for Child<'n> {
    type Value = Option<&'n Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.child(name))
    }
}
