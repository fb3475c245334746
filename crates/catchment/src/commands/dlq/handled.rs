//! Which letters were dealt with: what `<app>.dlq.handled` says.

use catchment_connectors::kafka::{NamedPartition, Place, Scan};
use catchment_contracts::handled::{Handled, HandledLetters};
use catchment_contracts::topics;

use super::Desk;

/// Reads all records of the topic. One that can't be read is passed over with a warning: the letters that it speaks of
/// count as waiting, and to replay one twice does no harm.
pub(super) fn load(desk: &Desk) -> anyhow::Result<HandledLetters> {
    let topic = topics::dlq_handled(&desk.config.app);
    let of = [NamedPartition::new(&topic, 0)];
    let mut scan = Scan::new(&desk.cluster, &of, Place::Earliest, desk.patience())?;
    let mut letters = HandledLetters::default();
    while let Some(record) = scan.next_record()? {
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        match (key, record.value.as_deref().map(Handled::decode)) {
            (Some(key), Some(Ok(handled))) => letters.add(key, &handled),
            _ => tracing::warn!(topic, offset = record.offset, "a record that can't be read is passed over"),
        }
    }
    Ok(letters)
}
