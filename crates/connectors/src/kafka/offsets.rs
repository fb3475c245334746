//! Questions about offsets, asked for many partitions at once.

use super::names::Names;
use super::trouble::{fatal, of_partition, retry};
use catchment_runtime::{LogError, NextOffset, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::{Offset, TopicPartitionList};
use std::time::Duration;

/// The first or the last offset of partitions, in the order asked: one request for each broker. `Offset::End` is the
/// high watermark to a `read_uncommitted` client, and the last stable offset to a `read_committed` one.
///
/// librdkafka passes the "time" that it is asked for on to the brokers as it is, and theirs for the two ends are the
/// same −1 and −2 as librdkafka's own.
pub(super) fn ask<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    names: &Names,
    of: &[TopicPartition],
    which: Offset,
    timeout: Duration,
) -> Result<Vec<NextOffset>, LogError> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let mut list = TopicPartitionList::with_capacity(of.len());
    for at in of {
        let (topic, partition) = names.of(*at)?;
        list.add_partition_offset(topic, partition, which).map_err(|error| fatal("offsets", &error))?;
    }
    let list = consumer.offsets_for_times(list, timeout).map_err(|error| retry("offsets", &error))?;
    let mut offsets = Vec::with_capacity(of.len());
    for (at, element) in of.iter().zip(list.elements()) {
        element.error().map_err(|error| of_partition(*at, "offset", &error))?;
        match element.offset() {
            Offset::Offset(offset) => offsets.push(NextOffset(offset.try_into().unwrap_or(0))),
            other => {
                let reason = format!("topic {} has no offset yet: {other:?}", element.topic());
                return Err(LogError::Retry { reason });
            }
        }
    }
    Ok(offsets)
}

/// Where the client stands in each of its partitions, as far as it has handed out anything since it was assigned; over
/// markers and aborted records.
pub(super) fn positions<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    names: &Names,
) -> Result<Vec<(TopicPartition, NextOffset)>, LogError> {
    let list = consumer.position().map_err(|error| retry("position", &error))?;
    let known = list.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => {
            let at = names.find(element.topic(), element.partition())?;
            Some((at, NextOffset(offset.try_into().unwrap_or(0))))
        }
        _ => None,
    });
    Ok(known.collect())
}
