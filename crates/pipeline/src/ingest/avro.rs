//! Records of Avro sources, as JSON text.

use super::map::{Verdict, bytes_of, refuse};
use super::source::SourceSpec;
use catchment_contracts::dead_letter::ErrorCode;
use catchment_contracts::schemas::{Lookup, Schemas};
use catchment_contracts::transcode::{TranscodeError, TranscodeErrorKind};
use catchment_contracts::wire::{SchemaKey, WireError, split_with_header};

/// How much longer a datum may become as JSON, which repeats its names: times this many, and [`MORE_TEXT`].
const TEXT_PER_BYTE: usize = 16;
const MORE_TEXT: usize = 4_096;

/// Why a record did not become text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Its schema is not known yet. The record has to wait: nothing is decided.
    Waiting,
    /// What became of it instead.
    Decided(Verdict),
}

/// What is known of the schema that the last record named. A producer seldom changes its id, and what a record was found
/// ready by must not be forgotten before it is decided.
#[derive(Clone, Debug, Default)]
pub(super) struct LastSchema(Option<(SchemaKey, Lookup)>);

impl LastSchema {
    /// What is known of a schema.
    fn find(&mut self, key: SchemaKey, schemas: &dyn Schemas) -> Lookup {
        if let Some((known, found)) = &self.0
            && *known == key
        {
            return found.clone();
        }
        let found = schemas.find(key);
        if !matches!(found, Lookup::Pending) {
            self.0 = Some((key, found.clone()));
        }
        found
    }

    /// What a registry did not have, it may have by the next record.
    fn forget_refusal(&mut self) {
        if !matches!(self.0, Some((_, Lookup::Known(_)))) {
            self.0 = None;
        }
    }

    /// Whether all that is needed to read a record is known. A record that names no schema needs none to be refused.
    pub(super) fn is_ready(
        &mut self,
        spec: &SourceSpec,
        value: Option<&[u8]>,
        header: Option<&[u8]>,
        schemas: &dyn Schemas,
    ) -> bool {
        let Ok(bytes) = bytes_of(spec, value) else { return true };
        self.forget_refusal();
        match split_with_header(bytes, header) {
            Ok((key, _)) => !matches!(self.find(key, schemas), Lookup::Pending),
            Err(_) => true,
        }
    }

    /// As [`transcode`], for a source whose last schema this is.
    pub(super) fn transcode(
        &mut self,
        spec: &SourceSpec,
        value: Option<&[u8]>,
        header: Option<&[u8]>,
        schemas: &dyn Schemas,
        out: &mut String,
    ) -> Result<(), Held> {
        out.clear();
        let bytes = bytes_of(spec, value).map_err(Held::Decided)?;
        let (key, datum) =
            split_with_header(bytes, header).map_err(|error| Held::Decided(no_schema(bytes, error)))?;
        let schema = match self.find(key, schemas) {
            Lookup::Known(schema) => schema,
            Lookup::Pending => return Err(Held::Waiting),
            Lookup::Unknown => {
                let actual = format!("schema {key}, which the registry does not have");
                return Err(unknown("a schema of the registry", &actual));
            }
            Lookup::Unusable(why) => return Err(unknown("a schema that can be read with", &why)),
        };
        let limit = spec.max_bytes.saturating_mul(TEXT_PER_BYTE).saturating_add(MORE_TEXT);
        schema.to_json(datum, limit, out).map_err(|error| Held::Decided(no_datum(key, limit, error)))
    }
}

/// Writes a record of an Avro source as JSON text, in place of what `out` holds. `header` is its header
/// [`VALUE_SCHEMA_ID`](catchment_contracts::headers::VALUE_SCHEMA_ID).
///
/// # Errors
/// [`Held`] says whether the record has to wait, or what became of it.
pub fn transcode(
    spec: &SourceSpec,
    value: Option<&[u8]>,
    header: Option<&[u8]>,
    schemas: &dyn Schemas,
    out: &mut String,
) -> Result<(), Held> {
    LastSchema::default().transcode(spec, value, header, schemas, out)
}

fn no_schema(bytes: &[u8], error: WireError) -> Verdict {
    let actual = match error {
        _ if bytes.first() == Some(&b'{') => {
            "the byte 0x7b, as before JSON: is the source's `format` `json`?".to_owned()
        }
        WireError::BadMagic { found } => format!("the byte 0x{found:02x}"),
        WireError::BadHeader => "a header in another form".to_owned(),
        WireError::TooShort { .. } | WireError::OtherSchema { .. } => format!("{} bytes", bytes.len()),
    };
    refuse(ErrorCode::NoSchemaId, "a zero byte and a schema id of 4 bytes, or a header with one", &actual)
}

fn unknown(expected: &str, actual: &str) -> Held {
    Held::Decided(refuse(ErrorCode::UnknownSchema, expected, actual))
}

fn no_datum(key: SchemaKey, limit: usize, error: TranscodeError) -> Verdict {
    match error.kind {
        TranscodeErrorKind::TooLong => {
            refuse(ErrorCode::Oversize, &format!("at most {limit} bytes as JSON"), "more")
        }
        TranscodeErrorKind::Datum(_) | TranscodeErrorKind::TooDeep | TranscodeErrorKind::LongDecimal => {
            // The words of an error hold a place and no value.
            refuse(ErrorCode::InvalidAvro, &format!("one datum of schema {key}"), &error.to_string())
        }
    }
}

#[cfg(test)]
mod tests;
