//! Writing several records, and an offset, all or none.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::super::config::{Cluster, batch_limit};
use super::ask::{AskError, Inspector, NamedPartition, ToolContext, classify};
use super::{RawRecord, TOOL_BATCH, base_record};

/// Between two looks at what is in flight.
const NAP: Duration = Duration::from_micros(300);

/// After so long the broker aborts what a tool that died has left open: readers stand still until then. In milliseconds.
const TRANSACTION_TIMEOUT: &str = "10000";

/// The longest that an abort waits before delivery reports are served.
const ABORT_SLICE: Duration = Duration::from_millis(100);

/// A producer with transactions, for tools. Two with the same id fence each other: the later one takes over, and the
/// earlier one can't write any more.
pub struct ToolWriter {
    producer: BaseProducer<ToolContext>,
    timeout: Duration,
}

impl ToolWriter {
    /// A producer that is ready to write: whatever one of the same id left open is aborted.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn new(
        cluster: &Cluster,
        transactional_id: &str,
        record_limit: usize,
        timeout: Duration,
    ) -> Result<Self, AskError> {
        let mut config = cluster.client(&[("linger.ms", "5"), ("retry.backoff.ms", "10"), TOOL_BATCH]);
        config.set("transactional.id", transactional_id);
        config.set("transaction.timeout.ms", TRANSACTION_TIMEOUT);
        config.set("enable.idempotence", "true");
        config.set("acks", "all");
        config.set("partitioner", "murmur2_random");
        config.set("message.max.bytes", batch_limit(record_limit).to_string());
        let producer = BaseProducer::from_config_and_context(&config, ToolContext::default())
            .map_err(|error| AskError::refused("Kafka client", error.to_string()))?;
        let writer = ToolWriter { producer, timeout };
        writer.ask("transactional producer", |writer| writer.producer.init_transactions(timeout))?;
        Ok(writer)
    }

    fn ask(&self, what: &str, request: impl FnOnce(&Self) -> Result<(), KafkaError>) -> Result<(), AskError> {
        request(self).map_err(|error| {
            self.producer.poll(Duration::ZERO);
            match error.rdkafka_error_code() {
                Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => {
                    AskError::refused(what, "another run of the same command has taken over")
                }
                _ => classify(what, &error, self.producer.context().seen()),
            }
        })
    }

    /// Runs `write` in a transaction: commits if it succeeds, aborts if not.
    ///
    /// # Errors
    /// Those of `write`, and see [`AskError`]. If the *commit* fails for lack of an answer, it may have happened.
    pub fn transaction<E: From<AskError>>(
        &self,
        write: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.ask("transaction", |writer| writer.producer.begin_transaction())?;
        let written = write(self).and_then(|()| Ok(self.flush()?));
        match written {
            Ok(()) => Ok(self.ask("commit, which may have happened even so", |writer| {
                writer.producer.commit_transaction(writer.timeout)
            })?),
            Err(error) => {
                self.abort();
                Err(error)
            }
        }
    }

    /// Aborts the open transaction. Why there is nothing to commit matters more than an abort that fails: that is done
    /// by the coordinator then, after the transaction's timeout.
    fn abort(&self) {
        let start = Instant::now();
        // An abort does not serve delivery reports, and waits for them; so by turns.
        while let Err(error) = self.producer.abort_transaction(self.timeout.min(ABORT_SLICE)) {
            let is_retriable = matches!(&error, KafkaError::Transaction(error) if error.is_retriable());
            if !is_retriable || start.elapsed() > self.timeout {
                tracing::warn!(%error, "transaction not aborted; Kafka does it after its timeout");
                break;
            }
            self.producer.poll(Duration::ZERO);
        }
        while self.producer.in_flight_count() > 0 && start.elapsed() < self.timeout {
            self.producer.poll(Duration::ZERO);
            thread::sleep(NAP);
        }
        self.producer.context().take_undelivered();
    }

    /// Takes a record into the transaction; waits while the queue is full.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn send(&self, record: &RawRecord<'_>) -> Result<(), AskError> {
        let start = Instant::now();
        let mut out = base_record(record);
        while let Err((error, back)) = self.producer.send(out) {
            let is_full = error == KafkaError::MessageProduction(Code::QueueFull);
            if !is_full || start.elapsed() > self.timeout {
                return self.ask(&format!("record for {}", record.topic), |_| Err(error));
            }
            self.producer.poll(Duration::from_millis(5));
            out = back;
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Takes an offset of a group into the transaction. Kafka does not check here whether the group has members:
    /// ask [`Inspector::group`] *after* this call, and fail the transaction if it has. A member that joins later waits
    /// for the transaction before it is told an offset.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn send_offset(&self, of: &Inspector, at: &NamedPartition, next: i64) -> Result<(), AskError> {
        self.flush()?;
        let what = format!("offset of {at}");
        let Some(group) = of.consumer.group_metadata() else {
            return Err(AskError::refused(what, "the client knows no group"));
        };
        let mut list = TopicPartitionList::new();
        self.ask(&what, |writer| {
            list.add_partition_offset(&at.topic, at.partition, Offset::Offset(next))?;
            writer.producer.send_offsets_to_transaction(&list, &group, writer.timeout)
        })
    }

    /// Waits until everything is delivered. By naps: librdkafka's `flush` waits in slices of 100 ms.
    fn flush(&self) -> Result<(), AskError> {
        let start = Instant::now();
        while self.producer.in_flight_count() > 0 && start.elapsed() < self.timeout {
            self.producer.poll(Duration::ZERO);
            thread::sleep(NAP);
        }
        if let Some(undelivered) = self.producer.context().take_undelivered() {
            let code = undelivered.code.unwrap_or(Code::Fail);
            let what = format!("record for {} partition {}", undelivered.topic, undelivered.partition);
            return self.ask(&what, |_| Err(KafkaError::MessageProduction(code)));
        }
        if self.producer.in_flight_count() > 0 {
            return self.ask("records", |_| Err(KafkaError::MessageProduction(Code::MessageTimedOut)));
        }
        Ok(())
    }
}

impl fmt::Debug for ToolWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolWriter").finish_non_exhaustive()
    }
}
