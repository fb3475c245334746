//! One spelling per identifier: the rules by which values that mean the same become equal. Each stands with its examples
//! in `docs/normalisation.md`, which the tests read.
//!
//! Every function borrows its input where nothing has to change, which is the usual case.

use crate::id::IdentifierType;
use crate::time::Millis;
use email_address::{EmailAddress, Options};
use icu_normalizer::ComposingNormalizerBorrowed;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Values that never identify anybody, in any case: what programs write when they have nothing to say.
pub const PLACEHOLDERS: [&str; 8] =
    ["", "null", "undefined", "nan", "anonymous", "unknown", "-1", "[object object]"];

/// The longest value that can be an identifier, in bytes. Longer ones are no identifiers: e-mail addresses end at 254
/// (RFC 5321), and ids at far less.
pub const MAX_IDENTIFIER_BYTES: usize = 320;

/// An id as it is, in Unicode's composed form (NFC) and without the white space around it; `None` for placeholders (see
/// [`PLACEHOLDERS`]), for what consists of zeros and dashes only, and for what is longer than [`MAX_IDENTIFIER_BYTES`].
#[must_use]
pub fn plain_id(value: &str) -> Option<Cow<'_, str>> {
    let value = value.trim();
    let nothing = value.bytes().all(|byte| matches!(byte, b'0' | b'-'));
    if nothing || value.len() > MAX_IDENTIFIER_BYTES {
        return None;
    }
    // Only short values can be placeholders; most ids are longer than the longest of them.
    let placeholder =
        value.len() <= 15 && PLACEHOLDERS.iter().any(|placeholder| value.eq_ignore_ascii_case(placeholder));
    (!placeholder).then(|| composed(value))
}

/// The same text may be written with one character or with two, as `é` may: this is the one with one.
fn composed(value: &str) -> Cow<'_, str> {
    if value.is_ascii() {
        return Cow::Borrowed(value);
    }
    ComposingNormalizerBorrowed::new_nfc().normalize(value)
}

/// An e-mail address (RFC 5322 and 6531: no quoted name, no address in brackets) in lower case and composed; `None` for
/// anything else. What stands behind a `+` stays: whether it is the same mailbox is for the provider to say, and telling
/// two people for one is worse than one for two. Whether mail reaches it is not for us to say either.
#[must_use]
pub fn email(value: &str) -> Option<Cow<'_, str>> {
    const SYNTAX: Options =
        Options { minimum_sub_domains: 0, allow_domain_literal: false, allow_display_text: false };
    let value = value.trim();
    // Of what the library has no notion, and most values that are no address are found here.
    if value.len() > MAX_IDENTIFIER_BYTES || !value.contains('@') || value.contains('"') {
        return None;
    }
    let value = composed(value);
    EmailAddress::parse_with_options(&value, SYNTAX).ok()?;
    // ASCII addresses in lower case, nearly all of them, stay as they are.
    let lower = value.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    Some(if lower { value } else { Cow::Owned(composed(&value.to_lowercase()).into_owned()) })
}

/// An address in its one spelling without what stands behind a `+` in its name; `None` if nothing does, or nothing stands before
/// it.
#[must_use]
pub fn without_tag(email: &str) -> Option<String> {
    let (name, domain) = email.rsplit_once('@')?;
    let (mailbox, _) = name.split_once('+').filter(|(mailbox, _)| !mailbox.is_empty())?;
    Some(format!("{mailbox}@{domain}"))
}

/// What a deployment decides of identifiers, besides the rules that always hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Values that identify nobody, in their one spelling and lower case.
    blocked: BTreeSet<String>,
    /// Addresses are taken [without their tags](without_tag).
    strips_tags: bool,
}

impl Policy {
    /// Values that identify nobody, in any case, and whether addresses are taken without their tags.
    #[must_use]
    pub fn new<'v>(blocked: impl IntoIterator<Item = &'v str>, strips_tags: bool) -> Self {
        let blocked = blocked.into_iter().map(|value| value.trim().to_lowercase()).collect();
        Policy { blocked, strips_tags }
    }

    /// True if nothing is decided.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.blocked.is_empty() && !self.strips_tags
    }

    /// What becomes of an identifier in its one spelling; `None` if it identifies nobody here.
    #[must_use]
    pub fn take<'v>(&self, kind: IdentifierType, value: Cow<'v, str>) -> Option<Cow<'v, str>> {
        let stripped =
            if self.strips_tags && kind == IdentifierType::Email { without_tag(&value) } else { None };
        let value = stripped.map_or(value, Cow::Owned);
        (!self.blocked.contains(&value.to_lowercase())).then_some(value)
    }
}

