//! Checks of fields, each of which knows its code, what it expects, and how to say what it found.

use super::json::{Fault, Field, Json, Kind, Shape};
use catchment_contracts::dead_letter::{ErrorCode, FieldError, MAX_ERRORS};
use catchment_domain::money::{MAX_MINOR, NotAnAmount, parse_minor};
use catchment_domain::time::{Millis, parse_rfc3339};
use std::borrow::Cow;
use std::fmt::Display;

/// Longest id that is kept, in bytes: of products, orders, events. As long as an identifier may be.
pub(super) const MAX_ID_BYTES: usize = 320;
/// Longest name that is kept, in bytes: of events, pages, categories, surveys.
pub(super) const MAX_NAME_BYTES: usize = 128;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z: the moments that an integer may mean.
const MOMENTS: std::ops::RangeInclusive<Millis> = -62_135_596_800_000..=253_402_300_799_999;

/// What is wrong with a record, in the order of the checks. A record without findings costs nothing here.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<FieldError>);

impl Errors {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_vec(self) -> Vec<FieldError> {
        self.0
    }

    pub(super) fn push(&mut self, code: ErrorCode, field: impl Display, expected: &str, actual: &str) {
        if self.0.len() < MAX_ERRORS {
            self.0.push(FieldError::new(code, &field.to_string(), expected, actual));
        }
    }

    /// A field that must be there is not.
    pub(super) fn missing(&mut self, field: impl Display, expected: &str, found: Json<'_>) {
        self.push(ErrorCode::MissingField, field, expected, &describe(found));
    }

    fn wrong(&mut self, field: impl Display, expected: &str, found: Json<'_>) {
        self.push(ErrorCode::WrongType, field, expected, &describe(found));
    }

    fn broken(&mut self, field: impl Display) {
        self.push(ErrorCode::InvalidJson, field, "Unicode text", "half a surrogate pair");
    }

    /// What a field holds, after saying what is wrong with it.
    fn take<T>(&mut self, field: impl Display, expected: &str, json: Json<'_>, found: Field<T>) -> Option<T> {
        match found {
            Ok(value) => value,
            Err(Fault::Type) => {
                self.wrong(field, expected, json);
                None
            }
            Err(Fault::Broken) => {
                self.broken(field);
                None
            }
        }
    }

