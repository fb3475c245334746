//! Errors of rdkafka as errors of the log.

use catchment_runtime::{LogError, TopicPartition};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

/// The brokers don't let us: credentials, certificates, permissions.
pub(super) fn is_denial(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::SSL
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::DelegationTokenAuthorizationFailed
    )
}

/// No such topic or partition.
pub(super) fn is_unknown(code: Code) -> bool {
    matches!(code, Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::UnknownTopic)
}

/// The world is at fault: ask again.
pub(super) fn retry(what: &str, error: &KafkaError) -> LogError {
    of_code(error.rdkafka_error_code(), format!("{what}: {error}"))
}

/// As [`retry`], of an error that is known by its code and its words.
pub(super) fn of_code(code: Option<Code>, reason: String) -> LogError {
    match code {
        Some(code) if is_denial(code) => LogError::Denied { what: reason },
        _ => LogError::Retry { reason },
    }
}

/// Asking again would give the same.
pub(super) fn fatal(what: &str, error: &KafkaError) -> LogError {
    LogError::Fatal { reason: format!("{what}: {error}") }
}

/// An error of a question about one partition.
pub(super) fn of_partition(at: TopicPartition, what: &str, error: &KafkaError) -> LogError {
    match error.rdkafka_error_code() {
        Some(code) if is_unknown(code) => LogError::UnknownPartition { at },
        _ => retry(what, error),
    }
}

/// Adds a partition with a position; Kafka's offsets end at 2⁶³ − 1.
pub(super) fn add(
    list: &mut TopicPartitionList,
    (topic, partition): (&str, i32),
    offset: u64,
) -> KafkaResult<()> {
    list.add_partition_offset(topic, partition, Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX)))
}
