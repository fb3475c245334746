//! What can go wrong with a registry. What it *answered* is told from its not being there.

use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::RawError;
use std::error::Error as _;
use std::time::Duration;

/// The most characters of a registry's own words that are repeated: it may quote whole schemas.
const MAX_WORDS: usize = 300;

/// Why a registry did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It answered, and said no. Asking again gives the same until somebody changes something.
    #[error("the schema registry {0}")]
    Refused(#[from] Refusal),
    /// It did not answer, or said that it can't at the moment. Worth asking again.
    #[error("the schema registry can't be asked: {reason}")]
    Unreachable {
        /// What happened.
        reason: String,
        /// How long it wants to be left alone, where it said so.
        retry_after: Option<Duration>,
    },
    /// Our own schema is not registered.
    #[error(
        "subject `{subject}` of the schema registry has no version with the schema of the contract `{contract}` of \
         this release: run `catchment contracts register`"
    )]
    NotRegistered {
        /// The subject.
        subject: String,
        /// The contract.
        contract: &'static str,
    },
    /// A setting or a file that it names can't be used.
    #[error("{0}")]
    Settings(String),
    /// The thread that asks has ended.
    #[error("the client of the schema registry has stopped")]
    Stopped,
}

impl RegistryError {
    /// Whether it did not answer, so that asking again may help.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, RegistryError::Unreachable { .. })
    }

    /// Whether it said that it does not know these credentials, which may have been renewed since they were read.
    pub(super) fn is_unauthenticated(&self) -> bool {
        matches!(self, RegistryError::Refused(Refusal::Denied { status: 401 }))
    }

    pub(super) fn unreachable(reason: impl Into<String>) -> Self {
        RegistryError::Unreachable { reason: reason.into(), retry_after: None }
    }
}

/// What a registry answered instead of what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 40401.
    #[error("has no such subject")]
    NoSubject,
    /// 40402.
    #[error("has no such version")]
    NoVersion,
    /// 40403.
    #[error("has no such schema")]
    NoSchema,
    /// 409, 40901.
    #[error("holds the schema for incompatible with those before it: {0}")]
    Incompatible(String),
    /// 422xx.
    #[error("takes the schema or the request for invalid: {0}")]
    Invalid(String),
    /// 401, 403.
    #[error(
        "denies access (status {status}): look at `registry.username`, `registry.password_file` and `registry.token_file`"
    )]
    Denied {
        /// The HTTP status.
        status: u16,
    },
    /// Anything else, such as a route that it does not have.
    #[error("answered with status {status}, code {code}: {message}")]
    Other {
        /// The HTTP status.
        status: u16,
        /// `error_code` of the answer; 0 if there is none.
        code: u32,
        /// Its own words.
        message: String,
    },
}

/// What an answer without success means. Apicurio says 409 where Confluent says 40901.
pub(super) fn classify(
    status: u16,
    code: u32,
    message: &str,
    retry_after: Option<Duration>,
) -> RegistryError {
    let message = || message.chars().take(MAX_WORDS).collect::<String>();
    let refusal = match (status, code) {
        (401 | 403, _) => Refusal::Denied { status },
        (408 | 429 | 500.., _) => {
            let reason = match status {
                429 => "it is asked too often (status 429)".to_owned(),
                _ => format!("status {status}, code {code}: {}", message()),
            };
            return RegistryError::Unreachable { reason, retry_after };
        }
        (_, 40_401) => Refusal::NoSubject,
        (_, 40_402) => Refusal::NoVersion,
        (_, 40_403) => Refusal::NoSchema,
        (409, _) => Refusal::Incompatible(message()),
        (422, _) => Refusal::Invalid(message()),
        _ => Refusal::Other { status, code, message: message() },
    };
    RegistryError::Refused(refusal)
}

impl From<SRCError> for RegistryError {
    fn from(error: SRCError) -> Self {
        if let Some(cause) = error.source() {
            if let Some(answer) = cause.downcast_ref::<RawError>() {
                let status = status_of(&error.error).unwrap_or_default();
                return classify(status, answer.error_code, &answer.message, None);
            }
            if let Some(cause) = cause.downcast_ref::<reqwest::Error>() {
                return not_answered(cause);
            }
        }
        // An answer with success that lacks what such an answer has.
        RegistryError::unreachable(format!("its answer is not that of a schema registry ({})", error.error))
    }
}

/// The library keeps the status in its words alone: `… failed with status 404 Not Found`.
fn status_of(words: &str) -> Option<u16> {
    let (_, rest) = words.rsplit_once("status ")?;
    rest.get(..3)?.parse().ok()
}

/// A request without a usable answer.
pub(super) fn not_answered(error: &reqwest::Error) -> RegistryError {
    let mut root: &dyn std::error::Error = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    RegistryError::unreachable(if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        format!("no connection: {root}")
    } else if error.is_decode() {
        "its answer is not that of a schema registry".to_owned()
    } else {
        format!("the request failed: {root}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, code: u32, expected: &str) {
        let error = classify(status, code, "words", None);
        let kind = match &error {
            RegistryError::Refused(refusal) => format!("{refusal:?}"),
            RegistryError::Unreachable { reason, .. } => format!("unreachable: {reason}"),
            other => panic!("{other:?}"),
        };
        assert_eq!(kind, expected, "{status} {code}");
    }

    #[test]
    fn an_answer_is_told_from_a_registry_in_trouble() {
        check(404, 40_401, "NoSubject");
        check(404, 40_402, "NoVersion");
        check(404, 40_403, "NoSchema");
        check(404, 0, "Other { status: 404, code: 0, message: \"words\" }");
        check(409, 409, "Incompatible(\"words\")");
        check(409, 40_901, "Incompatible(\"words\")");
        check(422, 42_201, "Invalid(\"words\")");
        check(401, 0, "Denied { status: 401 }");
        check(403, 40_301, "Denied { status: 403 }");
        check(429, 42_901, "unreachable: it is asked too often (status 429)");
        check(500, 50_001, "unreachable: status 500, code 50001: words");
        check(503, 40_403, "unreachable: status 503, code 40403: words");
    }

    #[test]
    fn the_status_is_found_in_the_words_of_the_library() {
        let words = "HTTP request to schema registry failed with status 404 Not Found";
        assert_eq!(status_of(words), Some(404));
        assert_eq!(status_of("status x"), None);
        assert_eq!(status_of("no number"), None);
    }

    #[test]
    fn a_registry_s_words_are_cut() {
        let error = classify(422, 42_201, &"é".repeat(1_000), None);
        let RegistryError::Refused(Refusal::Invalid(words)) = error else { panic!("{error:?}") };
        assert_eq!(words.chars().count(), MAX_WORDS);
    }
}
