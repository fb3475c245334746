//! Texts in fields: times, amounts, identifiers, sizes.

use catchment::config::{Size, Span};
use catchment_domain::id::NodeKey;
use catchment_domain::money::{Currency, format_minor, parse_minor};
use catchment_domain::normalise;
use catchment_domain::time::{format_rfc3339, parse_rfc3339};

use super::{PLAN, Target, choose, chosen};

/// Texts in fields.
pub(super) const VALUES: Target = Target {
    name: "values",
    body: values,
    seeds: || {
        let texts = [
            (0, "2026-03-05T09:00:00.123+01:00"),
            (0, "2024-02-29T23:59:60Z"),
            (1, "119.95"),
            (1, "-1e3"),
            (2, "  Anna.Smith@Example.COM "),
            (2, "+49 (0)30 123-456"),
            (2, "Europe/Berlin"),
            (3, "00010203040506070809fafbfcfdfeff"),
            (4, "64 MiB"),
            (4, "1h 30m"),
            (4, "48h"),
        ];
        texts.map(|(kind, text)| chosen(kind, text.as_bytes())).to_vec()
    },
    least: 8_192 + PLAN,
    per_byte: 16,
};

fn values(input: &[u8]) {
    let Some((kind, text)) = choose(input, 5) else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match kind {
        0 => {
            if let Some(at) = parse_rfc3339(text) {
                assert_eq!(parse_rfc3339(&format_rfc3339(at)), Some(at), "{text}");
            }
        }
        1 => {
            let _ = Currency::from_code(text);
            for decimals in 0..5 {
                if let Ok(minor) = parse_minor(text, decimals) {
                    assert_eq!(parse_minor(&format_minor(minor, decimals), decimals), Ok(minor), "{text}");
                }
            }
        }
        2 => {
            // What has its one spelling keeps it.
            if let Some(email) = normalise::email(text) {
                assert_eq!(normalise::email(&email).as_deref(), Some(&*email));
            }
            if let Some(phone) = normalise::phone(text) {
                assert_eq!(normalise::phone(&phone).as_deref(), Some(&*phone));
            }
            if let Some(id) = normalise::plain_id(text) {
                assert_eq!(normalise::plain_id(&id).as_deref(), Some(&*id));
            }
            let _ = (normalise::country(text), normalise::time_zone(text));
        }
        3 => {
            if let Ok(key) = text.parse::<NodeKey>() {
                assert_eq!(key.to_string().parse::<NodeKey>(), Ok(key));
            }
        }
        _ => {
            if let Ok(size) = text.parse::<Size>() {
                assert_eq!(size.bytes().to_string().parse::<Size>().map(Size::bytes), Ok(size.bytes()));
            }
            let _ = text.parse::<Span>().map(|span| (span.millis(), span.as_duration()));
        }
    }
}
