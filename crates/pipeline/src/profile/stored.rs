//! What the state holds, in the form it is stored in.

use super::convert;
use catchment_contracts::NodeState;
use catchment_domain::campaign::Ledger;
use catchment_domain::{NodeKey, Profile};
use catchment_runtime::Unreadable;
use catchment_runtime::state::Stored;

/// A node with its profile. Stored as the public record without its wire header: Avro `CustomerProfile`. The header's
/// schema id is its version; the task checks it before it decodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Customer {
    /// Root of the customer.
    pub key: NodeKey,
    /// What is known.
    pub profile: Profile,
}

impl Stored for Customer {
    fn encode(&self, out: &mut Vec<u8>) {
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

/// Version of the stored form of a ledger: 1 = Avro `NodeState`.
const LEDGER_VERSION: u8 = 1;

/// Ledger and timers of a node. Stored as a version byte and Avro `NodeState`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredLedger(pub Ledger);

impl StoredLedger {
    /// A stored form, but for the timers in it: for a bug that is planted in tests, and never called else.
    pub(super) fn without_timers(form: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Ok(mut stored) = Self::decode(form) {
            stored.0.timers.clear();
            stored.encode(&mut bytes);
        }
        bytes
    }
}

impl Stored for StoredLedger {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LEDGER_VERSION);
        convert::wire_ledger(&self.0).encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        match bytes.split_first() {
            Some((&LEDGER_VERSION, datum)) => {
                let record = NodeState::decode(datum).map_err(|error| unreadable("node state", &error))?;
                Ok(StoredLedger(convert::ledger(&record)))
            }
            Some((version, _)) => Err(Unreadable {
                reason: format!(
                    "node state of version {version}; this program reads version {LEDGER_VERSION}"
                ),
            }),
            None => Err(Unreadable { reason: "node state without a version".to_owned() }),
        }
    }
}

pub(super) fn unreadable(what: &str, error: &dyn std::fmt::Display) -> Unreadable {
    Unreadable { reason: format!("{what}: {error}") }
}
