//! From one raw record to what it says, or why it can't be taken.

use super::draft::Buffers;
use super::json::{Json, Shape, read_object};
use super::source::{Format, Mapping, SourceSpec, Tombstone};
use super::{catalog, check, crm, segment};
use catchment_contracts::dead_letter::{ErrorCode, FieldError};
use catchment_contracts::{CatalogItem, CustomerEvent};
use catchment_domain::KeySecret;
use catchment_domain::money::Currency;
use catchment_domain::normalise::Zone;
use catchment_domain::time::Millis;
use serde_json::error::Category;

/// A raw record, as far as its meaning depends on it.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Partition of the raw topic.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
    /// When it arrived.
    pub arrival: Millis,
}

/// One canonical record.
#[derive(Clone, Copy, Debug)]
pub enum Mapped<'m> {
    /// For `customer.events`, or `customer.unattributed` if it has no identifier.
    Event(&'m CustomerEvent<'m>),
    /// For `catalog.updates`.
    Item(&'m CatalogItem<'m>),
}

/// Why a record says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It has no value, and its source says that this means nothing.
    Tombstone,
    /// It is a change of something that is no contact (a company, a deal).
    OtherEntity,
}

impl Reason {
    /// Name, as metrics carry it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Tombstone => "tombstone",
            Reason::OtherEntity => "other_entity",
        }
    }
}

/// What became of a raw record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gave events, all of which have been handed over.
    Events {
        /// How many: one, but for Salesforce, whose changes may name several contacts.
        count: usize,
        /// True if its amounts were left out, because ISO 4217 doesn't list their currency.
        amounts_dropped: bool,
    },
    /// It gave a catalog item, which has been handed over.
    Item {
        /// True if its prices were left out, because ISO 4217 doesn't list their currency.
        amounts_dropped: bool,
    },
    /// It is fine and says nothing.
    Nothing(Reason),
    /// It can't be taken; nothing has been handed over. At least one finding, in the order of the checks.
    DeadLetter(Vec<FieldError>),
}

/// What is kept from record to record, so that a record in steady state allocates little. It has no influence on
/// results.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) buffers: Buffers,
    zones: Vec<(String, Option<Zone>)>,
    currencies: Vec<(String, Option<Currency>)>,
}

/// The most values that a cache of [`Scratch`] keeps.
const CACHED: usize = 16;

impl Scratch {
    /// A time zone as it is spelled in the IANA database; `None` if it is not listed. Looking one up costs a
    /// microsecond and more, and a shop's customers live in few.
    pub(super) fn time_zone<'v>(&mut self, value: &'v str) -> Option<(&'v str, Zone)> {
        let value = value.trim();
        cached(&mut self.zones, value, Zone::of).map(|zone| (value, zone))
    }

    pub(super) fn currency(&mut self, code: &str) -> Option<Currency> {
        cached(&mut self.currencies, code, Currency::from_code)
    }
}

/// Looks a value up among the last ones seen, the newest at the end.
fn cached<T: Clone>(cache: &mut Vec<(String, T)>, key: &str, find: impl FnOnce(&str) -> T) -> T {
    if let Some((_, found)) = cache.iter().find(|(known, _)| known == key) {
        return found.clone();
    }
    let found = find(key);
    // What nobody spells twice must not push out what everybody says.
    if key.len() <= 64 {
        if cache.len() == CACHED {
            cache.remove(0);
        }
        cache.push((key.to_owned(), found.clone()));
    }
    found
}

/// What a mapping works with.
pub(super) struct Job<'j, 'a> {
    pub(super) spec: &'j SourceSpec,
    pub(super) secret: &'j KeySecret,
    pub(super) record: &'j RawRecord<'a>,
    /// The record's value; of an Avro record, as JSON.
    pub(super) text: &'a str,
    pub(super) scratch: &'j mut Scratch,
}

impl<'a> Job<'_, 'a> {
    /// A field that holds an amount. Avro's contracts have them as decimal text, so that nobody rounds them.
    pub(super) fn amount(&self, json: Json<'a>) -> Json<'a> {
        match self.spec.format {
            Format::Json => json,
            Format::Avro => json.spelled_number(),
        }
    }
}

