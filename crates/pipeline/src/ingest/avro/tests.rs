mod shop;

use crate::ingest::testing::{ARRIVAL, Told, told_by};
use crate::ingest::{Format, Held, Mapping, RawRecord, Scratch, SourceSpec, Verdict, map_text, transcode};
use catchment_contracts::catalogue::{CATALOG_ITEM_SNAPSHOT, CRM_CONTACT};
use catchment_contracts::schemas::{BuiltinSchemas, Lookup, Schemas};
use catchment_contracts::transcode::WriterSchema;
use catchment_contracts::wire::SchemaKey;
use catchment_domain::KeySecret;

pub(super) fn spec(mapping: Mapping) -> SourceSpec {
    SourceSpec { format: Format::Avro, ..SourceSpec::new("test", "raw", mapping) }
}

/// What became of an Avro record, by its header and value.
fn tell(mapping: Mapping, header: Option<&[u8]>, value: &[u8], schemas: &dyn Schemas) -> Result<Told, Held> {
    let (spec, mut text) = (spec(mapping), String::new());
    transcode(&spec, Some(value), header, schemas, &mut text)?;
    let record = RawRecord { value: Some(value), partition: 3, offset: 7, arrival: ARRIVAL };
    Ok(told_by(|sink| map_text(&spec, &KeySecret::PUBLISHED, &record, &text, &mut Scratch::default(), sink)))
}

/// The only finding of a record that is refused before it is mapped, as `code: expected / actual`.
#[track_caller]
fn check(header: Option<&[u8]>, value: &[u8], schemas: &dyn Schemas, expected: &str) {
    let refused = tell(Mapping::Contact, header, value, schemas).unwrap_err();
    let Held::Decided(Verdict::DeadLetter(errors)) = &refused else { panic!("{refused:?}") };
    let [error] = errors.as_slice() else { panic!("{errors:?}") };
    assert_eq!(format!("{}: {} / {}", error.code, error.expected, error.actual), expected);
}

#[derive(Debug)]
struct Always(Lookup);

impl Schemas for Always {
    fn find(&self, _: SchemaKey) -> Lookup {
        self.0.clone()
    }
}

/// A contact with nothing but what it must have.
const CONTACT: &[u8] = b"\x06C-1\0\0\0\0\0\0\0\x282026-03-05T09:00:00Z\0\0\0";

fn with_id(id: u8, datum: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, id], datum].concat()
}

#[test]
fn a_record_is_read_by_the_schema_that_it_names() {
    let id = u8::try_from(CRM_CONTACT.builtin_id().0).unwrap();
    let in_value = tell(Mapping::Contact, None, &with_id(id, CONTACT), &BuiltinSchemas).unwrap();
    assert_eq!(in_value.event().identifiers[0].value, "C-1");
    let in_header = tell(Mapping::Contact, Some(&[0, 0, 0, 0, id]), CONTACT, &BuiltinSchemas).unwrap();
    assert_eq!(in_header, in_value);
}

/// What `confluent-kafka` 2.16 for Python wrote, with its `AvroSerializer`.
#[test]
fn a_record_of_another_client_is_read() {
    let value = b"\0\0\0\0\x09\x06C-1\0\x02\x1eada@example.org\0\0\0\0\0\x282026-03-05T09:00:00Z\
        \x02\x1eemail_marketing\x0egranted\x282026-03-05T09:00:00Z\0";
    // By the schema of the release that it was written with.
    let released = catchment_contracts::released::ALL[0].schema("crm_contact").unwrap();
    let schema = WriterSchema::parse(released, &[]).unwrap();
    let told = tell(Mapping::Contact, None, value, &Always(Lookup::Known(schema.into()))).unwrap();
    let event = told.event();
    assert_eq!(crate::ingest::testing::identifiers(&event), ["crm_id:C-1", "email:ada@example.org"]);
    assert_eq!(crate::ingest::testing::consents(&event), [format!("email_marketing granted {ARRIVAL}")]);
}

#[test]
fn a_record_that_names_no_schema_is_refused() {
    let expected = "no_schema_id: a zero byte and a schema id of 4 bytes, or a header with one / ";
    for (header, value, actual) in [
        (None, &b""[..], "0 bytes"),
        (None, &[0, 0, 0, 1], "4 bytes"),
        (None, b"{}", "the byte 0x7b, as before JSON: is the source's `format` `json`?"),
        (None, b"{\"contact_id\":1}", "the byte 0x7b, as before JSON: is the source's `format` `json`?"),
        (None, b"Obj\x01....", "the byte 0x4f"),
        (Some(&[9][..]), CONTACT, "a header in another form"),
    ] {
        check(header, value, &BuiltinSchemas, &format!("{expected}{actual}"));
    }
}

