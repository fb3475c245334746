use super::rule::SUMMED;
use super::*;
use crate::ingest::testing::{ARRIVAL, Told, identifiers, spec, tell_with, traits};
use crate::ingest::{Reason, SourceSpec, Verdict};
use std::sync::Arc;

fn compiled(yaml: &str) -> Result<Foreign, ForeignError> {
    Foreign::new(&serde_saphyr::from_str(yaml).unwrap())
}

fn source(yaml: &str) -> SourceSpec {
    let foreign = compiled(yaml).unwrap();
    SourceSpec {
        via: Some(Arc::new(foreign)),
        ..spec(serde_saphyr::from_str::<MappingFile>(yaml).unwrap().to)
    }
}

#[track_caller]
fn told(yaml: &str, payload: &str) -> Told {
    tell_with(&source(yaml), Some(payload.as_bytes()), ARRIVAL)
}

/// What a payload is brought to.
#[track_caller]
fn brought(fields: &str, payload: &str) -> Vec<String> {
    let yaml = format!("name: x\nto: contact\n{fields}");
    match compiled(&yaml).unwrap().bring(payload) {
        Ok(Brought::Texts(texts)) => texts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_are_found_by_path_and_written_by_name() {
    let fields = "fields:\n  a: x.v\n  b.c: list.1.z\n  b.d: {const: 5}\n  e: gone\n  f: nothing\n  g: $.x\n";
    let payload = r#"{"x":{"v":"v","z":1e400},"list":[{"z":1},{"z":[2]}],"nothing":null}"#;
    assert_eq!(brought(fields, payload), [r#"{"a":"v","b":{"c":[2],"d":5},"g":{"v":"v","z":1e400}}"#]);
    // Where an object is expected and something else stands, nothing is found.
    for payload in [r#"{"x":"y"}"#, r#"{"x":[1]}"#, r#"{"x":1e999}"#, r#"{"x":null}"#] {
        let only = "fields:\n  a: x.v\n";
        assert_eq!(brought(only, payload), ["{}"], "{payload}");
    }
}

#[test]
fn values_are_made_into_what_the_form_takes() {
    let check = |rule: &str, value: &str, expected: &str| {
        let found = brought(&format!("fields:\n  a: {rule}\n"), &format!(r#"{{"v":{value}}}"#));
        let expected = if expected.is_empty() { "{}".to_owned() } else { format!(r#"{{"a":{expected}}}"#) };
        assert_eq!(found, [expected], "{rule} of {value}");
    };
    check("{path: v, as: text}", "7", r#""7""#);
    check("{path: v, as: text}", r#""7""#, r#""7""#);
    check("{path: v, as: text}", "[7]", "[7]");
    check("{path: v, as: number}", r#""143.75""#, "143.75");
    check("{path: v, as: number}", r#""N/A""#, r#""N/A""#);
    check("{path: v, as: boolean}", r#""false""#, "false");
    check("{path: v, as: millis}", "1795162492337", r#""2026-11-20T08:14:52.337Z""#);
    check("{path: v, as: millis}", r#""1795162492337""#, r#""2026-11-20T08:14:52.337Z""#);
    check("{path: v, as: seconds}", "1795162492", r#""2026-11-20T08:14:52.000Z""#);
    check("{path: v, as: micros}", "1795162492337999", r#""2026-11-20T08:14:52.337Z""#);
    check("{path: v, as: micros}", "1.5", "1.5");
    check("{path: v, words: {\"true\": denied, \"5\": 1}}", "true", r#""denied""#);
    check("{path: v, words: {\"true\": denied, \"5\": 1}}", r#""true""#, r#""denied""#);
    check("{path: v, words: {\"true\": denied, \"5\": 1}}", "5", "1");
    check("{path: v, words: {\"true\": denied}}", "[]", "");
    check("{path: v, deletes: \"null\"}", "null", "null");
    check("{path: v, deletes: \"null\"}", r#""""#, r#""""#);
    check("{path: v, deletes: null_or_empty}", r#""""#, "null");
    check("{path: w, deletes: null_or_empty}", "1", "");
    check("[{path: w}, {path: v}]", "1", "1");
    check("{path: v, when: {v: [1, 2]}}", "2", "2");
    check("{path: v, when: {v: [1, 2]}}", "3", "");
    check("{path: v, when: {v: 3}}", "[1,3]", "[1,3]");
    check("{const: true, when: {w: {present: false}}}", "1", "true");
    check("{const: x, when: {v: {present: false}}}", "1", "");
    check("{join: ['=o', v, $.v]}", "7", r#""o/7/7""#);
    check("{join: ['=o', w]}", "7", "");
    check("{join: [v]}", r#""a\"b""#, r#""a\"b""#);
    check("{cel: 'v + 1'}", "2", "3");
    check("{cel: '\"n-\" + string(v)'}", "2", r#""n-2""#);
    check("{cel: 'w == null ? null : w'}", "2", "");
}

#[test]
fn sums_are_exact() {
    let sum = |list: &str| {
        let rule = "fields:\n  a: {sum: {each: l, path: amount, when: {k: [refund]}}}\n";
        brought(rule, &format!(r#"{{"l":{list}}}"#)).remove(0)
    };
    let of = |n: &str| format!(r#"{{"k":"refund","amount":{n}}}"#);
    assert_eq!(sum(&format!("[{},{}]", of(r#""0.10""#), of("0.2"))), r#"{"a":0.30}"#);
    assert_eq!(sum(&format!("[{},{}]", of("-1"), of("0.05"))), r#"{"a":-0.95}"#);
    assert_eq!(sum(&format!(r#"[{},{{"k":"sale","amount":9}}]"#, of("7"))), r#"{"a":7}"#);
    assert_eq!(sum(r#"[{"k":"refund","amount":null}]"#), "{}");
    assert_eq!(sum("5"), "{}");
}

#[test]
fn lists_are_written_element_by_element() {
    let yaml =
        "fields:\n  p:\n    each: items\n    fields: {id: sku, q: {path: count, as: number}, shop: $.shop}\n";
    let payload = r#"{"shop":"s","items":[{"sku":"a","count":"2"},{},7]}"#;
    assert_eq!(brought(yaml, payload), [r#"{"p":[{"id":"a","q":2,"shop":"s"},{"shop":"s"},{"shop":"s"}]}"#]);
    assert_eq!(brought(yaml, r#"{"items":{}}"#), [r#"{"p":{}}"#]);
    assert_eq!(brought(yaml, r#"{}"#), ["{}"]);
}

const CONTACTS: &str = "
name: contacts
to: contact
only_if: {kind: [contact]}
each: ids
fields:
  contact_id: .
  email: $.mail
  updated_at: {path: $.at, as: millis}
  traits.city: {path: $.city, deletes: null_or_empty}
";

#[test]
fn each_element_of_a_list_may_be_a_record() {
    let payload = |at: &str| format!(r#"{{"kind":"contact","ids":["a","b"],"city":"","at":{at}}}"#);
    let told_now = told(CONTACTS, &payload("1"));
    let [a, b] = told_now.all().try_into().unwrap();
    assert_eq!(
        (identifiers(&a), identifiers(&b)),
        (vec!["crm_id:a".to_owned()], vec!["crm_id:b".to_owned()])
    );
    assert_eq!((traits(&a), a.occurred_at), (vec!["-city".to_owned()], 1));
    assert_eq!(a.event_id.replace("#0", "#1"), b.event_id, "ids tell the parts apart");
    assert_eq!(told_now, told(CONTACTS, &payload("1")));
    let wanted = CONTACTS.replace("fields:", "where: {.: [b, c]}\nfields:");
    let told_wanted = told(&wanted, &payload("1"));
    assert_eq!(identifiers(&told_wanted.event()), ["crm_id:b"]);
    let none = told(&wanted, &payload("1").replace("\"b\"", "\"d\""));
    assert_eq!(none.verdict, Verdict::Nothing(Reason::OtherEntity));
    let other = told(CONTACTS, r#"{"kind":"deal"}"#);
    assert_eq!(other.verdict, Verdict::Nothing(Reason::OtherEntity));
}

#[test]
fn what_is_wrong_is_named_as_the_payload_has_it() {
    let findings = |payload: &str| told(CONTACTS, payload).findings();
    assert_eq!(
        findings(r#"{"kind":"contact","ids":["a",""],"mail":5,"at":"x"}"#),
        [
            "wrong_type mail: a string / a number",
            "bad_timestamp at: an RFC 3339 time / a string of 1 character",
        ],
        "nothing is handed over of a payload of which a part is wrong"
    );
    assert_eq!(findings(r#"{"kind":"contact","ids":5}"#), ["wrong_type ids: an array / a number"]);
    assert_eq!(findings("{"), ["invalid_json : JSON / JSON that ends too early"]);
    let many = format!(r#"{{"kind":"contact","ids":[{}0]}}"#, "0,".repeat(MAX_RECORDS));
    assert_eq!(findings(&many), ["out_of_range ids: at most 1000 elements / 1001 elements"]);
    let formula = "name: x\nto: contact\nfields:\n  contact_id: {cel: 'a + 1'}\n";
    let told = told(formula, r#"{"a":"x"}"#).findings();
    assert!(told[0].starts_with("bad_formula "), "{told:?}");
}

#[test]
fn findings_in_lists_formulas_and_sums_name_the_payload_and_quote_nothing() {
    let order = "name: x\nto: segment\nfields:\n  type: {const: track}\n  event: {const: Order Completed}\n  userId: u\n  \
                 properties.order_id: id\n  properties.total: {sum: {each: paid, path: amount}}\n";
    let paid = r#"{"u":"mia","id":"o1","paid":[{"amount":"10.00"},{"amount":"1,200.00"}]}"#;
    let refused = format!("wrong_type paid.amount: {SUMMED} / a string of 8 characters");
    assert_eq!(told(order, paid).findings(), [refused]);
    let product = "name: x\nto: catalog\nfields:\n  product_id: id\n  updated_at: at\n  variants: {each: lines, fields: {sku: code}}\n";
    let findings =
        told(product, r#"{"id":"p","at":"2026-01-01T00:00:00Z","lines":[{"price":1}]}"#).findings();
    assert!(findings[0].starts_with("missing_field lines[0].code: "), "{findings:?}");
    let formula = "name: x\nto: contact\nfields:\n  contact_id: {cel: '{\"DE\": \"49\"}[country]'}\n";
    let told = told(formula, r#"{"country":"Mia Okafor, Main St 1"}"#).findings();
    assert!(told[0].starts_with("bad_formula ") && !told[0].contains("Mia"), "{told:?}");
}

#[test]
fn what_can_be_read_in_part_only_is_not_read_at_all() {
    let yaml = "name: x\nto: contact\nfields:\n  contact_id: id\n  email: who.mail\n  l: [{each: a, fields: {x: x}}, {each: \
                b, fields: {x: x}}]\n";
    let mapping = compiled(yaml).unwrap();
    let text = |payload: &str| match mapping.bring(payload) {
        Ok(Brought::Texts(texts)) => texts.concat(),
        other => format!("{other:?}"),
    };
    assert_eq!(
        text(r#"{"id":"1","a":null,"b":[{"x":1}]}"#),
        r#"{"id":"1","l":[{"x":1}]}"#.replace("id", "contact_id")
    );
    // The last of two fields of one name counts, whole.
    assert_eq!(text(r#"{"id":"1","who":{"mail":"m"},"who":{}}"#), r#"{"contact_id":"1"}"#);
    assert_eq!(text(r#"{"id":"1","who":{"mail":"m"},"who":null}"#), r#"{"contact_id":"1"}"#);
    for payload in [r#"{"id":"1","\ud800":0,"who":{"mail":"m"}}"#, r#"{"id":"1","a":[{"\ud800":0,"x":1}]}"#] {
        assert!(mapping.bring(payload).is_err(), "{payload}");
    }
}

#[test]
fn an_empty_text_gives_way_to_the_next_rule() {
    let mapping = compiled("name: x\nto: contact\nfields: {a: [{path: a}, {path: b}], c: c}").unwrap();
    let Ok(Brought::Texts(texts)) = mapping.bring(r#"{"a":"","b":"x","c":""}"#) else {
        panic!("{mapping:?}")
    };
    assert_eq!(texts, [r#"{"a":"x","c":""}"#]);
}

#[test]
fn a_small_payload_can_not_become_a_huge_record() {
    let nested = "name: x\nto: contact\nfields:\n  l: {each: l, fields: {a: $.text}}\n";
    let text = "x".repeat(10_000);
    let payload = |count: usize| format!(r#"{{"text":"{text}","l":[{}0]}}"#, "0,".repeat(count));
    assert!(matches!(compiled(nested).unwrap().bring(&payload(5)), Ok(Brought::Texts(_))));
    let by_element = "name: x\nto: contact\neach: l\nfields: {a: $.text}\n";
    for yaml in [nested, by_element] {
        let refused = compiled(yaml).unwrap().bring(&payload(900)).unwrap_err();
        let [error] = refused.as_slice() else { panic!("{refused:?}") };
        assert!(error.expected.ends_with("bytes once it is mapped"), "{error:?}");
    }
}

#[test]
fn a_file_that_is_no_mapping_is_refused() {
    let refusal = |rest: &str| compiled(&format!("name: x\nto: contact\n{rest}")).unwrap_err().to_string();
    assert!(refusal("fields: {a: 'x..y'}").starts_with("fields.a: `x..y` is no path"));
    assert!(refusal("fields: {a: {}}").starts_with("fields.a: a rule has one of"));
    assert!(refusal("fields: {a: {path: x, const: 1}}").starts_with("fields.a: a rule has one of"));
    assert!(refusal("fields: {a: {each: x}}").starts_with("fields.a: a rule has one of"));
    assert_eq!(refusal("fields: {a: x, a.b: z}"), "fields.a.b: it can't be a value and hold others");
    assert!(refusal("fields: {a: {cel: '1 +'}}").starts_with("fields.a: "));
    assert!(refusal("where: {a: 1}\nfields: {a: b}").contains("there is no `each`"));
    assert_eq!(compiled("name: x\nto: hubspot\nfields: {}").unwrap_err(), ForeignError::To);
}
