//! A node with its profile: the value of `customer.profiles`, which is the changelog of the public part.

use super::super::convert;
use super::{long, unreadable};
use catchment_domain::{Millis, NodeKey, Profile};
use catchment_runtime::Unreadable;
use catchment_runtime::state::{StateFormat, Stored};

/// A node with its profile. Stored as the public record without its wire header: Avro `CustomerProfile`. The header's
/// schema id is its version; the task checks it before it decodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Customer {
    /// Root of the customer.
    pub key: NodeKey,
    /// What is known.
    pub profile: Profile,
}

impl Customer {
    /// The newest event of a stored form, without reading the rest of it: after the key's 16 bytes, the number of events and the
    /// earliest one.
    pub(in super::super) fn last_seen(form: &[u8]) -> Option<Millis> {
        let mut rest = form.get(16..)?;
        let mut last = 0;
        for _ in 0..3 {
            last = long(&mut rest)?;
        }
        Some(last)
    }
}

impl Stored for Customer {
    fn encode(&self, _: StateFormat, out: &mut Vec<u8>) {
        convert::encode_profile(self.key, &self.profile, out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (key, profile) =
            convert::decode_profile(bytes).map_err(|error| unreadable("customer profile", &error))?;
        Ok(Customer { key, profile })
    }

    /// What tells versions apart is the wire header, which the task has checked. The rest is read when the customer is.
    fn check(_: &[u8]) -> Result<(), Unreadable> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_frozen, check_whole, encoded, formats};
    use super::*;

    /// What the contract's frozen bytes say: every field is filled.
    const FROZEN: &str = include_str!("../../../../contracts/golden/customer_profile.v2.hex");

    fn bytes() -> Vec<u8> {
        let pairs = FROZEN.trim().as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn a_record_of_any_release_is_read_and_written_as_ever() {
        let customer = Customer::decode(&bytes()).unwrap();
        assert!(!customer.profile.orders.is_empty() && !customer.profile.traits.is_empty());
        check_frozen(&customer, FROZEN, &[]);
        check_frozen(&customer, include_str!("../../../golden/customer.v2.hex"), &[2]);
    }

    #[test]
    fn a_record_that_is_cut_off_is_refused() {
        check_whole::<Customer>(&bytes());
        let refusal = Customer::decode(&[1, 2]).unwrap_err().to_string();
        assert!(refusal.starts_with("customer profile: "), "{refusal}");
    }

    #[test]
    fn the_newest_event_is_read_without_the_rest() {
        let customer = Customer::decode(&bytes()).unwrap();
        assert_eq!(Customer::last_seen(&bytes()), Some(customer.profile.last_seen));
        for last_seen in [0, 1, -1, 63, 64, i64::MIN, i64::MAX, 1_772_701_200_000] {
            let profile = Profile {
                events: u64::from(u32::MAX),
                last_seen,
                first_seen: last_seen / -3,
                ..Profile::default()
            };
            let form = encoded(&Customer { key: NodeKey([9; 16]), profile }, super::super::NEWEST_FORMAT);
            assert_eq!(Customer::last_seen(&form), Some(last_seen));
        }
        assert_eq!(Customer::last_seen(&[0xff; 40]), None);
        assert_eq!(Customer::last_seen(&[0; 17]), None);
    }

    #[test]
    fn an_empty_profile_is_read_back_in_every_format() {
        let customer = Customer { key: NodeKey([7; 16]), profile: Profile::default() };
        for format in formats() {
            assert_eq!(Customer::decode(&encoded(&customer, format)).unwrap(), customer);
        }
    }
}
