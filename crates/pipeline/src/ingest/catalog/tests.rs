use crate::ingest::testing::{ARRIVAL, spec, tell, tell_with};
use crate::ingest::{Mapping, Verdict};

#[track_caller]
fn refused(value: &str, findings: &[&str]) {
    assert_eq!(tell(Mapping::Catalog, value).findings(), findings, "{value}");
}

#[test]
fn a_snapshot_is_a_product_with_its_variants() {
    let told = tell(
        Mapping::Catalog,
        r#"{"product_id":"run","title":"Aero","brand":"Stride","category":"running","currency":"usd","updated_at":"2026-03-05T08:00:00Z",
            "variants":[{"sku":"a","size":42,"price":119.95,"stock":0},{"sku":"b","price":null,"stock":null,
            "updated_at":"2099-01-01T00:00:00Z"}]}"#,
    );
    let item = told.item();
    assert_eq!(told.verdict, Verdict::Item { amounts_dropped: false });
    assert_eq!((item.product_id, item.currency, item.withdrawn), ("run", Some("USD"), false));
    assert_eq!((item.updated_at, item.received_at), (ARRIVAL - 3_600_000, ARRIVAL));
    assert_eq!((item.source, item.source_partition, item.source_offset), ("test", 3, 7));
    let [a, b] = item.variants.as_slice() else { panic!() };
    assert_eq!(
        (a.sku, a.size, a.price, a.stock, a.updated_at),
        ("a", Some("42"), Some(11_995), Some(0), item.updated_at)
    );
    assert_eq!((b.sku, b.size, b.price, b.stock, b.updated_at), ("b", None, None, None, ARRIVAL));
}

#[test]
fn a_withdrawn_product_needs_no_variants() {
    let told = tell(Mapping::Catalog, r#"{"product_id":"run","deleted":true,"variants":"x"}"#);
    let item = told.item();
    assert!(item.withdrawn && item.variants.is_empty());
    assert_eq!(item.updated_at, ARRIVAL);
}

#[test]
fn a_snapshot_names_every_wrong_field() {
    refused(
        "{}",
        &["missing_field product_id: a string / nothing", "missing_field variants: an array / nothing"],
    );
    let count = "an integer of at least 0";
    refused(
        r#"{"product_id":5,"deleted":"no","updated_at":"x","variants":[7,{"price":"N/A","stock":1.5,"updated_at":1},{"sku":"s","price":-1,
            "stock":-1},null]}"#,
        &[
            "wrong_type product_id: a string / a number",
            "wrong_type deleted: a boolean / a string of 2 characters",
            "bad_timestamp updated_at: an RFC 3339 time / a string of 1 character",
            "wrong_type variants[0]: an object / a number",
            "missing_field variants[1].sku: a string / nothing",
            "wrong_type variants[1].price: a number / a string of 3 characters",
            &format!("wrong_type variants[1].stock: {count} / 1.5"),
            "bad_timestamp variants[1].updated_at: an RFC 3339 time / a number",
            "out_of_range variants[2].price: a number from 0 to 9000000000000000 minor units / -1",
            &format!("out_of_range variants[2].stock: {count} / -1"),
            "missing_field variants[3]: an object / null",
        ],
    );
    refused(r#"{"product_id":"p","variants":{}}"#, &["wrong_type variants: an array / an object"]);
}

#[test]
fn prices_are_in_the_products_currency_else_in_the_sources() {
    let with =
        |currency: &str| format!(r#"{{"product_id":"p"{currency},"variants":[{{"sku":"a","price":5}}]}}"#);
    let mut spec = spec(Mapping::Catalog);
    spec.default_currency = "JPY".to_owned();
    let price = |currency: &str| {
        let told = tell_with(&spec, Some(with(currency).as_bytes()), ARRIVAL);
        let item = told.item();
        (item.currency.map(str::to_owned), item.variants[0].price, told.verdict.clone())
    };
    let item = |amounts_dropped| Verdict::Item { amounts_dropped };
    assert_eq!(price(""), (Some("JPY".to_owned()), Some(5), item(false)));
    assert_eq!(price(r#","currency":"KWD""#), (Some("KWD".to_owned()), Some(5_000), item(false)));
    assert_eq!(price(r#","currency":"DOGE""#), (None, None, item(true)));
}
