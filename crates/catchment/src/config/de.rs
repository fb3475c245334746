//! Typed values out of a document's tree, with errors that know their place.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer as _, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::fault;
use super::node::{Entry, Node, Step, Value};

/// Why a tree is not of the type asked for.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// Way to the value at fault, the last step first while the error travels up.
    pub(crate) path: Vec<Step>,
}

#[derive(Debug)]
pub(crate) enum FaultKind {
    UnknownKey { key: String, message: String },
    Missing { key: String },
    Other { message: String },
}

impl Fault {
    fn other(message: String) -> Self {
        Fault { kind: FaultKind::Other { message }, path: Vec::new() }
    }

    fn inside(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FaultKind::Missing { key } => write!(f, "`{key}` is missing"),
            FaultKind::UnknownKey { message, .. } | FaultKind::Other { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::other(message.to_string())
    }

    fn invalid_type(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let numeric = matches!(got, Unexpected::Unsigned(_) | Unexpected::Signed(_));
        Fault::other(format!("expected {}, got {}", expected_text(expected, numeric), got_text(got)))
    }

    fn invalid_value(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(got, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Fault::other(format!("expected {}, got {length} entries", expected_text(expected, false)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Fault::other(fault::unknown_choice(variant, expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Fault {
            kind: FaultKind::UnknownKey {
                key: field.to_owned(),
                message: fault::unknown_key(field, expected),
            },
            path: Vec::new(),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Fault { kind: FaultKind::Missing { key: field.to_owned() }, path: Vec::new() }
    }
}

/// Serde's words for what a Rust type wants, in a YAML author's words.
fn expected_text(expected: &dyn Expected, numeric: bool) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" if !numeric => {
            "a whole number".to_owned()
        }
        "u8" => whole(0, i128::from(u8::MAX)),
        "u16" => whole(0, i128::from(u16::MAX)),
        "u32" => whole(0, i128::from(u32::MAX)),
        "u64" | "usize" => whole(0, i128::from(u64::MAX)),
        "i8" => whole(i128::from(i8::MIN), i128::from(i8::MAX)),
        "i16" => whole(i128::from(i16::MIN), i128::from(i16::MAX)),
        "i32" => whole(i128::from(i32::MIN), i128::from(i32::MAX)),
        "i64" | "isize" => whole(i128::from(i64::MIN), i128::from(i64::MAX)),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a string" | "a borrowed string" | "path string" => "a text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "keys with values".to_owned(),
        text if text.starts_with("struct ") => "keys with values".to_owned(),
        text => text.to_owned(),
    }
}

fn whole(least: i128, most: i128) -> String {
    format!("a whole number from {least} to {most}")
}

fn got_text(got: Unexpected<'_>) -> String {
    match got {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Str(text) => format!("the text `{text}`"),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "keys with values".to_owned(),
        other => other.to_string(),
    }
}

impl Node {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Integer(value) => match u64::try_from(*value) {
                Ok(value) => Unexpected::Unsigned(value),
                Err(_) => {
                    i64::try_from(*value).map_or(Unexpected::Other("a huge number"), Unexpected::Signed)
                }
            },
            Value::Float(value) => Unexpected::Float(*value),
            Value::Text(text) => Unexpected::Str(text),
            Value::List(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
        }
    }

    fn is_variable(&self) -> bool {
        matches!(self.origin, fault::Origin::Variable(_))
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Value::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            // A shell has no way of saying that digits are a text.
            Value::Integer(value) if self.is_variable() => visitor.visit_string(value.to_string()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Map(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Variant { entry }),
                _ => Err(Fault::other(format!(
                    "expected exactly one of the keys {}, got {} keys",
                    fault::listed(variants.iter().copied()),
                    entries.len()
                ))),
            },
            _ => Err(Fault::other(format!(
                "expected one of {}, got {}",
                fault::listed(variants.iter().copied()),
                got_text(self.unexpected())
            ))),
        }
    }

    /// Serde would read a list as the fields in their order; nobody means that in YAML.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Map(_) => self.deserialize_any(visitor),
            _ => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct map
        identifier
    }
}

struct Items<'de> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        match self.items.find(|(_, item)| !item.faulty) {
            None => Ok(None),
            Some((index, item)) => {
                seed.deserialize(item).map(Some).map_err(|fault| fault.inside(Step::Index(index)))
            }
        }
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, Entry>,
    value: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.value = self.entries.find(|entry| !entry.value.faulty);
        self.value
            .map(|entry| {
                let key: StrDeserializer<'de, Fault> = entry.key.as_str().into_deserializer();
                seed.deserialize(key).map_err(|fault| match fault.kind {
                    // The map is at fault, for having the key.
                    FaultKind::UnknownKey { .. } => fault,
                    FaultKind::Missing { .. } | FaultKind::Other { .. } => {
                        fault.inside(Step::Key(entry.key.clone()))
                    }
                })
            })
            .transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let Some(entry) = self.value.take() else {
            return Err(Fault::other("a value was asked for before its key".to_owned()));
        };
        seed.deserialize(&entry.value).map_err(|fault| fault.inside(Step::Key(entry.key.clone())))
    }
}

/// `variant: value`
struct Variant<'de> {
    entry: &'de Entry,
}

impl Variant<'_> {
    fn inside(&self, fault: Fault) -> Fault {
        fault.inside(Step::Key(self.entry.key.clone()))
    }
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let key: StrDeserializer<'de, Fault> = self.entry.key.as_str().into_deserializer();
        let name = seed.deserialize(key).map_err(|fault| self.inside(fault))?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.entry.value.value {
            Value::Null => Ok(()),
            _ => Err(self.inside(Fault::other(format!("`{}` takes no value", self.entry.key)))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(&self.entry.value).map_err(|fault| self.inside(fault))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.entry.value.deserialize_any(visitor).map_err(|fault| self.inside(fault))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.entry.value.deserialize_any(visitor).map_err(|fault| self.inside(fault))
    }
}
