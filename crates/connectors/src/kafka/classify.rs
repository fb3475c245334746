//! What an error of the producer means for the transaction and for the lane.

use catchment_runtime::log::Fence;
use rdkafka::types::RDKafkaErrorCode as Code;

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `init_transactions`.
    Init,
    /// `begin_transaction`.
    Begin,
    /// Handing records to the producer, and their delivery.
    Produce,
    /// `send_offsets_to_transaction`.
    Offsets,
    /// `commit_transaction`.
    Commit,
    /// `abort_transaction`.
    Abort,
}

/// What is known of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What was tried.
    pub stage: Stage,
    /// The code; of a fatal error, the one that made the client fatal.
    pub code: Code,
    /// The client can't be used any more.
    pub fatal: bool,
    /// The same call may be made again.
    pub retriable: bool,
    /// The transaction has failed; the client can go on after an abort.
    pub abortable: bool,
    /// The transaction had been open for longer than `transaction.timeout.ms`.
    pub overdue: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The same again, after a while. (Retriable.)
    Retry,
    /// Nothing is committed: abort, read again from the committed offsets. (Abortable.)
    Abort,
    /// Nothing is committed, and the client is of no use: make a new one. (Fatal.)
    Rebuild,
    /// Nothing is committed, and the lane has no right to write any more. (Fenced.)
    Fenced(Fence),
    /// It may be committed: make a new client, then ask for the committed offsets. (Unknown outcome.)
    Unknown,
}

/// Decides from facts alone.
///
/// - The group's refusals come with the offsets. A member that is expelled or replaced is fenced for good; one that is
///   at another generation is in the middle of a rebalance, and aborts: what it loses by it, the group tells.
/// - librdkafka shows a transaction that the *broker* timed out, and a producer that was replaced, by the same fatal
///   `_FENCED`. They differ in the age of the transaction. Taking the first for the second would kill a lane for
///   nothing; the second for the first is stopped by the group.
/// - From the moment a commit is on its way, only a plain refusal is definite. A commit that librdkafka gave up for its
///   time may have been taken, also where it then calls the transaction failed.
#[must_use]
pub fn classify(facts: &Facts) -> Class {
    let Facts { stage, code, fatal, retriable, abortable, overdue } = *facts;
    let replaced = matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch);
    if matches!(code, Code::FencedInstanceId | Code::UnknownMemberId) && stage == Stage::Offsets {
        return Class::Fenced(Fence::Group);
    }
    if fatal && replaced && !overdue {
        return Class::Fenced(Fence::Producer);
    }
    match stage {
        Stage::Commit if !fatal && abortable && !is_silence(code) => Class::Abort,
        Stage::Commit => Class::Unknown,
        _ if fatal => Class::Rebuild,
        Stage::Init | Stage::Abort if retriable => Class::Retry,
        Stage::Init | Stage::Abort => Class::Rebuild,
        Stage::Begin | Stage::Produce | Stage::Offsets if retriable || abortable => Class::Abort,
        // Neither fatal nor retriable nor abortable: librdkafka is in a state that it has no word for.
        Stage::Begin | Stage::Offsets => Class::Rebuild,
        // An error of one record; the transaction itself knows of nothing.
        Stage::Produce => Class::Abort,
    }
}

/// No answer, so that a request may have been taken.
fn is_silence(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::RequestTimedOut
            | Code::TimedOutQueue
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Class = Class::Fenced(Fence::Group);
    const PRODUCER: Class = Class::Fenced(Fence::Producer);

    /// Flags: `f` fatal, `r` retriable, `a` abortable, `o` overdue.
    fn check(stage: Stage, code: Code, flags: &str, expected: Class) {
        let has = |flag| flags.contains(flag);
        let facts = Facts {
            stage,
            code,
            fatal: has('f'),
            retriable: has('r'),
            abortable: has('a'),
            overdue: has('o'),
        };
        assert_eq!(classify(&facts), expected, "{facts:?}");
    }

    #[test]
    fn the_group_fences_with_the_offsets_and_a_rebalance_only_aborts() {
        check(Stage::Offsets, Code::FencedInstanceId, "a", GROUP);
        check(Stage::Offsets, Code::UnknownMemberId, "a", GROUP);
        check(Stage::Offsets, Code::IllegalGeneration, "a", Class::Abort);
        check(Stage::Offsets, Code::RebalanceInProgress, "a", Class::Abort);
        check(Stage::Offsets, Code::GroupAuthorizationFailed, "a", Class::Abort);
        check(Stage::Offsets, Code::OperationTimedOut, "r", Class::Abort);
    }

    #[test]
    fn a_replaced_producer_is_fenced_and_a_timed_out_transaction_is_not() {
        for stage in [Stage::Begin, Stage::Produce, Stage::Offsets, Stage::Commit, Stage::Abort] {
            check(stage, Code::Fenced, "f", PRODUCER);
            check(stage, Code::ProducerFenced, "f", PRODUCER);
            check(stage, Code::InvalidProducerEpoch, "f", PRODUCER);
        }
        for stage in [Stage::Begin, Stage::Produce, Stage::Offsets, Stage::Abort] {
            check(stage, Code::Fenced, "fo", Class::Rebuild);
        }
        check(Stage::Commit, Code::Fenced, "fo", Class::Unknown);
        check(Stage::Produce, Code::InvalidProducerEpoch, "a", Class::Abort);
    }

    #[test]
    fn a_commit_is_definite_only_when_it_is_plainly_refused() {
        check(Stage::Commit, Code::OperationTimedOut, "r", Class::Unknown);
        check(Stage::Commit, Code::OperationTimedOut, "a", Class::Unknown);
        check(Stage::Commit, Code::BrokerTransportFailure, "ra", Class::Unknown);
        check(Stage::Commit, Code::InvalidTransactionalState, "f", Class::Unknown);
        check(Stage::Commit, Code::OperationTimedOut, "f", Class::Unknown);
        check(Stage::Commit, Code::Fail, "", Class::Unknown);
        check(Stage::Commit, Code::UnknownProducerId, "a", Class::Abort);
    }

    #[test]
    fn before_the_commit_nothing_is_unknown() {
        check(Stage::Produce, Code::MessageTimedOut, "", Class::Abort);
        check(Stage::Produce, Code::OutOfOrderSequenceNumber, "f", Class::Rebuild);
        check(Stage::Offsets, Code::InvalidTransactionalState, "f", Class::Rebuild);
        check(Stage::Offsets, Code::State, "", Class::Rebuild);
        check(Stage::Begin, Code::State, "", Class::Rebuild);
    }

    #[test]
    fn a_start_is_tried_again_while_there_is_hope() {
        check(Stage::Init, Code::OperationTimedOut, "r", Class::Retry);
        check(Stage::Init, Code::ConcurrentTransactions, "r", Class::Retry);
        check(Stage::Init, Code::TransactionalIdAuthorizationFailed, "f", Class::Rebuild);
        check(Stage::Abort, Code::OperationTimedOut, "r", Class::Retry);
        check(Stage::Abort, Code::State, "", Class::Rebuild);
    }
}
