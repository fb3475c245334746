//! A datum of any Avro schema as JSON text: how ingest reads Avro with the mappings that it has for JSON.
//!
//! The schema is worked out once ([`WriterSchema::parse`]); a datum is then walked by it and written as text, without a
//! tree of values in between. Names are those of the schema's fields. Values become:
//!
//! | Avro | JSON |
//! |---|---|
//! | null, boolean, int, long | the same |
//! | float, double | a number with the fewest digits that mean it; null where it is none (NaN, infinity) |
//! | string, enum, uuid | text |
//! | bytes, fixed, duration, big-decimal | text of hex digits |
//! | decimal | a number with all its digits |
//! | timestamp | RFC 3339 text in UTC; a number where that has no word for it |
//! | local timestamp, date, time of day | text as in RFC 3339, without an offset |
//! | union | the value |
//! | array, map, record | array, object, object |
//!
//! A hostile datum costs no more than an honest one: nothing is allocated by a length that is not there, and depth and
//! length of the text are limited. It is property-tested against the `apache-avro` crate.
//!
//! Standard: Apache Avro 1.12 specification, "Binary encoding" and "Logical Types".

mod plan;
#[cfg(test)]
mod tests;
mod text;

use crate::avro::{DecodeErrorKind, Reader};
use plan::{Node, NodeId};
use std::fmt;

/// The largest schema that is taken, in bytes, with all that it refers to.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;
/// How deep arrays, maps and records may stand in each other.
pub const MAX_DEPTH: usize = 64;

/// Why a schema can't be worked with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is larger than [`MAX_SCHEMA_BYTES`].
    #[error("the schema has {0} bytes, of at most {MAX_SCHEMA_BYTES}")]
    TooLarge(usize),
    /// It is no Avro schema.
    #[error("no Avro schema: {0}")]
    Syntax(String),
    /// It has something that no datum can be read with.
    #[error("the schema can't be read with: {0}")]
    Unsupported(String),
}

/// Why bytes are no datum of the schema, and where that was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranscodeError {
    /// What is wrong.
    pub kind: TranscodeErrorKind,
    /// Bytes from the start of the datum.
    pub at: usize,
}

impl fmt::Display for TranscodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.at)
    }
}

impl std::error::Error for TranscodeError {}

/// The ways in which bytes can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranscodeErrorKind {
    /// They are no datum of the schema.
    #[error(transparent)]
    Datum(#[from] DecodeErrorKind),
    /// They would become more text than is allowed.
    #[error("more JSON than is allowed")]
    TooLong,
    /// Values stand in each other deeper than [`MAX_DEPTH`].
    #[error("values nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// A decimal has more than 16 bytes.
    #[error("a decimal of more than 16 bytes")]
    LongDecimal,
}

type Written = Result<(), TranscodeErrorKind>;

/// A schema that data were written with, worked out.
#[derive(Clone, Debug)]
pub struct WriterSchema {
    nodes: Vec<Node>,
    root: NodeId,
}

impl WriterSchema {
    /// Works a schema out. `references` are the schemas that it names types of.
    ///
    /// # Errors
    ///
    /// If it is no Avro schema, or one that nobody can read data with.
    pub fn parse(schema: &str, references: &[String]) -> Result<Self, SchemaError> {
        let bytes = references.iter().map(String::len).sum::<usize>() + schema.len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(SchemaError::TooLarge(bytes));
        }
        let (nodes, root) = plan::plan(schema, references)?;
        Ok(Self { nodes, root })
    }

    /// Appends a datum as JSON text, at most about `limit` bytes of it. On an error `out` is as before.
    ///
    /// # Errors
    ///
    /// If the bytes are not exactly one datum of the schema, or the text would be too long.
    pub fn to_json(&self, datum: &[u8], limit: usize, out: &mut String) -> Result<(), TranscodeError> {
        let before = out.len();
        let mut walk =
            Walk { nodes: &self.nodes, input: Reader::new(datum), out, end: before.saturating_add(limit) };
        let result = walk.value(self.root, 0);
        let left = walk.input.left();
        let kind = match result {
            Ok(()) if left == 0 => return Ok(()),
            Ok(()) => DecodeErrorKind::TrailingBytes.into(),
            Err(kind) => kind,
        };
        out.truncate(before);
        Err(TranscodeError { kind, at: datum.len() - left })
    }
}

/// A datum that is being written as text.
struct Walk<'w, 'd> {
    nodes: &'w [Node],
    input: Reader<'d>,
    out: &'w mut String,
    /// How long the text may become.
    end: usize,
}

