//! Which letters were dealt with: what `<app>.dlq.handled` says.

use anyhow::bail;
use catchment_connectors::kafka::{NamedPartition, Place, Scan};
use catchment_contracts::handled::{Handled, HandledLetters};
use catchment_contracts::topics;

use super::Desk;

/// What becomes of a mark that can't be read, one that a newer release wrote, perhaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is passed over with a warning: the letters that it speaks of are shown as waiting.
    Warn,
    /// Nothing is done: letters could be dealt with a second time.
    Refuse,
}

/// Reads all records of the topic.
///
/// # Errors
/// Kafka does not answer, or a mark can't be read and is to be refused.
pub(super) fn load(desk: &Desk, unreadable: Unreadable) -> anyhow::Result<HandledLetters> {
    let topic = topics::dlq_handled(&desk.config.app);
    let of = [NamedPartition::new(&topic, 0)];
    let mut scan = Scan::new(&desk.cluster, &of, Place::Earliest, desk.patience())?;
    let mut letters = HandledLetters::default();
    while let Some(record) = scan.next_record()? {
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        match (key, record.value.as_deref().map(Handled::decode), unreadable) {
            (Some(key), Some(Ok(handled)), _) => letters.add(key, &handled),
            (_, _, Unreadable::Warn) => {
                tracing::warn!(
                    topic,
                    offset = record.offset,
                    "a mark that can't be read is passed over: its letters count as waiting"
                );
            }
            (_, _, Unreadable::Refuse) => bail!(
                "{topic} offset {} can't be read: letters that were dealt with already would be again. Was it written by a \
                 newer release? Run that one",
                record.offset
            ),
        }
    }
    Ok(letters)
}
