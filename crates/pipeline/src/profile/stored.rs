//! What the state holds, in the form it is stored in: a file for each stored record.
//!
//! | format (`state.format`) | customer | node | ids of events | first written by |
//! |---|---|---|---|---|
//! | 1 | schema `customer_profile` | 1 | 1 | builds before identity; read, and not written any more |
//! | 2 | schema `customer_profile` | 2 | 1 | 0.1.0 |
//!
//! A release reads every version that an earlier one wrote, and writes the version that belongs to the configured format.
//! So a new version of a record is added in two steps: the release that brings it reads it and, told by `state.format`,
//! writes it; the next one makes that format the default. Between the two, an operator can go back.

mod customer;
mod node;

pub use customer::Customer;
pub use node::StoredNode;

use catchment_runtime::Unreadable;
use catchment_runtime::state::StateFormat;

/// The oldest format that can be written: before it, there was no identity.
pub const OLDEST_FORMAT: StateFormat = StateFormat(2);
/// The format that is written where nothing else is configured: the newest that the release before can read.
pub const DEFAULT_FORMAT: StateFormat = StateFormat(2);
/// The newest format that can be written.
pub const NEWEST_FORMAT: StateFormat = StateFormat(2);

/// Takes a long off Avro's binary encoding: seven bits a byte, the lowest first, zigzag.
fn long(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

pub(super) fn unreadable(what: &str, error: &dyn std::fmt::Display) -> Unreadable {
    Unreadable { reason: format!("{what}: {error}") }
}

#[cfg(test)]
mod testing {
    use super::{NEWEST_FORMAT, OLDEST_FORMAT};
    use catchment_runtime::state::{StateFormat, Stored};
    use std::fmt::Debug;

    /// All formats that can be written.
    pub(super) fn formats() -> impl Iterator<Item = StateFormat> {
        (OLDEST_FORMAT.0..=NEWEST_FORMAT.0).map(StateFormat)
    }

    pub(super) fn encoded<T: Stored>(value: &T, format: StateFormat) -> Vec<u8> {
        let mut form = Vec::new();
        value.encode(format, &mut form);
        form
    }

    /// Frozen bytes of a version: read as ever, and written as ever in the formats that it belongs to.
    #[track_caller]
    pub(super) fn check_frozen<T: Stored + Debug + PartialEq>(value: &T, hex: &str, written_in: &[u8]) {
        let bytes: Vec<u8> = hex.trim().as_bytes().chunks(2).map(digits).collect();
        assert_eq!(&T::decode(&bytes).unwrap(), value, "read differently");
        for format in written_in {
            let form = encoded(value, StateFormat(*format));
            let written: String = form.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(written, hex.trim(), "written differently in format {format}");
        }
    }

    fn digits(pair: &[u8]) -> u8 {
        u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()
    }

    /// No part of a record is taken for the whole, nor one with more behind it.
    #[track_caller]
    pub(super) fn check_whole<T: Stored + Debug>(form: &[u8]) {
        for length in 0..form.len() {
            T::decode(&form[..length]).unwrap_err();
        }
        T::decode(&[form, &[0]].concat()).unwrap_err();
    }
}
