//! Ledger and timers of a node: the value of `<app>.profile.state`.

use super::super::convert;
use super::unreadable;
use catchment_contracts::NodeState;
use catchment_domain::campaign::Ledger;
use catchment_runtime::Unreadable;
use catchment_runtime::state::{StateFormat, Stored, Versions};

/// 1 = Avro `NodeState` as of the first release.
const VERSIONS: Versions = Versions { what: "node state", since: &[(StateFormat::FIRST, 1)] };

/// Ledger and timers of a node. Stored as a version byte and Avro `NodeState`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredLedger(pub Ledger);

impl StoredLedger {
    /// A stored form, but for the timers in it: for a bug that is planted in tests, and never called else.
    pub(in super::super) fn without_timers(form: &[u8], format: StateFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Ok(mut stored) = Self::decode(form) {
            stored.0.timers.clear();
            stored.encode(format, &mut bytes);
        }
        bytes
    }
}

impl Stored for StoredLedger {
    fn encode(&self, format: StateFormat, out: &mut Vec<u8>) {
        out.push(VERSIONS.written_in(format));
        convert::wire_ledger(&self.0).encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        // Every version that is known so far is of one schema.
        let (_, datum) = VERSIONS.split(bytes)?;
        let record = NodeState::decode(datum).map_err(|error| unreadable("node state", &error))?;
        Ok(StoredLedger(convert::ledger(&record)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_frozen, check_whole, encoded, formats};
    use super::*;
    use catchment_domain::campaign::{Sent, Timer};
    use catchment_domain::profile::Text;
    use proptest::prelude::*;

    fn ledger() -> StoredLedger {
        let sent = Sent {
            campaign: Text::from("back_in_stock"),
            scope: Text::from("run-aero-42"),
            trigger_id: Text::from("t-1"),
            at: 1_772_701_200_000,
            occurred_at: 1_772_701_140_000,
        };
        let timer = Timer {
            due: 1_772_703_000_000,
            campaign: Text::from("cart_abandoned"),
            scope: Text::from("cart"),
            event_id: Text::from("e-1"),
            source: Text::from("web"),
            occurred_at: 1_772_701_200_000,
        };
        StoredLedger(Ledger { sent: vec![sent], timers: vec![timer] })
    }

    #[test]
    fn a_record_of_any_release_is_read_and_written_as_ever() {
        check_frozen(&ledger(), include_str!("../../../golden/ledger.v1.hex"), &[1]);
    }

    #[test]
    fn a_record_that_is_cut_off_or_of_a_newer_release_is_refused() {
        let mut form = encoded(&ledger(), StateFormat::FIRST);
        check_whole::<StoredLedger>(&form);
        form[0] = 9;
        let refusal = StoredLedger::decode(&form).unwrap_err().to_string();
        assert!(refusal.starts_with("node state of version 9, where this release reads 1: "), "{refusal}");
        let refusal = StoredLedger::decode(&[1, 2]).unwrap_err().to_string();
        assert!(refusal.starts_with("node state: "), "{refusal}");
    }

    fn text() -> impl Strategy<Value = Text> {
        ".{0,12}".prop_map(|text| Text::from(text.as_str()))
    }

    fn sent() -> impl Strategy<Value = Sent> {
        (text(), text(), text(), any::<i64>(), any::<i64>()).prop_map(
            |(campaign, scope, trigger_id, at, occurred_at)| Sent {
                campaign,
                scope,
                trigger_id,
                at,
                occurred_at,
            },
        )
    }

    fn timer() -> impl Strategy<Value = Timer> {
        (any::<i64>(), text(), text(), text(), text(), any::<i64>()).prop_map(
            |(due, campaign, scope, event_id, source, occurred_at)| Timer {
                due,
                campaign,
                scope,
                event_id,
                source,
                occurred_at,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_ledger_is_read_back_in_every_format(
            sent in prop::collection::vec(sent(), 0..6),
            timers in prop::collection::vec(timer(), 0..6),
        ) {
            let ledger = StoredLedger(Ledger { sent, timers });
            for format in formats() {
                prop_assert_eq!(&StoredLedger::decode(&encoded(&ledger, format)).unwrap(), &ledger);
            }
        }
    }
}
