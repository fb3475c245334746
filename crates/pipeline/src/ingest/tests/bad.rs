//! Everything that can be wrong with a record as such.

use crate::ingest::testing::{ARRIVAL, on_small_stack, spec, tell, tell_with};
use crate::ingest::{Mapping, Reason, Tombstone, Verdict};

const GOOD: &str = r#"{"type":"track","event":"Signed Up","userId":"u-1"}"#;

/// A segment call that is refused, with these findings.
#[track_caller]
fn check(value: impl AsRef<[u8]>, findings: &[&str]) {
    let value = value.as_ref();
    assert_eq!(tell(Mapping::Segment, value).findings(), findings, "{}", String::from_utf8_lossy(value));
}

#[test]
fn a_record_that_is_no_json_says_where_it_ends() {
    let json = |actual: &str| format!("invalid_json : a JSON object / {actual}");
    let early = json("JSON that ends too early");
    check("", &[&json("an empty value")]);
    check("  ", &[&early]);
    check(&GOOD[..30], &[&early]);
    check(r#"{"type":"track""#, &[&early]);
    check(format!("{GOOD}x"), &[&json("no JSON from line 1, column 52")]);
    check(format!("{GOOD}{GOOD}"), &[&json("no JSON from line 1, column 52")]);
    check(format!("{GOOD}\n{GOOD}"), &[&json("no JSON from line 2, column 1")]);
    check(format!("\u{feff}{GOOD}"), &[&json("no JSON from line 1, column 1")]);
    check(r#"{"userId":NaN}"#, &[&json("no JSON from line 1, column 11")]);
    check(r#"{"userId":-Infinity}"#, &[&json("no JSON from line 1, column 12")]);
    check(r#"{"userId":"a",}"#, &[&json("no JSON from line 1, column 15")]);
    check(r#"["track",]"#, &[&json("no JSON from line 1, column 10")]);
    check("nonsense", &[&json("no JSON from line 1, column 2")]);
}

#[test]
fn a_record_that_is_no_object_says_what_it_is() {
    for (value, actual) in [
        (r#"["track","u-1"]"#, "an array"),
        ("null", "null"),
        ("1e400", "a number"),
        (r#""mia@example.com""#, "a string of 15 characters"),
        (" true ", "a boolean"),
    ] {
        check(value, &[&format!("not_an_object : a JSON object / {actual}")]);
    }
}

#[test]
fn a_record_must_be_utf_8() {
    let mut value = GOOD.replace("u-1", "Jos\u{0}").into_bytes();
    let at = value.iter().position(|byte| *byte == 0).unwrap();
    value[at] = 0xe9;
    check(&value, &[&format!("invalid_utf8 : UTF-8 / another byte at position {at}")]);
    // A surrogate in UTF-8, and an overlong slash.
    check(b"{\"a\":\"\xed\xa0\x80\"}", &["invalid_utf8 : UTF-8 / another byte at position 6"]);
    check(b"{\"a\":\"\xc0\xaf\"}", &["invalid_utf8 : UTF-8 / another byte at position 6"]);
}

#[test]
fn a_record_may_have_so_many_bytes_and_no_more() {
    let of = |bytes: usize| format!("{}{GOOD}", " ".repeat(bytes - GOOD.len()));
    assert_eq!(tell(Mapping::Segment, of(32_768)).events.len(), 1);
    check(of(32_769), &["oversize : at most 32768 bytes / 32769 bytes"]);
    check(of(40_000), &["oversize : at most 32768 bytes / 40000 bytes"]);
    // The size is looked at first: nobody reads what is too large.
    check(vec![0xff; 40_000], &["oversize : at most 32768 bytes / 40000 bytes"]);
    let small = crate::ingest::SourceSpec { max_bytes: 10, ..spec(Mapping::Contact) };
    let told = tell_with(&small, Some(b"{          }"), ARRIVAL);
    assert_eq!(told.findings(), ["oversize : at most 10 bytes / 12 bytes"]);
}

#[test]
fn a_tombstone_is_what_its_source_says() {
    let mut spec = spec(Mapping::Segment);
    assert_eq!(tell_with(&spec, None, ARRIVAL).findings(), ["null_value : a value / null"]);
    spec.tombstone = Tombstone::Ignore;
    assert_eq!(tell_with(&spec, None, ARRIVAL).verdict, Verdict::Nothing(Reason::Tombstone));
    let empty = tell_with(&spec, Some(b""), ARRIVAL);
    assert_eq!(empty.findings(), ["invalid_json : a JSON object / an empty value"], "empty is not null");
}

#[test]
fn depth_is_no_danger_wherever_it_stands() {
    on_small_stack(|| {
        let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        let spec = crate::ingest::SourceSpec { max_bytes: 1 << 20, ..spec(Mapping::Segment) };
        let tell = |text: &str| tell_with(&spec, Some(text.as_bytes()), ARRIVAL);
        for (deep, what) in [(deep("[", "]"), "an array"), (deep(r#"{"a":"#, "}"), "an object")] {
            let with = |field: &str| {
                format!(r#"{{"type":"track","event":"A","userId":"u","x":{{"{field}":1}},"{field}":{deep}}}"#)
            };
            assert_eq!(tell(&with("unknown")).findings(), [""; 0]);
            let wrong = |field| [format!("wrong_type {field}: a string / {what}")];
            assert_eq!(tell(&with("userId")).findings(), wrong("userId"));
            assert_eq!(tell(&with("event")).findings(), wrong("event"));
            let nested = |at: &str, field: &str| {
                format!(
                    r#"{{"type":"track","event":"Order Completed","userId":"u","{at}":{{"{field}":{deep}}}}}"#
                )
            };
            assert_eq!(tell(&nested("context", "traits")).findings().len(), 3, "an order without anything");
            assert!(tell(&nested("properties", "total")).findings().iter().any(|f| f.contains(what)));
            assert!(!tell(&nested("properties", "products")).findings().is_empty());
            // A value of a trait is left out when it is too long.
            let identify = format!(r#"{{"type":"identify","userId":"u","traits":{{"deep":{deep}}}}}"#);
            assert!(tell(&identify).event().traits.is_empty());
            let finding = tell(&deep).findings();
            match what {
                "an array" => assert_eq!(finding, ["not_an_object : a JSON object / an array"]),
                _ => assert!(finding[0].starts_with("missing_field type"), "{finding:?}"),
            }
            assert_eq!(
                tell(&deep[..15_000]).findings(),
                ["invalid_json : a JSON object / JSON that ends too early"]
            );
        }
    });
}

#[test]
fn of_equal_names_the_last_counts() {
    let twice = r#"{"type":"nonsense","userId":5,"userId":"u-2","type":"identify","traits":1,
        "traits":{"plan":"a","email":"a@example.com","plan":"b","email":"b@example.com"}}"#;
    let told = tell(Mapping::Segment, twice);
    let event = told.event();
    assert_eq!(crate::ingest::testing::identifiers(&event), ["user_id:u-2", "email:b@example.com"]);
    assert_eq!(crate::ingest::testing::traits(&event), ["plan=b"]);
}

#[test]
fn half_a_surrogate_pair_is_no_text() {
    check(
        r#"{"type":"track","event":"\ud83d","userId":"u-1"}"#,
        &["invalid_json event: Unicode text / half a surrogate pair"],
    );
    check(
        r#"{"type":"identify","userId":"u-1","traits":{"nick":"\udc00"}}"#,
        &["invalid_json traits.nick: Unicode text / half a surrogate pair"],
    );
    // Nobody reads what nobody knows.
    let unknown = r#"{"type":"track","event":"A","userId":"u-1","other":"\ud83d"}"#;
    assert_eq!(tell(Mapping::Segment, unknown).events.len(), 1);
}

#[test]
fn no_finding_quotes_a_person() {
    let secret = "mia.okafor@example.com";
    for mapping in
        [Mapping::Segment, Mapping::Hubspot, Mapping::Salesforce, Mapping::Contact, Mapping::Catalog]
    {
        for value in [
            format!(
                r#"{{"type":"track","event":["{secret}"],"userId":["{secret}"],"sentAt":"{secret}","properties":"{secret}",
                "objectId":["{secret}"],"occurredAt":"{secret}","payload":"{secret}","contact_id":["{secret}"],"email":["{secret}"],
                "updated_at":"{secret}","consents":"{secret}","product_id":["{secret}"],"variants":"{secret}"}}"#
            ),
            format!("\"{secret}\""),
            format!("{{\"userId\":{secret}"),
        ] {
            let findings = tell(mapping, &value).findings();
            assert!(!findings.is_empty());
            assert!(findings.iter().all(|finding| !finding.contains("mia")), "{findings:?}");
        }
    }
}