    /// A string that may be absent.
    pub(super) fn text<'a>(&mut self, field: impl Display, json: Json<'a>) -> Option<Cow<'a, str>> {
        self.take(field, "a string", json, json.text())
    }

    /// A string where one is there; what is something else is of no use here, and no fault.
    pub(super) fn usable<'a>(&mut self, field: impl Display, json: Json<'a>) -> Option<Cow<'a, str>> {
        match json.text() {
            Err(Fault::Type) => None,
            found => self.take(field, "a string", json, found),
        }
    }

    /// A string or a number where one is there, as its text.
    pub(super) fn usable_scalar<'a>(&mut self, field: impl Display, json: Json<'a>) -> Option<Cow<'a, str>> {
        match json.scalar() {
            Err(Fault::Type) => None,
            found => self.take(field, "a string", json, found),
        }
    }

    /// A string that must be there and must not be empty.
    pub(super) fn required_text<'a>(&mut self, field: impl Display, json: Json<'a>) -> Option<Cow<'a, str>> {
        if json.is_none() || json.raw() == "\"\"" {
            self.missing(field, "a string", json);
            return None;
        }
        self.text(field, json)
    }

    /// A text that is kept must not be longer than that many bytes: what a profile may take is bounded.
    pub(super) fn at_most<'a>(
        &mut self,
        field: impl Display,
        most: usize,
        text: Option<Cow<'a, str>>,
    ) -> Option<Cow<'a, str>> {
        let text = text?;
        if text.len() <= most {
            return Some(text);
        }
        let (expected, actual) =
            (format!("a text of at most {most} bytes"), format!("a text of {} bytes", text.len()));
        self.push(ErrorCode::OutOfRange, field, &expected, &actual);
        None
    }

    /// An integer or a string that may be absent, as its text.
    pub(super) fn id<'a>(&mut self, field: impl Display, json: Json<'a>) -> Option<Cow<'a, str>> {
        let whole = |text: &str| !text.contains(['.', 'e', 'E']);
        let found = match json.scalar() {
            Ok(Some(text)) if json.kind() == Kind::Number && !whole(&text) => Err(Fault::Type),
            found => found,
        };
        self.take(field, "an integer or a string", json, found)
    }

    /// An integer or a string that must be there, as its text.
    pub(super) fn required_id<'a>(&mut self, field: impl Display, json: Json<'a>) -> Option<Cow<'a, str>> {
        if json.is_none() || json.raw() == "\"\"" {
            self.missing(field, "an integer or a string", json);
            return None;
        }
        self.id(field, json)
    }

    pub(super) fn boolean(&mut self, field: impl Display, json: Json<'_>) -> Option<bool> {
        self.take(field, "a boolean", json, json.boolean())
    }

    /// An object that may be absent.
    pub(super) fn object<'a, S: Shape<'a>>(&mut self, field: impl Display, json: Json<'a>) -> Option<S> {
        self.take(field, "an object", json, json.object())
    }

    /// An object that may be absent, whose names are read later.
    pub(super) fn is_object(&mut self, field: impl Display, json: Json<'_>) {
        if !matches!(json.kind(), Kind::Absent | Kind::Null | Kind::Object) {
            self.wrong(field, "an object", json);
        }
    }

    /// An object that must be there.
    pub(super) fn required_object<'a, S: Shape<'a>>(
        &mut self,
        field: impl Display,
        json: Json<'a>,
    ) -> Option<S> {
        if json.is_none() {
            self.missing(field, "an object", json);
            return None;
        }
        self.object(field, json)
    }

    /// The elements of an array that must be there.
    pub(super) fn required_elements<'a>(
        &mut self,
        field: impl Display,
        json: Json<'a>,
    ) -> Option<Vec<Json<'a>>> {
        if json.is_none() {
            self.missing(field, "an array", json);
            return None;
        }
        let mut elements = Vec::new();
        let found = json.elements(|element| elements.push(element));
        self.take(field, "an array", json, found).map(|()| elements)
    }

    /// An RFC 3339 time that may be absent.
    pub(super) fn time(&mut self, field: impl Display, json: Json<'_>) -> Option<Millis> {
        if json.is_none() {
            return None;
        }
        let at = json.text().ok().flatten().and_then(|text| parse_rfc3339(&text));
        if at.is_none() {
            self.push(ErrorCode::BadTimestamp, field, "an RFC 3339 time", &describe(json));
        }
        at
    }

    /// An RFC 3339 time that must be there.
    pub(super) fn required_time(&mut self, field: impl Display, json: Json<'_>) -> Option<Millis> {
        if json.is_none() {
            self.missing(field, "an RFC 3339 time", json);
            return None;
        }
        self.time(field, json)
    }

    /// Milliseconds since 1970, which must be there.
    pub(super) fn required_millis(&mut self, field: impl Display, json: Json<'_>) -> Option<Millis> {
        const EXPECTED: &str = "milliseconds since 1970";
        if json.is_none() {
            self.missing(field, EXPECTED, json);
            return None;
        }
        let number = self.take(&field, EXPECTED, json, json.number())?;
        if number.contains(['.', 'e', 'E']) {
            self.push(ErrorCode::WrongType, field, EXPECTED, &short_number(number));
            return None;
        }
        let at = number.parse().ok().filter(|at| MOMENTS.contains(at));
        if at.is_none() {
            let expected = "milliseconds since 1970, up to the year 9999";
            self.push(ErrorCode::OutOfRange, field, expected, &short_number(number));
        }
        at
    }

    /// An amount of at least 0 that may be absent, in minor units.
    pub(super) fn amount(&mut self, field: impl Display, json: Json<'_>, decimals: u32) -> Option<i64> {
        let number = self.take(&field, "a number", json, json.number())?;
        let found = amount_of(number, decimals);
        if found.is_none() {
            let expected = format!("a number from 0 to {MAX_MINOR} minor units");
            self.push(ErrorCode::OutOfRange, field, &expected, &short_number(number));
        }
        found
    }

    /// An integer of at least 0 that may be absent.
    pub(super) fn count(&mut self, field: impl Display, json: Json<'_>) -> Option<i64> {
        const EXPECTED: &str = "an integer of at least 0";
        let number = self.take(&field, EXPECTED, json, json.number())?;
        match whole(number) {
            Whole::Value(count @ 0..) => Some(count),
            Whole::Value(_) | Whole::TooLarge => {
                self.push(ErrorCode::OutOfRange, field, EXPECTED, &short_number(number));
                None
            }
            Whole::Fraction => {
                self.push(ErrorCode::WrongType, field, EXPECTED, &short_number(number));
                None
            }
        }
    }
}

