//! Avro datum to JSON for people and files: what the sandbox writes and `catchment dlq show` prints.
//!
//! Any schema will do, so this goes through the `apache-avro` crate. It is no encoding to be read back: a node
//! key becomes 32 hex digits, a time RFC 3339, a union its value.

use std::fmt::Write as _;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;

#[cfg(test)]
mod tests;

/// Why a datum can't be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The bytes are not a datum of the schema, or the schema is not complete.
    // The cause can print a whole schema, so it is left to `source()`.
    #[error("the bytes are not a datum of the schema")]
    NotADatum(#[from] Box<apache_avro::Error>),
    /// Bytes are left after the datum.
    #[error("{0} bytes are left after the datum")]
    TrailingBytes(usize),
    /// The schema has a type that our contracts don't use.
    #[error("no JSON form for {0}")]
    Unsupported(&'static str),
}

/// Renders data of one schema; keeps what is to be worked out only once for it.
pub struct Renderer<'s> {
    reader: GenericDatumReader<'s>,
}

impl<'s> Renderer<'s> {
    /// A renderer for data of this schema.
    ///
    /// # Errors
    ///
    /// If the schema uses a name that it doesn't define.
    pub fn new(schema: &'s Schema) -> Result<Self, RenderError> {
        let reader = GenericDatumReader::builder(schema).build().map_err(Box::new)?;
        Ok(Self { reader })
    }

    /// Appends the datum as JSON on one line, keys in the order of the schema (those of a map sorted). On an
    /// error `out` is as before.
    ///
    /// # Errors
    ///
    /// If the bytes are not exactly one datum of the schema.
    pub fn render(&self, datum: &[u8], out: &mut String) -> Result<(), RenderError> {
        let mut rest = datum;
        let value = self.reader.read_value(&mut rest).map_err(Box::new)?;
        if !rest.is_empty() {
            return Err(RenderError::TrailingBytes(rest.len()));
        }
        let before = out.len();
        write_value(&value, out).inspect_err(|_| out.truncate(before))
    }
}

/// As [`Renderer::render`], for a single datum.
///
/// # Errors
///
/// If the bytes are not exactly one datum of the schema.
pub fn render_json(schema: &Schema, datum: &[u8], out: &mut String) -> Result<(), RenderError> {
    Renderer::new(schema)?.render(datum, out)
}

fn write_value(value: &Value, out: &mut String) -> Result<(), RenderError> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => write_display(value, out),
        Value::Long(value) => write_display(value, out),
        Value::Float(value) => write_double(f64::from(*value), out),
        Value::Double(value) => write_double(*value, out),
        Value::String(text) | Value::Enum(_, text) => write_string(text, out),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => write_hex(bytes, out),
        Value::TimestampMillis(at) | Value::LocalTimestampMillis(at) => write_time(*at, out),
        Value::Union(_, value) => write_value(value, out)?,
        Value::Array(items) => {
            write_list(out, ['[', ']'], items.iter(), write_value)?;
        }
        Value::Record(fields) => {
            write_list(out, ['{', '}'], fields.iter(), |(name, value), out| write_member(name, value, out))?;
        }
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            write_list(out, ['{', '}'], entries.into_iter(), |(key, value), out| {
                write_member(key, value, out)
            })?;
        }
        Value::Date(_)
        | Value::TimeMillis(_)
        | Value::TimeMicros(_)
        | Value::TimestampMicros(_)
        | Value::TimestampNanos(_)
        | Value::LocalTimestampMicros(_)
        | Value::LocalTimestampNanos(_) => {
            return Err(RenderError::Unsupported("times other than milliseconds"));
        }
        Value::Decimal(_) | Value::BigDecimal(_) => return Err(RenderError::Unsupported("decimals")),
        Value::Duration(_) => return Err(RenderError::Unsupported("durations")),
        Value::Uuid(_) => return Err(RenderError::Unsupported("UUIDs")),
    }
    Ok(())
}

fn write_list<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl Iterator<Item = T>,
    write: impl Fn(T, &mut String) -> Result<(), RenderError>,
) -> Result<(), RenderError> {
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out)?;
    }
    out.push(close);
    Ok(())
}

fn write_member(name: &str, value: &Value, out: &mut String) -> Result<(), RenderError> {
    write_string(name, out);
    out.push(':');
    write_value(value, out)
}

fn write_display(value: &impl std::fmt::Display, out: &mut String) {
    // A String takes everything.
    let _ = write!(out, "{value}");
}

/// JSON has no infinities and no NaN; null says that there is no number.
fn write_double(value: f64, out: &mut String) {
    match serde_json::Number::from_f64(value) {
        Some(number) => write_display(&number, out),
        None => out.push_str("null"),
    }
}

fn write_string(text: &str, out: &mut String) {
    // `Display` of a JSON value is its compact text, escaped.
    write_display(&serde_json::Value::from(text), out);
}

fn write_hex(bytes: &[u8], out: &mut String) {
    out.push('"');
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out.push('"');
}

/// RFC 3339 in UTC with milliseconds. A time outside the years -9999 to 9999 stays a number.
fn write_time(at: i64, out: &mut String) {
    match jiff::Timestamp::from_millisecond(at) {
        Ok(time) => {
            let _ = write!(out, "\"{time:.3}\"");
        }
        Err(_) => write_display(&at, out),
    }
}
