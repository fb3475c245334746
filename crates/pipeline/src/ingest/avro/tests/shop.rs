//! The shop's lines in the Avro form of their contracts: they must give what the JSON form gives.

use super::{spec, tell};
use crate::ingest::testing::{ARRIVAL, Told, tell_with};
use crate::ingest::tests::shop::lines;
use crate::ingest::{Mapping, Verdict};
use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use catchment_contracts::CustomerEvent;
use catchment_contracts::catalogue::{BEHAVIOUR_EVENT, CATALOG_ITEM_SNAPSHOT, CRM_CONTACT, Contract};
use catchment_contracts::schemas::BuiltinSchemas;
use serde_json::{Map, Value as Json, json};

/// A JSON value as a value of the schema; `None` if the schema has no place for it.
fn value(schema: &Schema, names: &dyn Fn(&str) -> Option<Schema>, json: &Json) -> Option<Value> {
    Some(match (schema, json) {
        (Schema::Ref { name }, json) => value(&names(name.name())?, names, json)?,
        (Schema::Union(_), Json::Null) => Value::Union(0, Value::Null.into()),
        (Schema::Union(union), json) => Value::Union(1, value(&union.variants()[1], names, json)?.into()),
        (Schema::Boolean, Json::Bool(value)) => Value::Boolean(*value),
        (Schema::Int, Json::Number(number)) => Value::Int(number.as_i64()?.try_into().ok()?),
        (Schema::Long, Json::Number(number)) => Value::Long(number.as_i64()?),
        (Schema::String, Json::String(text)) => Value::String(text.clone()),
        (Schema::Array(array), Json::Array(items)) => {
            Value::Array(items.iter().map(|item| value(&array.items, names, item)).collect::<Option<_>>()?)
        }
        (Schema::Map(map), Json::Object(entries)) => {
            let entry = |(key, json): (&String, &Json)| Some((key.clone(), value(&map.types, names, json)?));
            Value::Map(entries.iter().map(entry).collect::<Option<_>>()?)
        }
        (Schema::Record(record), Json::Object(members)) => {
            let field = |field: &apache_avro::schema::RecordField| {
                let json = members.get(&field.name).or(field.default.as_ref())?;
                Some((field.name.clone(), value(&field.schema, names, json)?))
            };
            Value::Record(record.fields.iter().map(field).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// A datum of a contract; `None` if the contract has no place for what the line says.
fn datum(contract: &Contract, json: &Json) -> Option<Vec<u8>> {
    let schema = Schema::parse_str(contract.schema).unwrap();
    let Schema::Record(record) = &schema else { panic!("no record") };
    // The one type that a contract uses twice.
    let product = record.fields.iter().find_map(|field| match &field.schema {
        Schema::Union(union) => {
            Some(union.variants()[1].clone()).filter(|ty| matches!(ty, Schema::Record(_)))
        }
        _ => None,
    });
    let value = value(&schema, &|_| product.clone(), json)?;
    Some(GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap())
}

/// Numbers become the text that the contract wants; what says nothing in either form goes.
fn spell(object: &mut Map<String, Json>, names: &[&str]) {
    for name in names {
        if let Some(Json::Number(number)) = object.get(*name) {
            let text = number.to_string();
            object.insert((*name).to_owned(), json!(text));
        }
    }
}

fn take(from: &mut Json, name: &str) -> Json {
    from.as_object_mut().and_then(|object| object.remove(name)).unwrap_or(Json::Null)
}

/// Traits as texts. Lists and objects would need the order of their members.
fn texts(traits: Json) -> Option<Json> {
    let Json::Object(traits) = traits else { return Some(json!({})) };
    let text = |(name, value): (String, Json)| match value {
        Json::Number(number) => Some((name, json!(number.to_string()))),
        Json::Bool(value) => Some((name, json!(value.to_string()))),
        Json::Null | Json::String(_) => Some((name, value)),
        Json::Array(_) | Json::Object(_) => None,
    };
    traits.into_iter().map(text).collect::<Option<Map<_, _>>>().map(Json::Object)
}

/// A nested call in the flat form of the contract.
fn flat(mut call: Json) -> Option<Json> {
    let (mut properties, mut context) = (take(&mut call, "properties"), take(&mut call, "context"));
    let traits = texts(take(&mut call, "traits"))?;
    let consents = take(&mut take(&mut context, "consent"), "categoryPreferences");
    let event = call["event"].as_str().unwrap_or_default().to_owned();
    let lines = take(&mut properties, "products");
    let product = if properties.get("product_id").is_some() || event.starts_with("Product ") {
        let mut product = properties.clone();
        spell(product.as_object_mut()?, &["price"]);
        product
    } else {
        Json::Null
    };
    // Where lines must be, an empty list and none are told apart in JSON alone.
    if event == "Order Completed" && !lines.is_array() {
        return None;
    }
    let mut lines = if lines.is_null() { json!([]) } else { lines };
    for line in lines.as_array_mut()? {
        spell(line.as_object_mut()?, &["price"]);
    }
    let answers = take(&mut properties, "responses");
    let answers = answers.as_array().map(Vec::as_slice).unwrap_or_default();
    let answer = answers.iter().find(|answer| answer["answer"].is_i64());
    let object = call.as_object_mut()?;
    for name in ["order_id", "total", "currency", "survey_id", "poll_id", "email", "phone"] {
        object.insert(name.to_owned(), properties[name].clone());
    }
    spell(object, &["total"]);
    object.insert("traits".to_owned(), traits);
    object.insert("context_traits".to_owned(), texts(take(&mut context, "traits"))?);
    object.insert("timezone".to_owned(), take(&mut context, "timezone"));
    object.insert("consents".to_owned(), if consents.is_null() { json!({}) } else { consents });
    object.insert("product".to_owned(), product);
    object.insert("products".to_owned(), lines);
    if let Some(answer) = answer {
        object.insert("question".to_owned(), answer["question"].clone());
        object.insert("answer".to_owned(), answer["answer"].clone());
    }
    Some(call)
}

fn catalog(mut item: Json) -> Option<Json> {
    if item["deleted"] != true && !item["variants"].is_array() {
        return None;
    }
    for variant in item.get_mut("variants").and_then(Json::as_array_mut).into_iter().flatten() {
        spell(variant.as_object_mut()?, &["price", "size"]);
    }
    Some(item)
}

/// What became of a record, but for how what is absent is described: in JSON it is nothing, in Avro null.
fn shown(told: &Told) -> Verdict {
    let mut verdict = told.verdict.clone();
    if let Verdict::DeadLetter(errors) = &mut verdict {
        let absent = errors.iter_mut().filter(|error| error.actual == "null");
        absent.for_each(|error| error.actual = "nothing".to_owned());
    }
    verdict
}

/// Compares all lines that the contract has a place for. It must have one for all that is taken as JSON but `without`,
/// and for so many of those that are refused.
fn compare(
    file: &str,
    mapping: Mapping,
    form: impl Fn(Json) -> Option<(&'static Contract, Json)>,
    without: usize,
    refused: usize,
) {
    let (mut found_without, mut found_refused) = (0, 0);
    for (number, line) in lines(file) {
        let json = tell_with(&crate::ingest::testing::spec(mapping), Some(&line), ARRIVAL);
        let is_refused = matches!(json.verdict, Verdict::DeadLetter(_));
        let form = serde_json::from_slice(&line).ok().and_then(&form);
        let form = form.filter(|_| line.len() <= spec(mapping).max_bytes);
        let Some((contract, datum)) =
            form.and_then(|(contract, form)| Some((contract, datum(contract, &form)?)))
        else {
            found_without += usize::from(!is_refused);
            continue;
        };
        let header = [vec![0], contract.builtin_id().0.to_be_bytes().to_vec()].concat();
        let avro = tell(mapping, Some(&header), &datum, &BuiltinSchemas).unwrap();
        let place = format!("{file}, line {number}");
        assert_eq!((shown(&avro), &avro.items), (shown(&json), &json.items), "{place}");
        for (avro, json) in avro.all().into_iter().zip(json.all()) {
            // An id that is made of the bytes differs with them.
            let of = |event: &CustomerEvent<'_>| event.event_id.len() == 32;
            let ids = of(&avro) && of(&json);
            let avro = if ids { CustomerEvent { event_id: json.event_id, ..avro } } else { avro };
            assert_eq!(avro, json, "{place}");
        }
        found_refused += usize::from(is_refused);
    }
    assert_eq!((found_without, found_refused), (without, refused), "{file}");
}

#[test]
fn calls_say_the_same_in_avro() {
    compare("behaviour.ndjson", Mapping::Segment, |call| Some((&BEHAVIOUR_EVENT, flat(call)?)), 0, 6);
}

#[test]
fn contacts_say_the_same_in_avro() {
    compare("crm_contacts.ndjson", Mapping::Contact, |contact| Some((&CRM_CONTACT, contact)), 0, 0);
}

#[test]
fn products_say_the_same_in_avro() {
    compare("catalog.ndjson", Mapping::Catalog, |item| Some((&CATALOG_ITEM_SNAPSHOT, catalog(item)?)), 0, 1);
}