/// An amount in minor units; `None` if it is negative or too large.
pub(super) fn amount_of(number: &str, decimals: u32) -> Option<i64> {
    // Less than nothing, however little: -0.001 would round to 0.
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    if number.starts_with('-') && mantissa.contains(|c: char| matches!(c, '1'..='9')) {
        return None;
    }
    parse_minor(number, decimals).ok()
}

/// A JSON number as an integer.
pub(super) enum Whole {
    Value(i64),
    Fraction,
    TooLarge,
}

/// Reads `3`, `3.0` and `3e0` alike: programs that know only floating-point numbers write all of them.
pub(super) fn whole(number: &str) -> Whole {
    if let Ok(value) = number.parse() {
        return Whole::Value(value);
    }
    // Three decimals are enough to tell a fraction that anybody means from none.
    match parse_minor(number, 3) {
        Ok(value) if value % 1_000 == 0 => Whole::Value(value / 1_000),
        Ok(_) => Whole::Fraction,
        Err(NotAnAmount::TooLarge | NotAnAmount::Syntax) => Whole::TooLarge,
    }
}

/// What a value is, in words that quote nothing of it: it may be personal.
pub(super) fn describe(json: Json<'_>) -> String {
    let text = match json.kind() {
        Kind::Absent => "nothing",
        Kind::Null => "null",
        Kind::Boolean => "a boolean",
        Kind::Number => "a number",
        Kind::Array => "an array",
        Kind::Object => "an object",
        Kind::Text => return describe_text(json),
    };
    text.to_owned()
}

fn describe_text(json: Json<'_>) -> String {
    match json.text().ok().flatten().map_or(0, |text| text.chars().count()) {
        0 => "an empty string".to_owned(),
        1 => "a string of 1 character".to_owned(),
        length => format!("a string of {length} characters"),
    }
}

/// A number of a few digits as it is; a longer one could be a telephone number or an account, so only its length.
fn short_number(number: &str) -> String {
    if number.len() <= 6 {
        return number.to_owned();
    }
    let sign = if number.starts_with('-') { "negative " } else { "" };
    format!("a {sign}number of {} characters", number.trim_start_matches('-').len())
}

/// A short word of letters as it is: where one of a few words belongs, it tells a spelling mistake. What looks like
/// anything else is described.
pub(super) fn word(text: &str) -> String {
    let letters = text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if (1..=20).contains(&text.len()) && letters {
        text.to_owned()
    } else {
        format!("a string of {} characters", text.chars().count())
    }
}