impl Walk<'_, '_> {
    fn value(&mut self, at: NodeId, depth: usize) -> Written {
        // Whatever happens below writes something, so this bounds the time as well.
        if self.out.len() > self.end {
            return Err(TranscodeErrorKind::TooLong);
        }
        let nodes = self.nodes;
        match &nodes[at.0] {
            Node::Null => self.out.push_str("null"),
            Node::Boolean => {
                let value = self.input.boolean()?;
                self.out.push_str(if value { "true" } else { "false" });
            }
            Node::Int => text::integer(self.out, i64::from(self.input.int()?)),
            Node::Long => text::integer(self.out, self.input.long()?),
            Node::Float => {
                text::float(self.out, f32::from_le_bytes(self.input.fixed()?));
            }
            Node::Double => text::double(self.out, self.input.double()?),
            Node::String => text::quoted(self.out, self.input.string()?),
            Node::Bytes => text::hex(self.out, self.input.bytes()?),
            Node::Fixed(size) => text::hex(self.out, self.input.take(*size)?),
            Node::Uuid(size) => {
                let bytes = sized(&mut self.input, *size)?;
                text::uuid(self.out, bytes);
            }
            Node::Decimal { size, scale } => {
                let bytes = sized(&mut self.input, *size)?;
                let unscaled = text::unscaled(bytes).ok_or(TranscodeErrorKind::LongDecimal)?;
                text::decimal(self.out, unscaled, *scale);
            }
            Node::Date => text::date(self.out, self.input.int()?),
            Node::TimeOfDay(unit) => {
                let value = if unit.fits_int() { self.input.int()?.into() } else { self.input.long()? };
                text::time_of_day(self.out, value, *unit);
            }
            Node::Timestamp(unit) => text::timestamp(self.out, self.input.long()?, *unit),
            Node::LocalTimestamp(unit) => text::local_timestamp(self.out, self.input.long()?, *unit),
            Node::Enum(symbols) => {
                let symbol = usize::try_from(self.input.long()?).ok().and_then(|place| symbols.get(place));
                self.out.push_str(symbol.ok_or(DecodeErrorKind::BadEnum)?);
            }
            Node::Union(branches) => {
                let branch = usize::try_from(self.input.long()?).ok().and_then(|place| branches.get(place));
                // Unions don't stand in unions, so this is no way around the depth.
                return self.value(*branch.ok_or(DecodeErrorKind::BadUnion)?, depth);
            }
            Node::Record(members) => {
                let depth = deeper(depth)?;
                for member in members {
                    self.out.push_str(&member.text);
                    self.value(member.value, depth)?;
                }
                self.out.push_str(if members.is_empty() { "{}" } else { "}" });
            }
            Node::Array(items) => {
                let depth = deeper(depth)?;
                self.blocks(['[', ']'], |walk| walk.value(*items, depth))?;
            }
            Node::Map(values) => {
                let depth = deeper(depth)?;
                self.blocks(['{', '}'], |walk| {
                    text::quoted(walk.out, walk.input.string()?);
                    walk.out.push(':');
                    walk.value(*values, depth)
                })?;
            }
        }
        Ok(())
    }

    /// Items of an array or map, in any number of blocks, with or without their sizes.
    fn blocks(&mut self, [open, close]: [char; 2], mut item: impl FnMut(&mut Self) -> Written) -> Written {
        self.out.push(open);
        let mut first = true;
        loop {
            let announced = self.input.long()?;
            if announced == 0 {
                self.out.push(close);
                return Ok(());
            }
            // A negative count is followed by the size of the block in bytes.
            let size = if announced < 0 { Some(self.input.length()?) } else { None };
            let before = self.input.left();
            for _ in 0..announced.unsigned_abs() {
                if !std::mem::take(&mut first) {
                    self.out.push(',');
                }
                item(self)?;
            }
            if size.is_some_and(|size| before - self.input.left() != size) {
                return Err(DecodeErrorKind::BadBlockSize.into());
            }
        }
    }
}

/// Bytes of that many, or of the length that is stated.
fn sized<'d>(input: &mut Reader<'d>, size: Option<usize>) -> Result<&'d [u8], DecodeErrorKind> {
    match size {
        Some(size) => input.take(size),
        None => input.bytes(),
    }
}

fn deeper(depth: usize) -> Result<usize, TranscodeErrorKind> {
    if depth == MAX_DEPTH { Err(TranscodeErrorKind::TooDeep) } else { Ok(depth + 1) }
}
