//! What a dead letter says: why a record was refused, and where it came from.
//!
//! A dead letter keeps the record's key, value and headers as they were; these are the headers added to it.
//! **They must hold no personal value**: they are shown in lists, logs and alerts, whose readers may not see
//! the record. Whoever fills `actual` and `field` describes what was found ("a string of 12 characters") and
//! never quotes it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::headers;

#[cfg(test)]
mod tests;

/// Most errors that one dead letter lists.
pub const MAX_ERRORS: usize = 32;
/// Most characters of `actual`.
pub const MAX_ACTUAL: usize = 80;
/// Most characters of `field` and of `expected`: keys of a hostile record can be as long as the record.
pub const MAX_TEXT: usize = 200;

macro_rules! error_codes {
    ($($variant:ident $code:literal $meaning:literal $remedy:literal)*) => {
        /// Why a record was refused. The list is closed; `docs/errors.md` is made from it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorCode {
            $(#[doc = $meaning] $variant,)*
        }

        impl ErrorCode {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code, as it stands in headers.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What to do about it, in one sentence.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

error_codes! {
    Oversize "oversize"
        "The record is larger than its source may send."
        "Send less in one record, or raise the source's limit; the usual cause is a document put into a property."
    InvalidUtf8 "invalid_utf8"
        "The record is not UTF-8."
        "Have the producer encode text as UTF-8; the usual cause is a Latin-1 export."
    InvalidJson "invalid_json"
        "The record is not one JSON value (RFC 8259)."
        "Have the producer use a JSON library: NaN, trailing commas, and a second value after the first are not allowed."
    NotAnObject "not_an_object"
        "The record is JSON, but not an object."
        "Send one object for each record; split an array into its elements."
    MissingField "missing_field"
        "A required field is absent, null or empty."
        "Have the producer fill the field that is named."
    UnknownType "unknown_type"
        "The record's type is not one that the contract has."
        "Use one of the types that are expected, or map the record in the source's mapping."
    WrongType "wrong_type"
        "A field has another type than the contract says."
        "Have the producer send the expected type; numbers in quotes are strings."
    OutOfRange "out_of_range"
        "A value is of the right type but outside what the contract allows."
        "Compare the value with the limits in the contract's field list (`catchment contracts list`)."
    BadTimestamp "bad_timestamp"
        "A time is not RFC 3339."
        "Send times such as 2026-03-05T09:00:00.000Z, with an offset."
    NullValue "null_value"
        "The record has no value, and its source does not say what a deletion means."
        "If such records mean nothing, set the source's `tombstone` to `ignore`."
    UnknownSource "unknown_source"
        "Several sources share the topic, and the record names none of them."
        "Have the producer set the header `catchment.source` to the name of a configured source."
    RecordTooLarge "record_too_large"
        "What Catchment would write for the record exceeds the largest record that the log takes."
        "Find out what made it so large; `max.message.bytes` of the output topic can be raised."
    NoSchemaId "no_schema_id"
        "The record of an Avro source does not name its schema: it neither begins with a zero byte and an id, nor has a header with one."
        "Have the producer write with its serializer for the schema registry; if it sends JSON, set the source's `format` to `json`."
    UnknownSchema "unknown_schema"
        "The schema registry has no Avro schema that records can be read with under the id that the record names."
        "Find out which registry the producer uses; once the schema is registered where Catchment looks, replay the records."
    InvalidAvro "invalid_avro"
        "The record's bytes are not one datum of the schema that it names."
        "Have the producer name the schema that it wrote with; the usual cause is Avro that was put together by hand or copied under another id."
    BadFormula "bad_formula"
        "A formula of the source's mapping can't be computed for the record."
        "Compare the record with the samples of the mapping; add one for it, and mend the formula (`catchment mappings test`)."
    Skipped "skipped"
        "No record: an operator let a role go on behind a part of its input (`catchment offsets skip`)."
        "Bring what was skipped from where it came from, if it still matters; an event that comes twice within `dedup.window` is counted once."
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is no [`ErrorCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a code of a dead letter")]
pub struct UnknownErrorCode;

impl FromStr for ErrorCode {
    type Err = UnknownErrorCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(UnknownErrorCode)
    }
}

/// One failed check of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// What failed.
    pub code: ErrorCode,
    /// Path of the field, such as `properties.products[0].price`; empty if the record as a whole is meant.
    pub field: String,
    /// What the contract expects there.
    pub expected: String,
    /// What was found, described and **never quoted**: "an object", "a string of 12 characters".
    pub actual: String,
}

impl FieldError {
    /// A failed check; texts are cut to their limits.
    #[must_use]
    pub fn new(code: ErrorCode, field: &str, expected: &str, actual: &str) -> Self {
        Self {
            code,
            field: cut(field, MAX_TEXT).to_owned(),
            expected: cut(expected, MAX_TEXT).to_owned(),
            actual: cut(actual, MAX_ACTUAL).to_owned(),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = if self.field.is_empty() { "the record" } else { &self.field };
        write!(f, "{}: {subject}: expected {}, found {}", self.code, self.expected, self.actual)
    }
}

/// What is known of a refused record.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// Failed checks, the first one first.
    pub errors: &'a [FieldError],
    /// Topic of the record.
    pub topic: &'a str,
    /// Partition of the record.
    pub partition: i32,
    /// Offset of the record.
    pub offset: i64,
    /// Step of the role that refused it: `decode`, `map`, …
    pub stage: &'a str,
    /// Role that refused it.
    pub role: &'a str,
    /// Contract that it was held against; empty if none was reached.
    pub contract: &'a str,
    /// Configured source; empty if unknown. Left out of the headers then.
    pub source: &'a str,
    /// How often the record has been refused, this time included: 1, or more after a replay.
    pub attempt: u32,
}

impl DeadLetter<'_> {
    /// The headers to add. What is empty is left out. Headers of these names that the record brought with it
    /// (a replay) are to be removed first.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let mut list = HeaderList(Vec::with_capacity(20));
        list.add(headers::STREAMS_TOPIC, self.topic);
        list.add(headers::STREAMS_PARTITION, &self.partition.to_string());
        list.add(headers::STREAMS_OFFSET, &self.offset.to_string());
        list.add(headers::STREAMS_STACKTRACE, &format!("{}/{}", self.role, self.stage));
        let errors: Vec<FieldError> = self
            .errors
            .iter()
            .take(MAX_ERRORS)
            .map(|error| FieldError::new(error.code, &error.field, &error.expected, &error.actual))
            .collect();
        if let Some(first) = errors.first() {
            list.add(headers::STREAMS_EXCEPTION, first.code.as_str());
            list.add(headers::STREAMS_MESSAGE, &first.to_string());
            list.add(headers::ERROR_CODE, first.code.as_str());
            list.add(headers::ERROR_FIELD, &first.field);
            list.add(headers::ERROR_EXPECTED, &first.expected);
            list.add(headers::ERROR_ACTUAL, &first.actual);
            // Four texts can always be written as JSON.
            list.add(headers::ERRORS, &serde_json::to_string(&errors).unwrap_or_default());
        }
        list.add(headers::ERROR_STAGE, self.stage);
        list.add(headers::ERROR_ATTEMPT, &self.attempt.to_string());
        list.add(headers::ERROR_CONTRACT, self.contract);
        list.add(headers::ERROR_ROLE, self.role);
        list.add(headers::ERROR_VERSION, env!("CARGO_PKG_VERSION"));
        list.add(headers::SOURCE, self.source);
        list.0
    }
}

struct HeaderList(Vec<(String, Vec<u8>)>);

impl HeaderList {
    fn add(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.0.push((name.to_owned(), value.as_bytes().to_vec()));
        }
    }
}

/// The first `limit` characters.
fn cut(text: &str, limit: usize) -> &str {
    text.char_indices().nth(limit).map_or(text, |(end, _)| &text[..end])
}
