//! Questions about offsets, asked for many partitions at once, and about where partitions are.

use super::names::Names;
use super::trouble::{fatal, of_partition, retry};
use catchment_runtime::{LogError, Millis, NextOffset, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
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
    let answer = |at: &TopicPartition, offset| match offset {
        Offset::Offset(offset) => Ok(NextOffset(offset.try_into().unwrap_or(0))),
        other => {
            let topic = names.of(*at)?.0;
            Err(LogError::Retry { reason: format!("topic {topic} has no offset yet: {other:?}") })
        }
    };
    request(consumer, names, of, which, timeout, answer)
}

/// The first offset of each partition that was appended at `time` or later, in the order asked.
pub(super) fn ask_since<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    names: &Names,
    of: &[TopicPartition],
    time: Millis,
    timeout: Duration,
) -> Result<Vec<Option<NextOffset>>, LogError> {
    // The brokers say −1 where there is no such record, which librdkafka takes for the end. A negative time would ask for
    // something else.
    let answer = |_: &TopicPartition, offset| match offset {
        Offset::Offset(offset) => Ok(Some(NextOffset(offset.try_into().unwrap_or(0)))),
        _ => Ok(None),
    };
    request(consumer, names, of, Offset::Offset(time.max(0)), timeout, answer)
}

fn request<C: ConsumerContext, A>(
    consumer: &BaseConsumer<C>,
    names: &Names,
    of: &[TopicPartition],
    which: Offset,
    timeout: Duration,
    answer: impl Fn(&TopicPartition, Offset) -> Result<A, LogError>,
) -> Result<Vec<A>, LogError> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let mut list = TopicPartitionList::with_capacity(of.len());
    for at in of {
        let (topic, partition) = names.of(*at)?;
        list.add_partition_offset(topic, partition, which).map_err(|error| fatal("offsets", &error))?;
    }
    let list = consumer.offsets_for_times(list, timeout).map_err(|error| retry("offsets", &error))?;
    let mut answers = Vec::with_capacity(of.len());
    for (at, element) in of.iter().zip(list.elements()) {
        if let Err(error) = element.error() {
            // librdkafka answers out of what it last knew of the leaders. A client that fetches finds out when they
            // change, but one that only asks would hear that there is no leader for the 15 minutes that it believes it.
            if knows_no_leader(&error) {
                learn(consumer, element.topic());
            }
            return Err(of_partition(*at, "offset", &error));
        }
        answers.push(answer(at, element.offset())?);
    }
    Ok(answers)
}

/// The client has no leader for a partition, or an old one.
fn knows_no_leader(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition};
    matches!(error.rdkafka_error_code(), Some(LeaderNotAvailable | NotLeaderForPartition))
}

/// How long a client may take to learn where a topic is.
const LEARN: Duration = Duration::from_secs(1);

/// Lets the client learn where a topic is that it is about to be assigned: librdkafka looks for the leaders of topics that
/// are new to it once a second, and would fetch nothing until then. What is not answered in time it finds out so.
pub(super) fn learn<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str) {
    if let Err(error) = consumer.fetch_metadata(Some(topic), LEARN) {
        tracing::debug!(%error, topic, "not learnt");
    }
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