/// Where canonical records go.
pub(super) type Sink<'s> = &'s mut dyn FnMut(Mapped<'_>);

/// Reads, checks and maps one raw record of a JSON source. What it says is handed to `sink`, after all checks have
/// passed. A pure function: `scratch` only saves work.
pub fn map(
    spec: &SourceSpec,
    secret: &KeySecret,
    record: &RawRecord<'_>,
    scratch: &mut Scratch,
    sink: &mut dyn FnMut(Mapped<'_>),
) -> Verdict {
    match text_of(spec, record.value) {
        Ok(text) => map_text(spec, secret, record, text, scratch, sink),
        Err(verdict) => verdict,
    }
}

/// As [`map`], where the text is known: a record of an Avro source, as [`transcode`](super::transcode) wrote it.
pub fn map_text(
    spec: &SourceSpec,
    secret: &KeySecret,
    record: &RawRecord<'_>,
    text: &str,
    scratch: &mut Scratch,
    sink: &mut dyn FnMut(Mapped<'_>),
) -> Verdict {
    let mut job = Job { spec, secret, record, text, scratch };
    let verdict = match spec.mapping {
        Mapping::Segment => segment::map(&mut job, sink),
        Mapping::Hubspot => crm::hubspot(&mut job, sink),
        Mapping::Salesforce => crm::salesforce(&mut job, sink),
        Mapping::Contact => crm::contact(&mut job, sink),
        Mapping::Catalog => catalog::map(&mut job, sink),
    };
    verdict.unwrap_or_else(Verdict::DeadLetter)
}

/// The bytes of a record's value, as many as its source may send.
pub(super) fn bytes_of<'a>(spec: &SourceSpec, value: Option<&'a [u8]>) -> Result<&'a [u8], Verdict> {
    let bytes = match (value, spec.tombstone) {
        (Some(bytes), _) => bytes,
        (None, Tombstone::Ignore) => return Err(Verdict::Nothing(Reason::Tombstone)),
        (None, Tombstone::DeadLetter) => return Err(refuse(ErrorCode::NullValue, "a value", "null")),
    };
    if bytes.len() > spec.max_bytes {
        let (expected, actual) =
            (format!("at most {} bytes", spec.max_bytes), format!("{} bytes", bytes.len()));
        return Err(refuse(ErrorCode::Oversize, &expected, &actual));
    }
    Ok(bytes)
}

/// The text of a record of a JSON source.
fn text_of<'a>(spec: &SourceSpec, value: Option<&'a [u8]>) -> Result<&'a str, Verdict> {
    let bytes = bytes_of(spec, value)?;
    if bytes.first() == Some(&0) {
        let actual = "a zero byte, as before Avro: is the source's `format` `avro`?";
        return Err(refuse(ErrorCode::InvalidJson, "a JSON object", actual));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let actual = format!("another byte at position {}", error.valid_up_to());
        refuse(ErrorCode::InvalidUtf8, "UTF-8", &actual)
    })
}

pub(super) fn refuse(code: ErrorCode, expected: &str, actual: &str) -> Verdict {
    Verdict::DeadLetter(vec![FieldError::new(code, "", expected, actual)])
}

/// Reads the known names of a record, or says why it is no JSON object.
pub(super) fn open<'a, S: Shape<'a>>(text: &'a str) -> Result<S, Vec<FieldError>> {
    let begin = text.trim_start_matches([' ', '\t', '\n', '\r']);
    let (code, actual) = if text.is_empty() {
        (ErrorCode::InvalidJson, "an empty value".to_owned())
    } else if begin.starts_with('{') {
        match read_object(text) {
            Ok(shape) => return Ok(shape),
            Err(error) => (ErrorCode::InvalidJson, place(&error)),
        }
    } else {
        // No object; but that is the complaint only about what is JSON at all.
        match Json::parse(text) {
            Ok(value) => (ErrorCode::NotAnObject, check::describe(value)),
            Err(error) => (ErrorCode::InvalidJson, place(&error)),
        }
    };
    Err(vec![FieldError::new(code, "", "a JSON object", &actual)])
}

/// Where JSON ends, without the words of the parser, which may quote the record.
fn place(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => "JSON that ends too early".to_owned(),
        Category::Syntax | Category::Data | Category::Io => {
            format!("no JSON from line {}, column {}", error.line(), error.column())
        }
    }
}

/// The id of an event whose source gave it none: a hash of the record's bytes, so that an exact redelivery is the same
/// event.
pub(super) fn content_id(text: &str) -> String {
    let hash = blake3::hash(text.as_bytes());
    let hex = hash.to_hex();
    hex.as_str().get(..32).unwrap_or_default().to_owned()
}
