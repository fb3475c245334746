//! When a raw record arrived, read from one field of it.

use super::json::{Json, Kind};
use catchment_domain::time::{Millis, parse_rfc3339};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// The last moment that RFC 3339 can write, 9999-12-31T23:59:59.999Z.
const LAST: Millis = 253_402_300_799_999;

/// The most names a path may have.
const MAX_DEPTH: usize = 16;

/// Where a source says when a record arrived: names of fields, joined by dots, such as `receivedAt` or
/// `payload.ChangeEventHeader.commitTimestamp`. The field holds RFC 3339 text, or milliseconds since 1970 as an integer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArrivalPath {
    names: Vec<String>,
}

/// A text that is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {MAX_DEPTH} field names joined by dots, found {0:?}")]
pub struct NotAPath(String);

impl TryFrom<String> for ArrivalPath {
    type Error = NotAPath;

    fn try_from(text: String) -> Result<Self, NotAPath> {
        let names: Vec<String> = text.split('.').map(str::to_owned).collect();
        if names.len() > MAX_DEPTH || names.iter().any(String::is_empty) {
            return Err(NotAPath(text));
        }
        Ok(ArrivalPath { names })
    }
}

impl std::str::FromStr for ArrivalPath {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<Self, NotAPath> {
        text.to_owned().try_into()
    }
}

impl From<ArrivalPath> for String {
    fn from(path: ArrivalPath) -> String {
        path.to_string()
    }
}

impl fmt::Display for ArrivalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join("."))
    }
}

impl ArrivalPath {
    /// The arrival time that a raw record states; `None` if it can't be read.
    ///
    /// Reading stops at the field, so that a record that is cut off behind it still has its place in time, and nothing
    /// behind it is paid for. Of two fields of the same name the first counts. Moments before 1970 and after the year
    /// 9999 count as unreadable: one of them would stop the clock of everything that comes after.
    #[must_use]
    pub fn read(&self, bytes: &[u8]) -> Option<Millis> {
        let mut found = None;
        let mut input = serde_json::Deserializer::from_slice(bytes);
        // The error is that the object goes on after the field.
        let _ = Walk { names: &self.names, found: &mut found }.deserialize(&mut input);
        found.filter(|at| (0..=LAST).contains(at))
    }
}

struct Walk<'p, 'f> {
    names: &'p [String],
    found: &'f mut Option<Millis>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        if self.names.is_empty() {
            *self.found = moment(serde::Deserialize::deserialize(input)?);
            Ok(())
        } else {
            input.deserialize_map(self)
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((name, names)) = self.names.split_first() else {
            return Ok(());
        };
        while let Some(found) = map.next_key_seed(Is(name))? {
            if found {
                return map.next_value_seed(Walk { names, found: self.found });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Whether a key is that name.
struct Is<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<bool, D::Error> {
        input.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

fn moment(value: Json<'_>) -> Option<Millis> {
    match value.kind() {
        Kind::Text => parse_rfc3339(value.text().ok()??.as_ref()),
        Kind::Number => value.raw().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, record: &[u8], expected: Option<Millis>) {
        let path: ArrivalPath = path.parse().unwrap();
        assert_eq!(path.read(record), expected, "{path} {}", String::from_utf8_lossy(record));
    }

    #[test]
    fn text_and_milliseconds_are_read_at_any_depth() {
        check("receivedAt", br#"{"a":{"receivedAt":1},"receivedAt":"1970-01-01T00:00:01Z"}"#, Some(1_000));
        check("occurredAt", br#"{"occurredAt":1736061840050}"#, Some(1_736_061_840_050));
        let salesforce =
            br#"{"schema":"x","payload":{"Name":{"a":[1]},"ChangeEventHeader":{"commitTimestamp":7}}}"#;
        check("payload.ChangeEventHeader.commitTimestamp", salesforce, Some(7));
    }

    #[test]
    fn what_comes_after_the_field_does_not_matter() {
        check("at", br#"{"at":5,"rest":tru"#, Some(5));
        check("at", br#"{"at":"2026-03-05T0"#, None);
        check("at", b"{\"at\":5,\"name\":\"\xff\"}", Some(5));
        check("at", b"{\"name\":\"\xff\",\"at\":5}", Some(5));
    }

    #[test]
    fn unreadable_is_none() {
        for record in [
            "",
            "[]",
            "7",
            "{}",
            r#"{"at":null}"#,
            r#"{"at":{"at":5}}"#,
            r#"{"at":1.5}"#,
            r#"{"at":"yesterday"}"#,
            r#"{"at":-1}"#,
            r#"{"at":253402300800000}"#,
            r#"{"at":99999999999999999999}"#,
            r#"{"at":"\ud800"}"#,
            "\u{feff}{\"at\":5}",
        ] {
            check("at", record.as_bytes(), None);
        }
        check("a.b", br#"{"a":5}"#, None);
    }

    #[test]
    fn depth_of_what_stands_before_the_field_does_not_matter() {
        let deep = format!(r#"{{"x":{}{},"at":5}}"#, "[".repeat(10_000), "]".repeat(10_000));
        crate::ingest::testing::on_small_stack(move || check("at", deep.as_bytes(), Some(5)));
    }

    #[test]
    fn a_path_is_names_joined_by_dots() {
        for text in ["", ".", "a.", ".a", "a..b", &"a.".repeat(16)] {
            assert!(text.parse::<ArrivalPath>().is_err(), "{text}");
        }
        let path: ArrivalPath = serde_json::from_str("\"a.b\"").unwrap();
        assert_eq!(serde_json::to_string(&path).unwrap(), "\"a.b\"");
    }
}
