//! Sizes and lengths of time as people write them: `4MiB`, `48h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A number of bytes, written as `32768`, `32KiB` or `4MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Factors of 1024 only: nobody who writes `4MB` for a limit means 4,000,000 and cares.
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Size {
    /// The number of bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = SIZE_UNITS
            .into_iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// A length of time to the millisecond, written as `500ms`, `10s`, `30m`, `48h`, `90d` or `2w`, or several of them
/// after each other, as in `1h30m`. A day has 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(i64);

/// No months and years: their length depends on the date.
const SPAN_UNITS: [(&str, i64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// A span of whole hours.
    #[must_use]
    pub const fn hours(hours: i64) -> Span {
        Span(hours * 3_600_000)
    }

    /// A span of milliseconds.
    #[must_use]
    pub const fn of_millis(millis: i64) -> Span {
        Span(millis)
    }

    /// Its milliseconds.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// As a duration of the standard library.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_millis(self.0.unsigned_abs())
    }
}

/// In one unit, the largest that leaves no rest; hours up to two days and days above, as people say it.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = SPAN_UNITS
            .into_iter()
            .filter(|(unit, factor)| *unit != "w" && (*unit != "d" || self.0 > 2 * factor))
            .find(|(_, factor)| self.0 % factor == 0 && self.0 != 0)
            .unwrap_or(("ms", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// A text that is no size or no length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAQuantity;

impl FromStr for Size {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let (number, unit) = split(text.trim())?;
        let unit = unit.trim_start();
        let factor = match unit {
            "" => 1,
            _ => SIZE_UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(NotAQuantity)?.1,
        };
        number.checked_mul(factor).map(Size).ok_or(NotAQuantity)
    }
}

impl FromStr for Span {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let mut rest = text.trim();
        let mut sum: i64 = 0;
        let mut smallest = i64::MAX;
        loop {
            let (number, after) = split(rest)?;
            let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            let (_, factor) = SPAN_UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(NotAQuantity)?;
            // `30m1h` is more likely a slip than a wish.
            if factor >= smallest {
                return Err(NotAQuantity);
            }
            smallest = factor;
            let part = i64::try_from(number).ok().and_then(|number| number.checked_mul(factor));
            sum = part.and_then(|part| sum.checked_add(part)).ok_or(NotAQuantity)?;
            rest = after.trim_start();
            if rest.is_empty() {
                return Ok(Span(sum));
            }
        }
    }
}

/// Digits, and what follows them.
fn split(text: &str) -> Result<(u64, &str), NotAQuantity> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Ok((digits.parse().map_err(|_| NotAQuantity)?, rest))
}

const SIZE_EXPECTED: &str = "a size such as `4MiB` or `32768`";
const SPAN_EXPECTED: &str = "a length of time such as `30m`, `48h` or `90d`";

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SIZE_EXPECTED)
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
        Ok(Size(bytes))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
        text.parse().map_err(|NotAQuantity| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SPAN_EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        text.parse().map_err(|NotAQuantity| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_what_they_write() {
        for (text, bytes, written) in [
            ("0", 0, "0B"),
            ("32768", 32_768, "32KiB"),
            ("4MiB", 4 << 20, "4MiB"),
            ("4 MiB", 4 << 20, "4MiB"),
            ("1025B", 1_025, "1025B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, written));
            assert_eq!(written.parse(), Ok(size));
        }
        for text in ["", "MiB", "4MB", "4mib", "-1", "1.5MiB", "99999999999GiB"] {
            assert_eq!(text.parse::<Size>(), Err(NotAQuantity), "{text}");
        }
    }

    #[test]
    fn spans_read_back_what_they_write() {
        for (text, millis, written) in [
            ("48h", 172_800_000, "48h"),
            ("90d", 7_776_000_000, "90d"),
            ("2w", 1_209_600_000, "14d"),
            ("1h30m", 5_400_000, "90m"),
            ("1h 30m", 5_400_000, "90m"),
            ("1500ms", 1_500, "1500ms"),
            ("0s", 0, "0ms"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.millis(), span.to_string().as_str()), (millis, written));
            assert_eq!(written.parse(), Ok(span));
        }
        for text in ["", "48", "h", "-1h", "1.5h", "30m1h", "1M", "1 h", "99999999999999w"] {
            assert_eq!(text.parse::<Span>(), Err(NotAQuantity), "{text}");
        }
    }
}
