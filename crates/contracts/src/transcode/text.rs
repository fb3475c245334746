//! Values as JSON text.

use jiff::tz::TimeZone;
use std::fmt::Write as _;

const MILLIS_OF_DAY: i64 = 86_400_000;

/// What a time is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// Digits behind the point of a second.
    fn digits(self) -> usize {
        match self {
            Unit::Millis => 3,
            Unit::Micros => 6,
            Unit::Nanos => 9,
        }
    }

    /// So many of them are a millisecond.
    fn of_milli(self) -> i64 {
        match self {
            Unit::Millis => 1,
            Unit::Micros => 1_000,
            Unit::Nanos => 1_000_000,
        }
    }

    /// Whether a time of day in it is an `int`.
    pub(super) fn fits_int(self) -> bool {
        self == Unit::Millis
    }

    fn moment(self, value: i64) -> Option<jiff::Timestamp> {
        match self {
            Unit::Millis => jiff::Timestamp::from_millisecond(value).ok(),
            Unit::Micros => jiff::Timestamp::from_microsecond(value).ok(),
            Unit::Nanos => jiff::Timestamp::from_nanosecond(value.into()).ok(),
        }
    }
}

/// `write!` to a `String` can't fail.
macro_rules! put {
    ($out:expr, $($what:tt)*) => {{
        let _ = write!($out, $($what)*);
    }};
}

pub(super) fn integer(out: &mut String, value: i64) {
    put!(out, "{value}");
}

/// The shortest text that means the number, which is what `Debug` gives, with an exponent where digits would be many.
pub(super) fn float(out: &mut String, value: f32) {
    if value.is_finite() { put!(out, "{value:?}") } else { out.push_str("null") }
}

pub(super) fn double(out: &mut String, value: f64) {
    if value.is_finite() { put!(out, "{value:?}") } else { out.push_str("null") }
}

/// A string in quotes, escaped as RFC 8259 wants it.
pub(super) fn quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[from..at]);
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => put!(out, "\\u{control:04x}"),
        }
        from = at + 1;
    }
    out.push_str(&text[from..]);
    out.push('"');
}

const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

fn two_digits(out: &mut String, byte: u8) {
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 15)]);
}

pub(super) fn hex(out: &mut String, bytes: &[u8]) {
    out.push('"');
    bytes.iter().for_each(|byte| two_digits(out, *byte));
    out.push('"');
}

/// A UUID; hex digits where the bytes are not 16.
pub(super) fn uuid(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for (place, byte) in bytes.iter().enumerate() {
        if bytes.len() == 16 && [4, 6, 8, 10].contains(&place) {
            out.push('-');
        }
        two_digits(out, *byte);
    }
    out.push('"');
}

/// The integer that a decimal is without its point: two's complement, big-endian. None: it has more than 16 bytes.
pub(super) fn unscaled(mut bytes: &[u8]) -> Option<i128> {
    // Bytes that only repeat the sign say nothing.
    while bytes.len() > 16 {
        match bytes {
            [0x00, rest @ ..] if rest[0] < 0x80 => bytes = rest,
            [0xff, rest @ ..] if rest[0] >= 0x80 => bytes = rest,
            _ => return None,
        }
    }
    let sign = if bytes.first().is_some_and(|first| *first >= 0x80) { -1 } else { 0 };
    Some(bytes.iter().fold(sign, |value: i128, byte| value << 8 | i128::from(*byte)))
}

/// A number with that many digits behind the point.
pub(super) fn decimal(out: &mut String, unscaled: i128, scale: usize) {
    if unscaled < 0 {
        out.push('-');
    }
    let digits = unscaled.unsigned_abs().to_string();
    if scale == 0 {
        out.push_str(&digits);
        return;
    }
    let whole = digits.len().saturating_sub(scale);
    out.push_str(if whole == 0 { "0" } else { &digits[..whole] });
    out.push('.');
    (digits.len()..scale).for_each(|_| out.push('0'));
    out.push_str(&digits[whole..]);
}

pub(super) fn timestamp(out: &mut String, value: i64, unit: Unit) {
    match unit.moment(value) {
        Some(moment) => put!(out, "\"{moment:.*}\"", unit.digits()),
        None => integer(out, value),
    }
}

pub(super) fn local_timestamp(out: &mut String, value: i64, unit: Unit) {
    match unit.moment(value) {
        Some(moment) => {
            let local = moment.to_zoned(TimeZone::UTC).datetime();
            put!(out, "\"{local:.*}\"", unit.digits());
        }
        None => integer(out, value),
    }
}

pub(super) fn date(out: &mut String, days: i32) {
    match Unit::Millis.moment(i64::from(days) * MILLIS_OF_DAY) {
        Some(moment) => put!(out, "\"{}\"", moment.to_zoned(TimeZone::UTC).date()),
        None => integer(out, days.into()),
    }
}

pub(super) fn time_of_day(out: &mut String, value: i64, unit: Unit) {
    let second = 1_000 * unit.of_milli();
    if !(0..86_400 * second).contains(&value) {
        return integer(out, value);
    }
    let (seconds, fraction) = (value / second, value % second);
    let (hour, minute) = (seconds / 3_600, seconds / 60 % 60);
    put!(out, "\"{hour:02}:{minute:02}:{:02}.{fraction:0width$}\"", seconds % 60, width = unit.digits());
}
