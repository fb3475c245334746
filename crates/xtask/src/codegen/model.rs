//! The part of Avro's schema language that is generated: what a schema says, checked and by name.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// A type of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    String,
    Bytes,
    Long,
    Int,
    Boolean,
    Double,
    /// A record, enum or fixed, by name.
    Named(String),
    Array(Box<Type>),
    /// A union of null and the type, in this order.
    Option(Box<Type>),
}

/// A field of a record.
#[derive(Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) unit: String,
    pub(super) pii: String,
    pub(super) ty: Type,
}

/// What a name stands for.
#[derive(Debug, PartialEq)]
pub(super) enum Body {
    Record(Vec<Field>),
    Enum(Vec<String>),
    Fixed(usize),
}

/// A named type.
#[derive(Debug, PartialEq)]
pub(super) struct Definition {
    pub(super) doc: String,
    pub(super) body: Body,
}

/// All named types of all schemas.
#[derive(Default)]
pub(super) struct Model {
    /// Schemas in the order they were added.
    pub(super) schemas: Vec<String>,
    /// Names in the order of their first definition, with the schemas that define them.
    pub(super) names: Vec<(String, Vec<String>)>,
    definitions: BTreeMap<String, Definition>,
}

impl Model {
    /// Adds the schema of a file. A name that another schema has already must mean the same there.
    pub(super) fn add(&mut self, schema: &str, json: &Value) -> Result<()> {
        self.schemas.push(schema.to_owned());
        let mut known = BTreeSet::new();
        let ty = self.parse(schema, json, &mut known)?;
        ensure!(matches!(ty, Type::Named(_)), "a contract is a record");
        Ok(())
    }

    /// The definition of a name.
    pub(super) fn definition(&self, name: &str) -> Result<&Definition> {
        self.definitions.get(name).with_context(|| format!("{name} is not defined"))
    }

    fn parse(&mut self, schema: &str, json: &Value, known: &mut BTreeSet<String>) -> Result<Type> {
        match json {
            Value::String(name) => Ok(match name.as_str() {
                "string" => Type::String,
                "bytes" => Type::Bytes,
                "long" => Type::Long,
                "int" => Type::Int,
                "boolean" => Type::Boolean,
                "double" => Type::Double,
                name if known.contains(name) => Type::Named(name.to_owned()),
                name => bail!("type {name} is not defined before its use, or not supported"),
            }),
            Value::Array(branches) => match branches.as_slice() {
                [Value::String(null), inner] if null == "null" => {
                    Ok(Type::Option(Box::new(self.parse(schema, inner, known)?)))
                }
                _ => bail!("a union other than null and one type, in this order: {json}"),
            },
            Value::Object(_) => match text(json, "type")? {
                "array" => {
                    let items = json.get("items").context("an array without items")?;
                    Ok(Type::Array(Box::new(self.parse(schema, items, known)?)))
                }
                "record" | "enum" | "fixed" => self.define(schema, json, known),
                // A logical type is its underlying type here: times stay milliseconds.
                _ => self.parse(schema, &json["type"], known),
            },
            _ => bail!("{json} is not a schema"),
        }
    }

    fn define(&mut self, schema: &str, json: &Value, known: &mut BTreeSet<String>) -> Result<Type> {
        let name = text(json, "name")?.to_owned();
        let body = match text(json, "type")? {
            "record" => Body::Record(self.fields(schema, json, known)?),
            "enum" => Body::Enum(symbols(json)?),
            _ => Body::Fixed(usize::try_from(json["size"].as_u64().context("a fixed without size")?)?),
        };
        let definition = Definition { doc: text(json, "doc")?.to_owned(), body };
        ensure!(known.insert(name.clone()), "{name} is defined twice");
        match self.definitions.get(&name) {
            Some(before) if *before != definition => {
                bail!("{name} has another definition in another schema")
            }
            Some(_) => {
                if let Some((_, schemas)) = self.names.iter_mut().find(|(other, _)| *other == name) {
                    schemas.push(schema.to_owned());
                }
            }
            None => {
                self.names.push((name.clone(), vec![schema.to_owned()]));
                self.definitions.insert(name.clone(), definition);
            }
        }
        Ok(Type::Named(name))
    }

    fn fields(&mut self, schema: &str, json: &Value, known: &mut BTreeSet<String>) -> Result<Vec<Field>> {
        let mut fields = Vec::new();
        for field in json["fields"].as_array().context("a record without fields")? {
            let name = text(field, "name")?.to_owned();
            let ty = field.get("type").context("a field without type")?;
            let ty = self.parse(schema, ty, known).with_context(|| format!("field {name}"))?;
            fields.push(Field {
                doc: text(field, "doc")?.to_owned(),
                unit: text(field, "unit")?.to_owned(),
                pii: text(field, "pii")?.to_owned(),
                name,
                ty,
            });
        }
        Ok(fields)
    }

    /// Whether a value borrows from its datum.
    pub(super) fn borrows(&self, ty: &Type) -> Result<bool> {
        match ty {
            Type::String | Type::Bytes => Ok(true),
            Type::Array(inner) | Type::Option(inner) => self.borrows(inner),
            Type::Named(name) => self.any_field(name, Self::borrows),
            Type::Long | Type::Int | Type::Boolean | Type::Double => Ok(false),
        }
    }

    /// Whether a value holds a type that `wanted` is true of, at any depth.
    pub(super) fn holds(&self, ty: &Type, wanted: fn(&Type) -> bool) -> Result<bool> {
        if wanted(ty) {
            return Ok(true);
        }
        match ty {
            Type::Array(inner) | Type::Option(inner) => self.holds(inner, wanted),
            Type::Named(name) => self.any_field(name, |model, ty| model.holds(ty, wanted)),
            _ => Ok(false),
        }
    }

    fn any_field(&self, name: &str, test: impl Fn(&Self, &Type) -> Result<bool>) -> Result<bool> {
        if let Body::Record(fields) = &self.definition(name)?.body {
            for field in fields {
                if test(self, &field.ty)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The least number of bytes that a value takes.
    pub(super) fn smallest(&self, ty: &Type) -> Result<usize> {
        match ty {
            Type::Double => Ok(8),
            Type::Named(name) => match &self.definition(name)?.body {
                Body::Fixed(size) => Ok(*size),
                Body::Enum(_) => Ok(1),
                Body::Record(fields) => fields.iter().map(|field| self.smallest(&field.ty)).sum(),
            },
            _ => Ok(1),
        }
    }
}

fn text<'a>(json: &'a Value, key: &str) -> Result<&'a str> {
    json[key].as_str().with_context(|| format!("no text `{key}` in {json}"))
}

fn symbols(json: &Value) -> Result<Vec<String>> {
    let symbols = json["symbols"].as_array().context("an enum without symbols")?;
    // The index is read as one byte.
    ensure!((1..=256).contains(&symbols.len()), "an enum with no symbol, or more than 256");
    symbols
        .iter()
        .map(|symbol| symbol.as_str().map(str::to_owned).context("a symbol is not a text"))
        .collect()
}
