//! Amounts: minor units of a currency, never floating point.

/// The most that an amount may be, in minor units: 9 × 10¹⁵, which a JSON reader with doubles still reads exactly.
pub const MAX_MINOR: i64 = 9_000_000_000_000_000;

/// A currency of ISO 4217. Ordered by code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Currency {
    code: [u8; 3],
    decimals: u32,
}

impl Currency {
    /// The currency of that code, in any case and with white space around it. `None` if ISO 4217 does not list it.
    #[must_use]
    pub fn from_code(text: &str) -> Option<Currency> {
        let code: [u8; 3] = text.trim().as_bytes().try_into().ok()?;
        let code = code.map(|byte| byte.to_ascii_uppercase());
        let known = iso_currency::Currency::from_code(std::str::from_utf8(&code).ok()?)?;
        // Metals, funds and test codes have no exponent; nothing is priced in them.
        let decimals = u32::from(known.exponent()?);
        Some(Currency { code, decimals })
    }

    /// The code, in capitals.
    #[must_use]
    pub fn code(&self) -> &str {
        // The code came out of a text of three ASCII letters.
        std::str::from_utf8(&self.code).unwrap_or_default()
    }

    /// Decimals of the minor unit: 2 for USD, 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn decimals(&self) -> u32 {
        self.decimals
    }
}

/// Why a number is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAnAmount {
    /// Not a JSON number.
    Syntax,
    /// More than [`MAX_MINOR`], or less than its negative.
    TooLarge,
}

/// Reads a JSON number as minor units, exactly: `69.95` with two decimals is 6995. What is finer than a minor unit is
/// rounded half away from zero, as shops do.
///
/// # Errors
/// [`NotAnAmount`] says why not.
pub fn parse_minor(number: &str, decimals: u32) -> Result<i64, NotAnAmount> {
    let (negative, rest) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], exponent_of(&rest[at + 1..])?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(NotAnAmount::Syntax);
    }
    // The value is the digits × 10^shift.
    let shift = i64::from(exponent) + i64::from(decimals) - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let value = scale(whole.bytes().chain(fraction.bytes()), whole.len() + fraction.len(), shift)?;
    Ok(if negative { -value } else { value })
}

/// Exponents beyond ±10,000 change nothing any more: the amount is then 0 or too large.
fn exponent_of(text: &str) -> Result<i32, NotAnAmount> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NotAnAmount::Syntax);
    }
    let size = digits.bytes().fold(0i32, |sum, b| (sum.saturating_mul(10) + i32::from(b - b'0')).min(10_000));
    Ok(if text.starts_with('-') { -size } else { size })
}

fn scale(digits: impl Iterator<Item = u8>, count: usize, shift: i64) -> Result<i64, NotAnAmount> {
    let keep = i64::try_from(count).unwrap_or(i64::MAX).saturating_add(shift);
    let (mut value, mut seen) = (0i64, 0i64);
    for digit in digits {
        if seen >= keep {
            // The first digit that is cut off decides the rounding; it counts only where it stands right behind
            // the last digit kept.
            if seen == keep && digit >= b'5' {
                value = value.checked_add(1).ok_or(NotAnAmount::TooLarge)?;
            }
            break;
        }
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(i64::from(digit - b'0')))
            .ok_or(NotAnAmount::TooLarge)?;
        seen += 1;
    }
    while seen < keep && value != 0 {
        value = value.checked_mul(10).ok_or(NotAnAmount::TooLarge)?;
        seen += 1;
    }
    if value > MAX_MINOR { Err(NotAnAmount::TooLarge) } else { Ok(value) }
}

/// Writes minor units with their decimals: 6995 with two is `69.95`.
#[must_use]
pub fn format_minor(minor: i64, decimals: u32) -> String {
    if decimals == 0 {
        return minor.to_string();
    }
    let unit = 10u64.pow(decimals);
    let sign = if minor < 0 { "-" } else { "" };
    let size = minor.unsigned_abs();
    format!("{sign}{}.{:0width$}", size / unit, size % unit, width = decimals as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(number: &str, decimals: u32, expected: Result<i64, NotAnAmount>) {
        assert_eq!(parse_minor(number, decimals), expected, "{number}");
    }

    #[test]
    fn reads_json_numbers_exactly() {
        check("69.95", 2, Ok(6_995));
        check("0.0", 2, Ok(0));
        check("-0", 2, Ok(0));
        check("1e2", 2, Ok(10_000));
        check("1.5E-1", 2, Ok(15));
        check("0.005", 2, Ok(1));
        check("0.0049", 2, Ok(0));
        check("0.05", 0, Ok(0));
        check("-69.955", 2, Ok(-6_996));
        check("120", 0, Ok(120));
        check("1.2345", 3, Ok(1_235));
        check("79.95", 2, Ok(7_995));
        check("0.29", 2, Ok(29));
        check("1e-400", 2, Ok(0));
        check("0e999999999999", 2, Ok(0));
    }

    #[test]
    fn refuses_what_is_no_amount() {
        check("1e400", 2, Err(NotAnAmount::TooLarge));
        check(&"9".repeat(400), 2, Err(NotAnAmount::TooLarge));
        check("90000000000000.01", 2, Err(NotAnAmount::TooLarge));
        check("92233720368547758.075", 2, Err(NotAnAmount::TooLarge));
        check("9223372036854775807.9", 0, Err(NotAnAmount::TooLarge));
        for text in ["", "-", ".5", "abc", "1e", "1e+", "NaN", "0x10", "1,5"] {
            check(text, 2, Err(NotAnAmount::Syntax));
        }
    }

    #[test]
    fn currencies_are_those_of_iso_4217() {
        let decimals = |text| Currency::from_code(text).map(|currency| currency.decimals());
        assert_eq!(Currency::from_code(" usd ").unwrap().code(), "USD");
        assert_eq!((decimals("USD"), decimals("JPY"), decimals("KWD")), (Some(2), Some(0), Some(3)));
        for text in ["", "US", "U5D", "ZZZ", "XAU", "USDD", "€"] {
            assert_eq!(decimals(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(minor in -MAX_MINOR..=MAX_MINOR, decimals in 0u32..5) {
            prop_assert_eq!(parse_minor(&format_minor(minor, decimals), decimals), Ok(minor));
        }

        #[test]
        fn never_panics(text in "[-+0-9.eE]{0,30}", decimals in 0u32..5) {
            let _ = parse_minor(&text, decimals);
        }
    }
}
