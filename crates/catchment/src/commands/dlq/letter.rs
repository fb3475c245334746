//! One dead letter: what its headers say.

use catchment_connectors::kafka::{NamedPartition, Scanned};
use catchment_contracts::dead_letter::FieldError;
use catchment_contracts::headers;

/// A dead letter as it was read.
#[derive(Clone, Debug)]
pub(super) struct Letter(pub(super) Scanned);

impl Letter {
    /// A header of ours, as text; empty if it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.0.headers.get(name).unwrap_or_default();
        std::str::from_utf8(value).unwrap_or_default()
    }

    /// Code of the first error; `unknown` for a record that no release of Catchment wrote.
    pub(super) fn code(&self) -> &str {
        match self.header(headers::ERROR_CODE) {
            "" => "unknown",
            code => code,
        }
    }

    /// Field of the first error.
    pub(super) fn field(&self) -> &str {
        self.header(headers::ERROR_FIELD)
    }

    /// All errors; empty if the header can't be read.
    pub(super) fn errors(&self) -> Vec<FieldError> {
        serde_json::from_str(self.header(headers::ERRORS)).unwrap_or_default()
    }

    /// Where the record came from.
    pub(super) fn origin(&self) -> Option<NamedPartition> {
        let topic = self.header(headers::STREAMS_TOPIC);
        let partition = self.header(headers::STREAMS_PARTITION).parse().ok().filter(|number| *number >= 0)?;
        (!topic.is_empty()).then(|| NamedPartition::new(topic, partition))
    }

    /// Headers that the record came with, and that it is replayed with: all but those of a dead letter. The count of
    /// attempts stays, so that ingest counts on if it refuses the record again.
    pub(super) fn original_headers(&self) -> Vec<(&str, &[u8])> {
        let is_ours =
            |name: &str| headers::DEAD_LETTER_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let all = self.0.headers.0.iter();
        all.filter(|(name, _)| !is_ours(name) || name == headers::ERROR_ATTEMPT)
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect()
    }
}

/// A text that can't steer a terminal: what stands in a record is whatever somebody sent.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { plain.extend(c.escape_unicode()) } else { plain.push(c) }
    }
    plain
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use catchment_contracts::dead_letter::{DeadLetter, ErrorCode};
    use catchment_runtime::Headers;

    /// A letter as ingest writes it: of `crm.contacts` partition 1, refused for the second time.
    pub(in crate::commands::dlq) fn letter() -> Letter {
        let errors = [FieldError::new(ErrorCode::MissingField, "contact.email", "a text", "nothing")];
        let letter = DeadLetter {
            errors: &errors,
            topic: "crm.contacts",
            partition: 1,
            offset: 40,
            stage: "map",
            role: "ingest",
            contract: "crm_contact",
            source: "crm",
            attempt: 2,
        };
        let mut headers = Headers::default();
        headers.push("traceparent", *b"00-1");
        headers.push("traceparent", *b"00-2");
        headers.0.extend(letter.headers());
        Letter(Scanned {
            at: NamedPartition::new("dlq.crm", 1),
            offset: 7,
            time: 1_000,
            key: Some(b"k".to_vec()),
            value: Some(br#"{"email":null}"#.to_vec()),
            headers,
        })
    }

    #[test]
    fn a_replay_carries_what_the_record_came_with_and_the_count_of_attempts() {
        let letter = letter();
        let expected: [(&str, &[u8]); 4] = [
            ("traceparent", b"00-1"),
            ("traceparent", b"00-2"),
            (headers::ERROR_ATTEMPT, b"2"),
            (headers::SOURCE, b"crm"),
        ];
        assert_eq!(letter.original_headers(), expected);
        assert_eq!(letter.origin(), Some(NamedPartition::new("crm.contacts", 1)));
        assert_eq!((letter.code(), letter.errors().len()), ("missing_field", 1));
    }

    #[test]
    fn a_foreign_record_is_no_letter_and_does_no_harm() {
        let foreign = Letter(Scanned { headers: Headers::default(), ..letter().0 });
        assert_eq!((foreign.code(), foreign.origin(), foreign.errors().len()), ("unknown", None, 0));
    }

    #[test]
    fn what_would_steer_a_terminal_is_escaped() {
        assert_eq!(plain("a\u{1b}[2Jb\n\u{9b}ä"), "a\\u{1b}[2Jb\\u{a}\\u{9b}ä");
    }
}