#[test]
fn a_schema_that_is_unknown_or_unusable_is_told_from_one_that_is_awaited() {
    let record = with_id(77, CONTACT);
    let unknown = "unknown_schema: a schema of the registry / schema 77, which the registry does not have";
    check(None, &record, &Always(Lookup::Unknown), unknown);
    let guid = [vec![1], vec![0xab; 16]].concat();
    let unknown = "unknown_schema: a schema of the registry / \
        schema abababab-abab-abab-abab-abababababab, which the registry does not have";
    check(Some(&guid), CONTACT, &BuiltinSchemas, unknown);
    let unusable = "unknown_schema: a schema that can be read with / it is no Avro schema";
    check(None, &record, &Always(Lookup::Unusable("it is no Avro schema".into())), unusable);
    let waiting = tell(Mapping::Contact, None, &record, &Always(Lookup::Pending)).unwrap_err();
    assert_eq!(waiting, Held::Waiting);
}

#[test]
fn bytes_of_another_schema_are_refused_with_their_place() {
    let contact = u8::try_from(CRM_CONTACT.builtin_id().0).unwrap();
    let catalog = u8::try_from(CATALOG_ITEM_SNAPSHOT.builtin_id().0).unwrap();
    let check = |id: u8, datum: &[u8], actual: &str| {
        let expected = format!("invalid_avro: one datum of schema {id} / {actual}");
        check(None, &with_id(id, datum), &BuiltinSchemas, &expected);
    };
    check(contact, &[CONTACT, &[0]].concat(), "bytes are left after the datum at byte 35");
    check(contact, &CONTACT[..20], "a length is negative or larger than the datum at byte 12");
    check(catalog, CONTACT, "a length is negative or larger than the datum at byte 13");
}

#[test]
fn a_record_is_bounded_before_and_after_it_becomes_json() {
    let id = u8::try_from(CATALOG_ITEM_SNAPSHOT.builtin_id().0).unwrap();
    let large = with_id(id, &vec![0; 40_000]);
    check(None, &large, &BuiltinSchemas, "oversize: at most 32768 bytes / 40005 bytes");
    // One byte an item, which as JSON is more than sixteen.
    let names = r#"{"type":"array","items":{"type":"record","name":"Item","fields":[
        {"name":"a_name_of_many_characters","type":["null","int"]}]}}"#;
    let names = WriterSchema::parse(names, &[]).unwrap();
    // 30,000 items, zig-zag.
    let datum = [&[0xe0, 0xd4, 0x03], [0; 30_001].as_slice()].concat();
    let expected = "oversize: at most 528384 bytes as JSON / more";
    check(None, &with_id(1, &datum), &Always(Lookup::Known(names.into())), expected);
}

#[test]
fn a_json_source_says_that_it_got_avro() {
    let id = with_id(2, CONTACT);
    let told = crate::ingest::testing::tell(Mapping::Contact, id);
    let expected =
        "invalid_json : a JSON object / a zero byte, as before Avro: is the source's `format` `avro`?";
    assert_eq!(told.findings(), [expected]);
}

/// A schema of somebody else's, nested as JSON is, with times and amounts as Avro has them.
#[test]
fn a_foreign_schema_needs_the_names_of_the_json_form_alone() {
    let schema = r#"{"type":"record","name":"Click","namespace":"acme","fields":[
        {"name":"type","type":{"type":"enum","name":"Kind","symbols":["page","track"]}},
        {"name":"event","type":"string"},
        {"name":"messageId","type":{"type":"string","logicalType":"uuid"}},
        {"name":"userId","type":"string"},
        {"name":"receivedAt","type":{"type":"long","logicalType":"timestamp-micros"}},
        {"name":"properties","type":{"type":"record","name":"Properties","fields":[
            {"name":"product_id","type":"string"},
            {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
            {"name":"quantity","type":"int"},
            {"name":"currency","type":["null","string"]}]}}]}"#;
    let schema = WriterSchema::parse(schema, &[]).unwrap();
    let schemas = Always(Lookup::Known(schema.into()));
    let mut datum = b"\x02\x1cProduct Viewed\x06m-1\x06u-1".to_vec();
    // 2026-03-05T09:00:00Z in microseconds, zig-zag.
    datum.extend_from_slice(&[0x80, 0x90, 0x8d, 0x95, 0xe5, 0x90, 0xa6, 0x06]);
    datum.extend_from_slice(b"\x06run\x04\x2e\xdb\x04\x00");
    let told = tell(Mapping::Segment, None, &with_id(1, &datum), &schemas).unwrap();
    let event = told.event();
    assert_eq!((event.event_id, event.occurred_at), ("m-1", ARRIVAL));
    assert_eq!(
        (event.items[0].price, event.items[0].quantity, event.currency),
        (Some(11_995), 2, Some("USD"))
    );
}
