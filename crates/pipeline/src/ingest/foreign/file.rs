//! How a mapping is written down.

use crate::ingest::source::Mapping;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// A mapping, as its file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingFile {
    /// Its name.
    pub name: String,
    /// The form that it maps to: `segment`, `contact` or `catalog`.
    pub to: Mapping,
    /// What must hold of a payload. One of which it does not hold says nothing: it is passed over and counted.
    #[serde(default)]
    pub only_if: Conditions,
    /// The list of which each element is a record by itself: a path. Paths in `fields` are then from the element on.
    pub each: Option<String>,
    /// What must hold of an element. One of which it does not hold is passed over.
    #[serde(default, rename = "where")]
    pub elements: Conditions,
    /// Fields of the form, by name; a dot leads into an object.
    pub fields: Fields,
}

/// Fields by name.
pub type Fields = BTreeMap<String, Rules>;

/// What is asked of values, by path; all of it must hold.
pub type Conditions = BTreeMap<String, Wanted>;

/// What is asked of a value.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// It is there and not null, or it is not.
    Presence(Presence),
    /// It is one of these, or a list that has one of them.
    Words(Vec<Word>),
    /// It is this, or a list that has it.
    Word(Word),
}

/// Whether a value must be there.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// It is there and not null, or it is not.
    pub present: bool,
}

/// A value that can be written in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Whole(i64),
    /// A text.
    Text(String),
}

impl Word {
    /// The text of it, by which values are compared.
    pub(super) fn text(&self) -> String {
        match self {
            Word::Boolean(value) => value.to_string(),
            Word::Whole(value) => value.to_string(),
            Word::Text(text) => text.clone(),
        }
    }

    /// As JSON.
    pub(super) fn json(&self) -> String {
        match self {
            Word::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Word::Boolean(_) | Word::Whole(_) => self.text(),
        }
    }
}

/// One rule for a field, or several of which the first counts that gives a value.
#[derive(Clone, Debug)]
pub enum Rules {
    /// Where the value stands.
    Path(String),
    /// Several.
    Several(Vec<Rule>),
    /// One, in full.
    One(Box<Rule>),
}

/// Where the value of a field comes from: one of `path`, `const`, `join`, `cel`, `each`, `sum`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// It stands there.
    pub path: Option<String>,
    /// It is always this.
    #[serde(rename = "const")]
    pub constant: Option<Word>,
    /// It is these texts and numbers, with a stroke between them. What begins with `=` stands for itself; of the others each is a path,
    /// and if one of them gives nothing, the field has no value.
    pub join: Option<Vec<String>>,
    /// It is what this formula gives: CEL, with the names of the element's own fields as variables.
    pub cel: Option<String>,
    /// It is a list, of an object with `fields` for each element of the list there.
    pub each: Option<String>,
    /// Fields of those objects.
    pub fields: Option<Fields>,
    /// It is the sum of amounts, exactly as they are written.
    pub sum: Option<Sum>,
    /// What it is made into.
    #[serde(rename = "as")]
    pub kind: Option<As>,
    /// What it is, by what stands there. What is not listed gives no value.
    pub words: Option<BTreeMap<String, Word>>,
    /// What deletes the trait: null is written as null, and so is an empty text. Else null gives no value.
    pub deletes: Option<Deletes>,
    /// When the rule applies.
    #[serde(default)]
    pub when: Conditions,
}

/// A sum of amounts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sum {
    /// The list.
    pub each: String,
    /// The amount in each element: a number, or a text that spells one.
    pub path: String,
    /// Which elements count.
    #[serde(default)]
    pub when: Conditions,
}

/// What a value is made into.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum As {
    /// A text; of a number its digits.
    Text,
    /// A number; of a text that spells one, that number.
    Number,
    /// True or false, also where they are written as text.
    Boolean,
    /// A time, from seconds since 1970.
    Seconds,
    /// A time, from milliseconds since 1970.
    Millis,
    /// A time, from microseconds since 1970.
    Micros,
}

/// What deletes a trait.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Deletes {
    /// Null.
    Null,
    /// Null, and an empty text.
    NullOrEmpty,
}

/// Reads what may be written in several ways by what stands there, so that a mistake is named where it is. (An untagged enum would say
/// only that nothing fits.)
macro_rules! read_by_kind {
    ($de:lifetime $name:ident, $expecting:literal: $($visit:tt)*) => {
        impl<$de> Deserialize<$de> for $name {
            fn deserialize<D: Deserializer<$de>>(input: D) -> Result<Self, D::Error> {
                struct ByKind;
                impl<$de> Visitor<$de> for ByKind {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    $($visit)*
                }
                input.deserialize_any(ByKind)
            }
        }
    };
}

read_by_kind! {
    'de Word, "true, false, a whole number or a text":
    fn visit_bool<E>(self, value: bool) -> Result<Word, E> {
        Ok(Word::Boolean(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Word, E> {
        Ok(Word::Whole(value))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Word, E> {
        i64::try_from(value).map(Word::Whole).map_err(|_| E::custom("the number is too large"))
    }
    fn visit_str<E>(self, text: &str) -> Result<Word, E> {
        Ok(Word::Text(text.to_owned()))
    }
}

read_by_kind! {
    'de Wanted, "a value, a list of values, or {present: true}":
    fn visit_bool<E>(self, value: bool) -> Result<Wanted, E> {
        Ok(Wanted::Word(Word::Boolean(value)))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Wanted, E> {
        Ok(Wanted::Word(Word::Whole(value)))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Wanted, E> {
        let value = i64::try_from(value).map_err(|_| E::custom("the number is too large"))?;
        Ok(Wanted::Word(Word::Whole(value)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Wanted, E> {
        Ok(Wanted::Word(Word::Text(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Wanted, A::Error> {
        Deserialize::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Wanted::Words)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Wanted, A::Error> {
        Deserialize::deserialize(de::value::MapAccessDeserializer::new(map)).map(Wanted::Presence)
    }
}

read_by_kind! {
    'de Rules, "a path, a rule, or a list of rules":
    fn visit_str<E>(self, path: &str) -> Result<Rules, E> {
        Ok(Rules::Path(path.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Rules, A::Error> {
        Deserialize::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Rules::Several)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rules, A::Error> {
        let rule = Deserialize::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Rules::One(Box::new(rule)))
    }
}
