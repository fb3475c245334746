//! Names of record headers.

/// Trace context of W3C.
pub const TRACEPARENT: &str = "traceparent";
/// Vendors' part of the trace context of W3C.
pub const TRACESTATE: &str = "tracestate";

/// Name of the configured source, where several share a topic.
pub const SOURCE: &str = "catchment.source";
/// Up to which arrival time sources are read: a version byte and a [`crate::Watermark`]; see [`crate::watermark`].
pub const WATERMARK: &str = "catchment.watermark";

/// Schema id of the key in a header, the newer form of the wire format.
pub const KEY_SCHEMA_ID: &str = "__key_schema_id";
/// Schema id of the value in a header, the newer form of the wire format.
pub const VALUE_SCHEMA_ID: &str = "__value_schema_id";

/// Dead letter (KIP-1034): class of the error; here its code.
pub const STREAMS_EXCEPTION: &str = "__streams.errors.exception";
/// Dead letter (KIP-1034): what happened, in words.
pub const STREAMS_MESSAGE: &str = "__streams.errors.message";
/// Dead letter (KIP-1034): where in the program; here role and stage.
pub const STREAMS_STACKTRACE: &str = "__streams.errors.stacktrace";
/// Dead letter (KIP-1034): topic of the record.
pub const STREAMS_TOPIC: &str = "__streams.errors.topic";
/// Dead letter (KIP-1034): partition of the record, as decimal text.
pub const STREAMS_PARTITION: &str = "__streams.errors.partition";
/// Dead letter (KIP-1034): offset of the record, as decimal text.
pub const STREAMS_OFFSET: &str = "__streams.errors.offset";

/// Dead letter: code of the first failed check, see [`crate::dead_letter::ErrorCode`].
pub const ERROR_CODE: &str = "catchment.error.code";
/// Dead letter: path of the field that failed first.
pub const ERROR_FIELD: &str = "catchment.error.field";
/// Dead letter: what the first failed check expected.
pub const ERROR_EXPECTED: &str = "catchment.error.expected";
/// Dead letter: what it found, described and not quoted.
pub const ERROR_ACTUAL: &str = "catchment.error.actual";
/// Dead letter: step of the role that refused the record.
pub const ERROR_STAGE: &str = "catchment.error.stage";
/// Dead letter: how often the record has been refused, from 1; a replay counts on.
pub const ERROR_ATTEMPT: &str = "catchment.error.attempt";
/// Dead letter: contract that the record was held against.
pub const ERROR_CONTRACT: &str = "catchment.error.contract";
/// Dead letter: role that refused the record.
pub const ERROR_ROLE: &str = "catchment.error.role";
/// Dead letter: release of Catchment that refused the record.
pub const ERROR_VERSION: &str = "catchment.error.version";
/// Dead letter: all failed checks, at most 32, as a JSON array of [`crate::dead_letter::FieldError`].
pub const ERRORS: &str = "catchment.errors";

/// What the names of all headers of a dead letter start with; a replay removes these.
pub const DEAD_LETTER_PREFIXES: [&str; 3] = ["__streams.errors.", "catchment.error.", "catchment.errors"];
