//! One spelling per identifier: the rules by which values that mean the same become equal.
//!
//! Every function borrows its input where nothing has to change, which is the usual case.

use std::borrow::Cow;

/// Values that never identify anybody, in any case: what programs write when they have nothing to say.
pub const PLACEHOLDERS: [&str; 8] =
    ["", "null", "undefined", "nan", "anonymous", "unknown", "-1", "[object object]"];

/// The longest value that can be an identifier, in bytes. Longer ones are no identifiers: e-mail addresses end at 254
/// (RFC 5321), and ids at far less.
pub const MAX_IDENTIFIER_BYTES: usize = 320;

/// An id as it is, without the white space around it; `None` for placeholders (see [`PLACEHOLDERS`]), for what
/// consists of zeros and dashes only, and for what is longer than [`MAX_IDENTIFIER_BYTES`].
#[must_use]
pub fn plain_id(value: &str) -> Option<&str> {
    let value = value.trim();
    let nothing = value.bytes().all(|byte| matches!(byte, b'0' | b'-'));
    if nothing || value.len() > MAX_IDENTIFIER_BYTES {
        return None;
    }
    // Only short values can be placeholders; most ids are longer than the longest of them.
    let placeholder =
        value.len() <= 15 && PLACEHOLDERS.iter().any(|placeholder| value.eq_ignore_ascii_case(placeholder));
    (!placeholder).then_some(value)
}

/// An e-mail address in lower case, without the white space around it; `None` unless there is text on both sides of
/// exactly one `@` and no white space within. (That is all that is asked of an address to compare it; whether mail
/// reaches it is not for us to say.)
#[must_use]
pub fn email(value: &str) -> Option<Cow<'_, str>> {
    let value = plain_id(value)?;
    let (local, domain) = value.split_once('@')?;
    if local.is_empty() || domain.is_empty() || domain.contains('@') || value.contains(char::is_whitespace) {
        return None;
    }
    // ASCII addresses in lower case, nearly all of them, stay as they are.
    let lower = value.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    Some(if lower { Cow::Borrowed(value) } else { Cow::Owned(value.to_lowercase()) })
}

/// A telephone number in E.164 (`+` and 7 to 15 digits, the first not 0): a leading `+` or `00`, then digits, all else
/// dropped. `None` without a country code (none begins with 0), and for nothing but zeros.
#[must_use]
pub fn phone(value: &str) -> Option<Cow<'_, str>> {
    let value = plain_id(value)?;
    let nothing = |c: char| c.is_whitespace() || matches!(c, '0' | '(' | ')' | '+' | '.' | '-');
    if value.chars().all(nothing) {
        return None;
    }
    if is_e164(value) {
        return Some(Cow::Borrowed(value));
    }
    let international = value.strip_prefix('+').or_else(|| value.strip_prefix("00"))?;
    let mut number = String::with_capacity(16);
    number.push('+');
    number.extend(international.chars().filter(char::is_ascii_digit));
    is_e164(&number).then_some(Cow::Owned(number))
}

fn is_e164(value: &str) -> bool {
    value.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A country as its ISO 3166-1 alpha-2 code in capitals; `None` for anything else.
#[must_use]
pub fn country(value: &str) -> Option<String> {
    let value = value.trim().to_ascii_uppercase();
    value
        .parse::<iso_country::Country>()
        .ok()
        .filter(|country| *country != iso_country::Country::Unspecified)?;
    Some(value)
}

/// A time zone of the IANA database; `None` if it is not listed, also where only the case differs (`europe/berlin`): one
/// zone has one spelling, which others can look up in databases that heed the case.
#[must_use]
pub fn time_zone(value: &str) -> Option<&str> {
    let value = value.trim();
    let zone = jiff::tz::TimeZone::get(value).ok().filter(|zone| !zone.is_unknown())?;
    (zone.iana_name() == Some(value)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_keep_their_case_and_lose_their_white_space() {
        assert_eq!(plain_id(" u-Mia\t"), Some("u-Mia"));
        for nobody in [
            "",
            " ",
            "NULL",
            "Undefined",
            "NaN",
            "anonymous",
            "unknown",
            "-1",
            "[object Object]",
            "0000",
            "----",
        ] {
            assert_eq!(plain_id(nobody), None, "{nobody}");
        }
        assert_eq!(plain_id("00000000-0000-0000-0000-000000000000"), None);
        assert_eq!(plain_id(&"x".repeat(321)), None);
    }

    #[test]
    fn email_is_lower_case_with_text_on_both_sides_of_one_at() {
        assert_eq!(email("  Mia.Okafor@Example.COM ").as_deref(), Some("mia.okafor@example.com"));
        assert!(matches!(email("mia@example.com"), Some(Cow::Borrowed("mia@example.com"))));
        assert_eq!(email("JÖRG@EXAMPLE.COM").as_deref(), Some("jörg@example.com"));
        for bad in ["undefined", "mia", "@example.com", "mia@", "a@b@c", "mia okafor@example.com"] {
            assert_eq!(email(bad), None, "{bad}");
        }
    }

    #[test]
    fn phone_is_e164() {
        for spelled in ["+442079460958", " +44 20 7946 0958 ", "0044 (20) 7946-0958", "+44.20.7946.0958"] {
            assert_eq!(phone(spelled).as_deref(), Some("+442079460958"), "{spelled}");
        }
        for bad in [
            "0000000000",
            "020 7946 0958",
            "+12",
            "+1234567890123456",
            "null",
            "+00 (0)",
            "+0442079460958",
            "+0 1234567",
            "000441234567",
        ] {
            assert_eq!(phone(bad), None, "{bad}");
        }
    }

    #[test]
    fn countries_and_zones_are_those_of_their_lists() {
        assert_eq!(country(" de ").as_deref(), Some("DE"));
        assert_eq!((country(""), country("ZZ"), country("Germany")), (None, None, None));
        assert_eq!(time_zone("Europe/Berlin"), Some("Europe/Berlin"));
        assert_eq!(
            (time_zone(" UTC "), time_zone("America/New_York")),
            (Some("UTC"), Some("America/New_York"))
        );
        for other in ["", "Mars/Olympus", "europe/berlin", "utc", "Etc/Unknown"] {
            assert_eq!(time_zone(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,24}|[+0-9 ().-]{0,20}|[a-zA-Z@. ]{0,20}") {
            if let Some(once) = email(&text) {
                prop_assert_eq!(email(&once), Some(Cow::Borrowed(&*once)));
            }
            if let Some(once) = phone(&text) {
                prop_assert_eq!(phone(&once), Some(Cow::Borrowed(&*once)));
            }
            if let Some(once) = plain_id(&text) {
                prop_assert_eq!(plain_id(once), Some(once));
            }
        }
    }
}