/// A key of an object that the sender chose, as it may be named in an error: keys that look like an address or a number
/// are not repeated.
pub(super) fn name_of(key: &str) -> &str {
    let plain =
        key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b' '));
    let digits = key.bytes().filter(u8::is_ascii_digit).count();
    if (1..=40).contains(&key.len()) && plain && digits <= 4 { key } else { "…" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs one check over the JSON text and compares `value / code: expected / actual`.
    #[track_caller]
    fn check<T: std::fmt::Debug>(
        run: impl FnOnce(&mut Errors, Json<'_>) -> T,
        json: &str,
        value: &str,
        finding: Option<(&str, &str, &str)>,
    ) {
        let mut errors = Errors::default();
        let json = if json.is_empty() { Json::default() } else { Json::parse(json).unwrap() };
        assert_eq!(format!("{:?}", run(&mut errors, json)), value, "{json:?}");
        let found = errors.into_vec();
        let found = found.first().map(|e| (e.code.as_str(), e.expected.as_str(), e.actual.as_str()));
        assert_eq!(found, finding, "{json:?}");
    }

    #[test]
    fn texts() {
        let run = |errors: &mut Errors, json: Json<'_>| errors.text("f", json).map(Cow::into_owned);
        check(run, "", "None", None);
        check(run, "null", "None", None);
        check(run, r#""a""#, "Some(\"a\")", None);
        check(run, "1e400", "None", Some(("wrong_type", "a string", "a number")));
        check(run, "true", "None", Some(("wrong_type", "a string", "a boolean")));
        check(run, "[1]", "None", Some(("wrong_type", "a string", "an array")));
        check(run, r#""\udead""#, "None", Some(("invalid_json", "Unicode text", "half a surrogate pair")));
        let run = |errors: &mut Errors, json: Json<'_>| errors.required_text("f", json).map(Cow::into_owned);
        check(run, "", "None", Some(("missing_field", "a string", "nothing")));
        check(run, "null", "None", Some(("missing_field", "a string", "null")));
        check(run, r#""""#, "None", Some(("missing_field", "a string", "an empty string")));
    }

    #[test]
    fn ids_are_integers_or_strings() {
        let run = |errors: &mut Errors, json: Json<'_>| errors.required_id("f", json).map(Cow::into_owned);
        check(run, "512081", "Some(\"512081\")", None);
        check(run, r#""C-1""#, "Some(\"C-1\")", None);
        check(run, "1.5", "None", Some(("wrong_type", "an integer or a string", "a number")));
        check(run, "", "None", Some(("missing_field", "an integer or a string", "nothing")));
        check(run, "{}", "None", Some(("wrong_type", "an integer or a string", "an object")));
    }

    #[test]
    fn amounts_are_exact_and_bounded() {
        let run = |errors: &mut Errors, json: Json<'_>| errors.amount("f", json, 2);
        let range = "a number from 0 to 9000000000000000 minor units";
        check(run, "69.95", "Some(6995)", None);
        check(run, "-0.0", "Some(0)", None);
        check(run, "-1", "None", Some(("out_of_range", range, "-1")));
        check(run, "-0.001", "None", Some(("out_of_range", range, "-0.001")));
        check(run, "1e400", "None", Some(("out_of_range", range, "1e400")));
        let long = "9".repeat(400);
        check(run, &long, "None", Some(("out_of_range", range, "a number of 400 characters")));
        check(run, r#""1""#, "None", Some(("wrong_type", "a number", "a string of 1 character")));
    }

    #[test]
    fn counts_are_integers_however_they_are_written() {
        let run = |errors: &mut Errors, json: Json<'_>| errors.count("f", json);
        let expected = "an integer of at least 0";
        check(run, "3", "Some(3)", None);
        check(run, "3.0", "Some(3)", None);
        check(run, "3e1", "Some(30)", None);
        check(run, "3.5", "None", Some(("wrong_type", expected, "3.5")));
        check(run, "-3", "None", Some(("out_of_range", expected, "-3")));
        check(run, "1e99", "None", Some(("out_of_range", expected, "1e99")));
        check(run, "null", "None", None);
    }

    #[test]
    fn times() {
        let run = |errors: &mut Errors, json: Json<'_>| errors.time("f", json);
        let finding = |actual| Some(("bad_timestamp", "an RFC 3339 time", actual));
        check(run, r#""1970-01-01T00:00:01Z""#, "Some(1000)", None);
        check(run, "null", "None", None);
        check(run, r#""yesterday""#, "None", finding("a string of 9 characters"));
        check(run, "5", "None", finding("a number"));
        let run = |errors: &mut Errors, json: Json<'_>| errors.required_millis("f", json);
        let late = "milliseconds since 1970, up to the year 9999";
        check(run, "1736061840050", "Some(1736061840050)", None);
        check(run, "1.5", "None", Some(("wrong_type", "milliseconds since 1970", "1.5")));
        check(run, "9999999999999999", "None", Some(("out_of_range", late, "a number of 16 characters")));
        check(run, "", "None", Some(("missing_field", "milliseconds since 1970", "nothing")));
    }

    #[test]
    fn no_record_has_more_findings_than_a_dead_letter_lists() {
        let mut errors = Errors::default();
        (0..100).for_each(|i| errors.missing(format_args!("f[{i}]"), "a string", Json::default()));
        assert_eq!(errors.into_vec().len(), MAX_ERRORS);
    }
}
