use super::*;
use catchment_contracts::Variant;
use catchment_runtime::Offset;
use catchment_runtime::Outbox;

const ITEMS: TopicId = TopicId(1);

fn settings() -> CatalogSettings {
    CatalogSettings { items: ITEMS, schemas: SchemaIds::builtin(), event_clock: true }
}

fn statement(at: Millis, stock: i64) -> CatalogItem<'static> {
    CatalogItem {
        product_id: "run",
        source: "shop",
        source_partition: 0,
        source_offset: at,
        title: Some("Aero"),
        brand: None,
        category: None,
        currency: Some("USD"),
        withdrawn: false,
        updated_at: at,
        received_at: at + 2,
        variants: vec![Variant {
            sku: "run-42",
            size: Some("42"),
            price: Some(5),
            stock: Some(stock),
            updated_at: at,
            colour: None,
            currency: Some("USD"),
            availability: None,
        }],
        listed_at: Some(at),
        withdrawn_at: None,
    }
}

fn value(item: &CatalogItem<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::write_header(&mut bytes, SchemaIds::builtin().catalog_item);
    item.encode(&mut bytes);
    bytes
}

fn record<'r>(key: Option<&'r [u8]>, value: Option<&'r [u8]>, headers: &'r Headers) -> Record<'r> {
    Record { topic: TopicId(0), partition: 0, offset: Offset(0), append_time: 7, key, value, headers }
}

/// One step over these statements: what it writes, by key.
fn step(task: &mut CatalogTask, statements: &[CatalogItem<'_>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut step, headers) = (Step::new(), Headers::default());
    for statement in statements {
        task.process(&record(Some(b"run"), Some(&value(statement)), &headers), &mut step).unwrap();
    }
    task.flush(&mut step);
    written(&step.outbox)
}

fn written(outbox: &Outbox) -> Vec<(Vec<u8>, Vec<u8>)> {
    let of = |record| (outbox.key(record).unwrap().to_vec(), outbox.value(record).unwrap().to_vec());
    outbox.records().iter().map(of).collect()
}

#[test]
fn what_is_older_or_known_writes_nothing() {
    let mut task = CatalogTask::new(0, settings());
    let written = step(&mut task, &[statement(5, 3), statement(9, 0)]);
    assert_eq!(written, [(b"run".to_vec(), value(&statement(9, 0)))], "one record for a step");
    task.committed();
    assert_eq!(step(&mut task, &[statement(9, 0), statement(7, 4)]), []);
}

#[test]
fn a_step_that_is_undone_leaves_nothing_and_what_is_published_restores_the_task() {
    let mut task = CatalogTask::new(0, settings());
    let published = step(&mut task, &[statement(5, 3)]);
    task.committed();
    step(&mut task, &[statement(9, 0)]);
    task.aborted().unwrap();
    let mut restored = CatalogTask::new(0, settings());
    for (key, value) in &published {
        restored.restore(&record(Some(key), Some(value), &Headers::default())).unwrap();
    }
    for task in [&task, &restored] {
        let product = task.products().copied(&key_of(b"run")).unwrap().unwrap();
        assert_eq!(product.0.variants()[0].stock, Some(3));
    }
    restored.restore(&record(Some(b"run"), None, &Headers::default())).unwrap();
    assert!(restored.products().is_empty(), "a tombstone takes it away");
}

#[test]
fn time_is_that_of_the_records_where_the_clock_is() {
    let (mut task, headers, bytes) =
        (CatalogTask::new(0, settings()), Headers::default(), value(&statement(5, 3)));
    let arrived = record(Some(b"run"), Some(&bytes), &headers);
    assert_eq!(task.arrival(&arrived), 7);
    let mut step = Step::new();
    task.process(&arrived, &mut step).unwrap();
    assert_eq!(step.now, 7);
}

#[test]
fn what_we_can_not_have_written_stops_the_partition() {
    let mut task = CatalogTask::new(0, settings());
    let headers = Headers::default();
    let strange = CatalogItem { currency: Some("DOGE"), ..statement(5, 3) };
    for bytes in [None, Some(b"x".to_vec()), Some(value(&strange))] {
        let told = task.process(&record(None, bytes.as_deref(), &headers), &mut Step::new()).unwrap_err();
        assert!(told.reason.starts_with("catalog item: "), "{told}");
    }
}

#[test]
fn an_item_of_the_first_version_is_listed_or_withdrawn_as_of_its_update() {
    let mut old = CatalogItem { listed_at: None, ..statement(5, 3) };
    old.variants[0].currency = None;
    let product = convert::product(&old).unwrap();
    assert_eq!(convert::item(&product), statement(5, 3));
    let gone = CatalogItem { withdrawn: true, ..old };
    let product = convert::product(&gone).unwrap();
    assert!(product.is_withdrawn() && product.listing.is_none());
}
