//! Types of a schema, as far as resolution tells them apart.

use apache_avro::Schema;
use apache_avro::schema::{Alias, FixedSchema, InnerDecimalSchema, Name, UuidSchema};
use std::collections::HashMap;
use std::fmt;

/// Types with a name, by their full name.
pub(super) struct Names<'s>(HashMap<String, &'s Schema>);

impl<'s> Names<'s> {
    pub(super) fn of(schema: &'s Schema) -> Self {
        let mut names = Names(HashMap::new());
        names.collect(schema);
        names
    }

    fn collect(&mut self, schema: &'s Schema) {
        if let Some(name) = schema.name()
            && !matches!(schema, Schema::Ref { .. })
        {
            self.0.insert(name.fullname(None), schema);
        }
        match schema {
            Schema::Array(array) => self.collect(&array.items),
            Schema::Map(map) => self.collect(&map.types),
            Schema::Union(union) => union.variants().iter().for_each(|branch| self.collect(branch)),
            Schema::Record(record) => record.fields.iter().for_each(|field| self.collect(&field.schema)),
            _ => {}
        }
    }

    /// The type that a name stands for.
    pub(super) fn resolve(&self, schema: &'s Schema) -> &'s Schema {
        match schema {
            // A parsed schema defines all that it names.
            Schema::Ref { name } => self.0.get(&name.fullname(None)).copied().unwrap_or(schema),
            schema => schema,
        }
    }
}

/// Whether a reader's type of this name reads a written one: the last part of a name counts, as in Java.
pub(super) fn same_name(written: &Name, read: &Name, aliases: Option<&[Alias]>) -> bool {
    let also = aliases.unwrap_or_default().iter().any(|alias| alias.name() == written.name());
    read.name() == written.name() || also
}

/// What stands behind a type in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array,
    Map,
    Union,
    Record,
    Enum,
    Fixed(usize),
}

/// A type, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Type<'s> {
    base: Base,
    /// Of records, enums and fixed.
    name: Option<&'s str>,
    pub(super) logical: Option<String>,
}

impl<'s> Type<'s> {
    pub(super) fn of(schema: &'s Schema) -> Self {
        let plain = |base| Type { base, name: None, logical: None };
        let logical = |base, word: &str| Type { base, name: None, logical: Some(word.to_owned()) };
        let fixed = |fixed: &'s FixedSchema, word: Option<String>| Type {
            base: Base::Fixed(fixed.size),
            name: Some(fixed.name.name()),
            logical: word,
        };
        match schema {
            Schema::Null => plain(Base::Null),
            Schema::Boolean => plain(Base::Boolean),
            Schema::Int => plain(Base::Int),
            Schema::Long => plain(Base::Long),
            Schema::Float => plain(Base::Float),
            Schema::Double => plain(Base::Double),
            Schema::Bytes => plain(Base::Bytes),
            Schema::String => plain(Base::String),
            Schema::Array(_) => plain(Base::Array),
            Schema::Map(_) => plain(Base::Map),
            Schema::Union(_) => plain(Base::Union),
            Schema::Record(record) => Type { name: Some(record.name.name()), ..plain(Base::Record) },
            Schema::Enum(symbols) => Type { name: Some(symbols.name.name()), ..plain(Base::Enum) },
            Schema::Ref { name } => Type { name: Some(name.name()), ..plain(Base::Record) },
            Schema::Fixed(schema) => fixed(schema, None),
            Schema::Duration(schema) => fixed(schema, Some("duration".to_owned())),
            Schema::Decimal(decimal) => {
                let word = format!("decimal({}, {})", decimal.precision, decimal.scale);
                match &decimal.inner {
                    InnerDecimalSchema::Bytes => logical(Base::Bytes, &word),
                    InnerDecimalSchema::Fixed(schema) => fixed(schema, Some(word)),
                }
            }
            Schema::BigDecimal => logical(Base::Bytes, "big-decimal"),
            Schema::Uuid(UuidSchema::String) => logical(Base::String, "uuid"),
            Schema::Uuid(UuidSchema::Bytes) => logical(Base::Bytes, "uuid"),
            Schema::Uuid(UuidSchema::Fixed(schema)) => fixed(schema, Some("uuid".to_owned())),
            Schema::Date => logical(Base::Int, "date"),
            Schema::TimeMillis => logical(Base::Int, "time-millis"),
            Schema::TimeMicros => logical(Base::Long, "time-micros"),
            Schema::TimestampMillis => logical(Base::Long, "timestamp-millis"),
            Schema::TimestampMicros => logical(Base::Long, "timestamp-micros"),
            Schema::TimestampNanos => logical(Base::Long, "timestamp-nanos"),
            Schema::LocalTimestampMillis => logical(Base::Long, "local-timestamp-millis"),
            Schema::LocalTimestampMicros => logical(Base::Long, "local-timestamp-micros"),
            Schema::LocalTimestampNanos => logical(Base::Long, "local-timestamp-nanos"),
        }
    }

    /// Whether both are the same, but for what stands inside of them.
    pub(super) fn is_alike(&self, other: &Type<'_>) -> bool {
        self.base == other.base && self.name == other.name
    }

    /// Whether a reader of the other type takes values of this one.
    pub(super) fn becomes(&self, read: &Type<'_>) -> bool {
        use Base::{Bytes, Double, Float, Int, Long, String};
        match (self.base, read.base) {
            (Int, Long | Float | Double) | (Long, Float | Double) | (Float, Double) => true,
            (String, Bytes) | (Bytes, String) => true,
            (written, read_base) => written == read_base && self.name == read.name,
        }
    }
}

impl fmt::Display for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.base {
            Base::Null => "null",
            Base::Boolean => "boolean",
            Base::Int => "int",
            Base::Long => "long",
            Base::Float => "float",
            Base::Double => "double",
            Base::Bytes => "bytes",
            Base::String => "string",
            Base::Array => "array",
            Base::Map => "map",
            Base::Union => "union",
            Base::Record => "record",
            Base::Enum => "enum",
            Base::Fixed(_) => "fixed",
        };
        f.write_str(self.logical.as_deref().unwrap_or(word))?;
        if let Some(name) = self.name {
            write!(f, " {name}")?;
        }
        if let Base::Fixed(size) = self.base {
            write!(f, " ({size} bytes)")?;
        }
        Ok(())
    }
}
