//! A schema, worked out for the walk over its data.

use super::SchemaError;
use super::text::{self, Unit};
use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, RecordSchema, UuidSchema};
use std::collections::HashMap;

/// The most digits of a decimal behind its point.
const MAX_SCALE: usize = 64;

/// Place of a node in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(pub(super) usize);

/// A type of the schema.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    String,
    Bytes,
    Fixed(usize),
    /// In that many bytes, or in `bytes`.
    Uuid(Option<usize>),
    /// In that many bytes, or in `bytes`.
    Decimal {
        size: Option<usize>,
        scale: usize,
    },
    Date,
    TimeOfDay(Unit),
    Timestamp(Unit),
    LocalTimestamp(Unit),
    /// Its symbols, in quotes.
    Enum(Vec<String>),
    Union(Vec<NodeId>),
    Record(Vec<Member>),
    Array(NodeId),
    Map(NodeId),
}

/// A field of a record.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// What stands before its value: `{"name":` or `,"name":`.
    pub(super) text: String,
    pub(super) value: NodeId,
}

/// Works a schema out.
pub(super) fn plan(schema: &str, references: &[String]) -> Result<(Vec<Node>, NodeId), SchemaError> {
    let syntax = |error: apache_avro::Error| SchemaError::Syntax(error.to_string());
    let (root, others) = match references {
        [] => (Schema::parse_str(schema).map_err(syntax)?, Vec::new()),
        _ => Schema::parse_str_with_list(schema, references).map_err(syntax)?,
    };
    let mut plan = Plan::default();
    for schema in others.iter().chain([&root]) {
        plan.define(schema);
    }
    let root = plan.node(&root)?;
    Ok((plan.nodes, root))
}

#[derive(Default)]
struct Plan<'s> {
    nodes: Vec<Node>,
    /// Types with a name, by their full name.
    definitions: HashMap<String, &'s Schema>,
    /// Those that have a place.
    places: HashMap<String, NodeId>,
}

impl<'s> Plan<'s> {
    /// Collects the types with a name.
    fn define(&mut self, schema: &'s Schema) {
        if let Some(name) = schema.name()
            && !matches!(schema, Schema::Ref { .. })
        {
            self.definitions.insert(name.fullname(None), schema);
        }
        match schema {
            Schema::Array(array) => self.define(&array.items),
            Schema::Map(map) => self.define(&map.types),
            Schema::Union(union) => union.variants().iter().for_each(|branch| self.define(branch)),
            Schema::Record(record) => record.fields.iter().for_each(|field| self.define(&field.schema)),
            _ => {}
        }
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    fn node(&mut self, schema: &'s Schema) -> Result<NodeId, SchemaError> {
        let node = match schema {
            Schema::Ref { name } => return self.named(&name.fullname(None)),
            Schema::Record(record) => return self.record(record),
            Schema::Null => Node::Null,
            Schema::Boolean => Node::Boolean,
            Schema::Int => Node::Int,
            Schema::Long => Node::Long,
            Schema::Float => Node::Float,
            Schema::Double => Node::Double,
            Schema::String | Schema::Uuid(UuidSchema::String) => Node::String,
            Schema::Bytes | Schema::BigDecimal => Node::Bytes,
            Schema::Fixed(fixed) | Schema::Duration(fixed) => Node::Fixed(fixed.size),
            Schema::Uuid(UuidSchema::Bytes) => Node::Uuid(None),
            Schema::Uuid(UuidSchema::Fixed(fixed)) => Node::Uuid(Some(fixed.size)),
            Schema::Decimal(decimal) => number(decimal)?,
            Schema::Date => Node::Date,
            Schema::TimeMillis => Node::TimeOfDay(Unit::Millis),
            Schema::TimeMicros => Node::TimeOfDay(Unit::Micros),
            Schema::TimestampMillis => Node::Timestamp(Unit::Millis),
            Schema::TimestampMicros => Node::Timestamp(Unit::Micros),
            Schema::TimestampNanos => Node::Timestamp(Unit::Nanos),
            Schema::LocalTimestampMillis => Node::LocalTimestamp(Unit::Millis),
            Schema::LocalTimestampMicros => Node::LocalTimestamp(Unit::Micros),
            Schema::LocalTimestampNanos => Node::LocalTimestamp(Unit::Nanos),
            Schema::Enum(symbols) => {
                let quoted = |symbol: &String| {
                    let mut quoted = String::new();
                    text::quoted(&mut quoted, symbol);
                    quoted
                };
                Node::Enum(symbols.symbols.iter().map(quoted).collect())
            }
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.node(branch));
                Node::Union(branches.collect::<Result<_, _>>()?)
            }
            Schema::Array(array) => Node::Array(self.node(&array.items)?),
            Schema::Map(map) => Node::Map(self.node(&map.types)?),
        };
        Ok(self.push(node))
    }

    /// A record, which may contain itself: its place is known before its fields are.
    fn record(&mut self, record: &'s RecordSchema) -> Result<NodeId, SchemaError> {
        let place = self.push(Node::Record(Vec::new()));
        self.places.insert(record.name.fullname(None), place);
        let mut members = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let mut text = if members.is_empty() { "{" } else { "," }.to_owned();
            text::quoted(&mut text, &field.name);
            text.push(':');
            members.push(Member { text, value: self.node(&field.schema)? });
        }
        self.nodes[place.0] = Node::Record(members);
        Ok(place)
    }

    /// A type that is used again, or that another schema defines.
    fn named(&mut self, name: &str) -> Result<NodeId, SchemaError> {
        if let Some(place) = self.places.get(name) {
            return Ok(*place);
        }
        let definition = *self
            .definitions
            .get(name)
            .ok_or_else(|| SchemaError::Unsupported(format!("nothing defines the type {name}")))?;
        let place = self.node(definition)?;
        self.places.insert(name.to_owned(), place);
        Ok(place)
    }
}

fn number(decimal: &DecimalSchema) -> Result<Node, SchemaError> {
    if decimal.scale > MAX_SCALE {
        let what =
            format!("a decimal with {} digits behind the point, of at most {MAX_SCALE}", decimal.scale);
        return Err(SchemaError::Unsupported(what));
    }
    let size = match &decimal.inner {
        InnerDecimalSchema::Bytes => None,
        InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
    };
    Ok(Node::Decimal { size, scale: decimal.scale })
}