/// A telephone number in E.164 by the numbering plans of the countries: `+` or `00`, country code, number. A trunk zero
/// (`+44 (0)20`) goes, but for the countries that dial it. `None` without a country code, and for a number with an
/// extension: behind a switchboard sits more than one. Whether the number is in use, and whether its range is
/// assigned, is not asked: plans change more often than customers do.
#[must_use]
pub fn phone(value: &str) -> Option<Cow<'_, str>> {
    let value = value.trim();
    if value.len() > MAX_PHONE_BYTES {
        return None;
    }
    let international: Cow<'_, str> = match value.strip_prefix("00") {
        Some(rest) => Cow::Owned(format!("+{rest}")),
        None => Cow::Borrowed(value),
    };
    // Letters are no way to state a number in data, and `x` is how an extension begins.
    let is_number = international.starts_with('+')
        && international[1..].chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || "().-/".contains(c));
    if !is_number {
        return None;
    }
    let parsed =
        phonenumber::parse(None, &*international).ok().filter(|number| number.extension().is_none())?;
    let number = parsed.format().mode(phonenumber::Mode::E164).to_string();
    if !is_e164(&number) {
        return None;
    }
    Some(if number == value { Cow::Borrowed(value) } else { Cow::Owned(number) })
}

/// Reads the numbering plans, which takes some 60 ms once in a process: so that it is not the first number that waits.
pub fn prepare() {
    let _ = phone("+442079460958");
}

/// The longest text that is looked at as a telephone number, in bytes: several times as long as any is.
const MAX_PHONE_BYTES: usize = 64;

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

/// A time zone that is looked up already.
#[derive(Clone, Debug)]
pub struct Zone(jiff::tz::TimeZone);

impl Zone {
    /// The zone of that name, as [`time_zone`] takes it.
    #[must_use]
    pub fn of(value: &str) -> Option<Zone> {
        jiff::tz::TimeZone::get(time_zone(value)?).ok().map(Zone)
    }

    /// Hour of the day there, 0 to 23; `None` for a moment beyond the years that calendars know.
    #[must_use]
    pub fn hour(&self, at: Millis) -> Option<u8> {
        let at = jiff::Timestamp::from_millisecond(at).ok()?;
        u8::try_from(self.0.to_datetime(at).hour()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The tables of the page: under a heading of that name, what is given and what it becomes, both as JSON.
    fn table(heading: &str) -> Vec<(String, Option<String>)> {
        const PAGE: &str = include_str!("../../../docs/normalisation.md");
        let start = PAGE.find(&format!("\n## {heading}\n")).unwrap();
        let section = &PAGE[start + 4..];
        let section = &section[..section.find("\n## ").unwrap_or(section.len())];
        let json = |cell: &str| serde_json::from_str(cell.trim().trim_matches('`')).unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let rows: Vec<_> = rows
            .map(|row| {
                let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
                let becomes = cells[1].trim();
                (json(cells[0]), (becomes != "none").then(|| json(becomes)))
            })
            .collect();
        assert!(rows.len() >= 3, "{heading}: {} rows", rows.len());
        rows
    }

    #[track_caller]
    fn check(heading: &str, rule: impl Fn(&str) -> Option<String>) {
        for (given, becomes) in table(heading) {
            assert_eq!(rule(&given), becomes, "{heading}: {given:?}");
        }
    }

    #[test]
    fn every_rule_does_what_its_table_says() {
        check("Ids", |value| plain_id(value).map(Cow::into_owned));
        check("E-mail addresses", |value| email(value).map(Cow::into_owned));
        check("E-mail addresses without tags", |value| {
            Policy::new([], true).take(IdentifierType::Email, email(value)?).map(Cow::into_owned)
        });
        check("Values of your own that identify nobody", |value| {
            let policy = Policy::new(["noreply@awesomeshoes.example", "+490000000", "Guest"], false);
            policy.take(IdentifierType::UserId, plain_id(value)?).map(Cow::into_owned)
        });
        check("Telephone numbers", |value| phone(value).map(Cow::into_owned));
        check("Countries", country);
        check("Time zones", |value| time_zone(value).map(str::to_owned));
    }

    #[test]
    fn what_is_too_long_is_no_identifier() {
        assert_eq!(plain_id(&"x".repeat(MAX_IDENTIFIER_BYTES + 1)), None);
        assert!(plain_id(&"x".repeat(MAX_IDENTIFIER_BYTES)).is_some());
        assert_eq!(email(&format!("{}@example.com", "x".repeat(310))), None);
        assert_eq!(phone(&format!("+44{}20 7946 0958", " ".repeat(60))), None);
    }

    #[test]
    fn what_is_right_already_is_borrowed() {
        assert!(matches!(plain_id("u-mia"), Some(Cow::Borrowed(_))));
        assert!(matches!(email("mia@example.com"), Some(Cow::Borrowed(_))));
        assert!(matches!(phone("+442079460958"), Some(Cow::Borrowed(_))));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,24}|[+0-9 ().-]{0,20}|[a-zA-Z@. ]{0,20}|\\PC{1,8}@\\PC{1,8}|[+]4[0-9 ()]{6,14}") {
            if let Some(once) = email(&text) {
                prop_assert_eq!(email(&once), Some(Cow::Borrowed(&*once)));
            }
            if let Some(once) = phone(&text) {
                prop_assert_eq!(phone(&once), Some(Cow::Borrowed(&*once)));
            }
            if let Some(once) = plain_id(&text) {
                prop_assert_eq!(plain_id(&once), Some(Cow::Borrowed(&*once)));
            }
        }
    }
}
