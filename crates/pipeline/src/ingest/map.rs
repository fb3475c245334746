//! From one raw record to what it says, or why it can't be taken.

use super::draft::Buffers;
use super::foreign::Brought;
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
    /// The record's value; of an Avro record, as JSON; of a foreign payload, in the form of the contract.
    pub(super) text: &'a str,
    pub(super) origin: Origin<'j>,
    pub(super) scratch: &'j mut Scratch,
}

/// What a record's own id is made of, where its source gave it none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'o> {
    /// The record as it came.
    text: &'o str,
    /// Which of its parts, if it has several.
    number: Option<usize>,
}

impl<'a> Job<'_, 'a> {
    /// The id of an event whose source gave it none: a hash of the record's bytes, so that an exact redelivery is the same
    /// event.
    pub(super) fn content_id(&self) -> String {
        let hash = blake3::hash(self.origin.text.as_bytes()).to_hex();
        let id = hash.as_str().get(..32).unwrap_or_default();
        self.origin.number.map_or_else(|| id.to_owned(), |number| format!("{id}#{number}"))
    }

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
    let Some(via) = &spec.via else {
        let origin = Origin { text, number: None };
        return map_form(Job { spec, secret, record, text, origin, scratch }, sink);
    };
    let named = |errors: Vec<FieldError>| {
        let rename = |error: FieldError| match via.origin(&error.field) {
            Some(field) => FieldError { field, ..error },
            None => error,
        };
        Verdict::DeadLetter(errors.into_iter().map(rename).collect())
    };
    let texts = match via.bring(text) {
        Ok(Brought::Texts(texts)) => texts,
        Ok(Brought::Other) => return Verdict::Nothing(Reason::OtherEntity),
        Err(errors) => return Verdict::DeadLetter(errors),
    };
    let several = texts.len() > 1;
    // What one of several is refused for must be known before any is handed over.
    let passes = if several { [true, false].as_slice() } else { &[false] };
    let mut all = Verdict::Events { count: 0, amounts_dropped: false };
    for is_trial in passes {
        all = Verdict::Events { count: 0, amounts_dropped: false };
        for (number, form) in texts.iter().enumerate() {
            let origin = Origin { text, number: several.then_some(number) };
            let job = Job { spec, secret, record, text: form, origin, scratch: &mut *scratch };
            let verdict = if *is_trial {
                map_form(job, &mut |_| {})
            } else {
                map_form(job, &mut |mapped| sink(mapped))
            };
            all = match (all, verdict) {
                (_, Verdict::DeadLetter(errors)) => return named(errors),
                (
                    Verdict::Events { count, amounts_dropped },
                    Verdict::Events { count: more, amounts_dropped: too },
                ) => Verdict::Events { count: count + more, amounts_dropped: amounts_dropped || too },
                (_, Verdict::Item { amounts_dropped }) => Verdict::Item { amounts_dropped },
                (all, _) => all,
            };
        }
    }
    all
}

/// Maps a record that is in the form that its source's mapping takes.
fn map_form(mut job: Job<'_, '_>, sink: Sink<'_>) -> Verdict {
    let verdict = match job.spec.mapping {
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

/// What is wrong with a text that is no JSON.
pub(super) fn no_json(text: &str) -> Vec<FieldError> {
    let actual = match Json::parse(text) {
        Ok(value) => check::describe(value),
        Err(_) if text.is_empty() => "an empty value".to_owned(),
        Err(error) => place(&error),
    };
    vec![FieldError::new(ErrorCode::InvalidJson, "", "JSON", &actual)]
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
