use super::*;

fn letter(errors: &[FieldError]) -> DeadLetter<'_> {
    DeadLetter {
        errors,
        topic: "behaviour.events",
        partition: 3,
        offset: 1938,
        stage: "decode",
        role: "ingest",
        contract: "behaviour_event",
        source: "web",
        attempt: 1,
    }
}

fn value(letter: &DeadLetter<'_>, name: &str) -> Option<String> {
    let headers = letter.headers();
    let mut found = headers.into_iter().filter(|(header, _)| header == name);
    let first = found.next().map(|(_, value)| String::from_utf8(value).unwrap());
    assert!(found.next().is_none(), "{name} stands there twice");
    first
}

#[test]
fn the_first_failed_check_stands_in_headers_of_its_own() {
    let errors = [
        FieldError::new(ErrorCode::WrongType, "properties.price", "a number", "a string of 11 characters"),
        FieldError::new(ErrorCode::MissingField, "event", "a name", "nothing"),
    ];
    let letter = letter(&errors);
    for (name, expected) in [
        ("__streams.errors.exception", "wrong_type"),
        (
            "__streams.errors.message",
            "wrong_type: properties.price: expected a number, found a string of 11 characters",
        ),
        ("__streams.errors.stacktrace", "ingest/decode"),
        ("__streams.errors.topic", "behaviour.events"),
        ("__streams.errors.partition", "3"),
        ("__streams.errors.offset", "1938"),
        ("catchment.error.code", "wrong_type"),
        ("catchment.error.field", "properties.price"),
        ("catchment.error.expected", "a number"),
        ("catchment.error.actual", "a string of 11 characters"),
        ("catchment.error.stage", "decode"),
        ("catchment.error.attempt", "1"),
        ("catchment.error.contract", "behaviour_event"),
        ("catchment.error.role", "ingest"),
        ("catchment.error.version", env!("CARGO_PKG_VERSION")),
        ("catchment.source", "web"),
    ] {
        assert_eq!(value(&letter, name).as_deref(), Some(expected), "{name}");
    }
    let listed: Vec<FieldError> = serde_json::from_str(&value(&letter, headers::ERRORS).unwrap()).unwrap();
    assert_eq!(listed, errors);
}

#[test]
fn what_is_unknown_is_left_out() {
    let letter = DeadLetter { contract: "", source: "", ..letter(&[]) };
    for name in [headers::ERROR_CONTRACT, headers::SOURCE, headers::ERROR_CODE, headers::ERRORS] {
        assert_eq!(value(&letter, name), None, "{name}");
    }
}

#[test]
fn a_hostile_record_can_not_make_large_headers() {
    let error = FieldError {
        code: ErrorCode::WrongType,
        field: "ü".repeat(100_000),
        expected: "a number".to_owned(),
        actual: "ü".repeat(100_000),
    };
    let errors = vec![error; 1000];
    let letter = letter(&errors);
    let listed: Vec<FieldError> = serde_json::from_str(&value(&letter, headers::ERRORS).unwrap()).unwrap();
    assert_eq!(listed.len(), MAX_ERRORS);
    assert_eq!(value(&letter, headers::ERROR_ACTUAL).unwrap().chars().count(), MAX_ACTUAL);
    let size: usize = letter.headers().iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(size < 32 * 1024, "{size}");
}

#[test]
fn every_code_is_read_back_and_explained() {
    for code in ErrorCode::ALL {
        assert_eq!(code.as_str().parse(), Ok(*code));
        assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
        assert!(code.meaning().ends_with('.') && code.remedy().ends_with('.'), "{code}");
    }
    assert!("oops".parse::<ErrorCode>().is_err());
}
