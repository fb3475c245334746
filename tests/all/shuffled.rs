//! The example shop in any order of its lines, over any number of partitions: the same customers, and the same profiles.

use crate::shop::{expected, records, sandbox_over, shop};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Shuffles of the lines within each file.
const SHUFFLES: u64 = 20;

/// Partitions that each of them is run with.
const PARTITIONS: [&str; 3] = ["1", "3", "8"];

/// A line of the behaviour that says nothing of when it arrived: it takes the time of what stands before it. The facts leave
/// open whether it counts.
const CLOCKLESS: usize = 1941;

/// These two use one tablet. Which of them gets what it does without either is policy.
const SHARED: [&str; 2] = ["u-ruth", "u-sam"];

/// Splitmix64: the same shuffle on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// The shop's files, with their lines in another order if there is a seed.
fn input(seed: Option<u64>) -> TempDir {
    let (directory, mut random) = (TempDir::new().unwrap(), seed.map(Random));
    let entries = fs::read_dir(shop().join("data")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "ndjson")) {
        let content = fs::read(path).unwrap();
        let lines = content.split(|byte| *byte == b'\n');
        let mut lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
        if path.ends_with("behaviour.ndjson") {
            lines.remove(CLOCKLESS - 1);
        }
        for last in (1..lines.len()).rev() {
            let other = random.as_mut().map_or(last, |random| random.below(last + 1));
            lines.swap(last, other);
        }
        fs::write(directory.path().join(path.file_name().unwrap()), lines.join(&b'\n')).unwrap();
    }
    directory
}

/// A customer's identifiers, as the facts name them.
fn who(profile: &Value) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let identifiers = profile["identifiers"].as_array().unwrap().iter();
    identifiers.map(|known| format!("{}:{}", text(&known["type"]), text(&known["value"]))).collect()
}

fn uses_the_tablet(profile: &Value) -> bool {
    SHARED.iter().any(|user| who(profile).contains(&format!("user_id:{user}")))
}

/// What is known of each customer, by profile id, but for scores, which are of their moment.
fn profiles(directory: &Path) -> BTreeMap<String, Value> {
    let records = records(directory, "customer.profiles").into_iter();
    records
        .map(|mut record| {
            record["value"]["predictions"].take();
            (record["key"].as_str().unwrap().to_owned(), record["value"].take())
        })
        .collect()
}

/// Holds all that is known of the shop against the profiles of a run.
fn check_facts(profiles: &BTreeMap<String, Value>, run: &str) {
    let facts = expected();
    let customers: BTreeSet<BTreeSet<String>> = profiles.values().map(who).collect();
    let known: BTreeSet<BTreeSet<String>> =
        serde_json::from_value(facts["identity"]["customers"].clone()).unwrap();
    assert_eq!(
        customers.symmetric_difference(&known).collect::<Vec<_>>(),
        Vec::<&BTreeSet<String>>::new(),
        "{run}"
    );
    let all = &facts["identity"]["all_sources"];
    let identified = |who: &&BTreeSet<String>| who.iter().any(|one| !one.starts_with("anonymous_id:"));
    assert_eq!(all["customers"], profiles.len(), "{run}");
    assert_eq!(all["identified"], customers.iter().filter(identified).count(), "{run}");

    let mut consents = json!({"granted": 0, "denied": 0, "unknown": 0});
    let (mut orders, mut total, mut units) = (0, 0, 0);
    let mut scores = Vec::new();
    for profile in profiles.values() {
        let list = |field: &str| profile[field].as_array().unwrap().clone();
        let mail = list("consents").into_iter().find(|consent| consent["purpose"] == "email_marketing");
        let status = mail.map_or("unknown".to_owned(), |mail| mail["status"].as_str().unwrap().to_owned());
        consents[&status] = Value::from(consents[&status].as_i64().unwrap() + 1);
        let number = |entry: &Value, field: &str| entry[field].as_i64().unwrap();
        for order in list("orders") {
            (orders, total, units) =
                (orders + 1, total + number(&order, "total"), units + number(&order, "units"));
        }
        for sum in list("older_orders") {
            let [count, amount, pieces] = ["orders", "total", "units"].map(|field| number(&sum, field));
            (orders, total, units) = (orders + count, total + amount, units + pieces);
        }
        scores.extend(list("surveys").iter().map(|answer| number(answer, "score")));
    }
    assert_eq!(facts["consent"]["email_marketing_at_end"], consents, "{run}");
    let known = &facts["behaviour"]["orders"];
    assert_eq!(
        json!([known["orders"], known["total_cents"], known["units"]]),
        json!([orders, total, units]),
        "{run}"
    );
    let count = |test: &dyn Fn(i64) -> bool| scores.iter().filter(|score| test(**score)).count();
    let known = &facts["behaviour"]["nps"];
    assert_eq!(
        json!([known["responses"], known["promoters"], known["passives"], known["detractors"]]),
        json!([scores.len(), count(&|s| s >= 9), count(&|s| s == 7 || s == 8), count(&|s| s <= 6)]),
        "{run}"
    );
    let contacts = customers.iter().flatten().filter(|one| one.starts_with("crm_id:")).count();
    assert_eq!(facts["crm"]["distinct_contacts"], contacts, "{run}");
}

/// Every product, but for where its newest statement stood in its file.
fn products(directory: &Path) -> BTreeMap<String, Value> {
    let records = records(directory, "catalog.items").into_iter();
    records
        .map(|mut record| {
            record["value"]["source_offset"].take();
            (record["key"].as_str().unwrap().to_owned(), record["value"].take())
        })
        .collect()
}

/// Holds the last price and stock of every variant, and what was withdrawn when, against the products of a run.
fn check_products(products: &BTreeMap<String, Value>, run: &str) {
    let (facts, moment) = (expected(), |value: &Value| value.as_str().map(str::to_owned));
    let known = facts["catalog"]["skus"].as_object().unwrap();
    let mut found = BTreeMap::new();
    for variant in products.values().flat_map(|product| product["variants"].as_array().unwrap()) {
        assert_eq!(variant["currency"], "USD", "{run}");
        let cents = |price: &Value| price.as_f64().map(|price| (price * 100.0).round());
        let sku = variant["sku"].as_str().unwrap();
        let fact = known.get(sku).unwrap_or_else(|| panic!("{run}: {sku} is not known"));
        assert_eq!(variant["price"].as_f64(), cents(&fact["price"]), "{run}: price of {sku}");
        assert_eq!(variant["stock"], fact["stock"], "{run}: stock of {sku}");
        assert_eq!(moment(&variant["updated_at"]), moment(&fact["updated_at"]), "{run}: {sku}");
        found.insert(sku, ());
    }
    assert!(found.keys().copied().eq(known.keys().map(String::as_str)), "{run}: not all variants are there");
    let withdrawn: BTreeMap<String, Value> = products
        .iter()
        .filter(|(_, product)| product["withdrawn"] == true)
        .map(|(id, product)| (id.clone(), product["withdrawn_at"].clone()))
        .collect();
    assert_eq!(serde_json::to_value(withdrawn).unwrap(), facts["catalog"]["withdrawn"], "{run}");
}

#[test]
fn customers_and_profiles_are_the_same_in_any_order_over_any_number_of_partitions() {
    let given = sandbox_over(&shop().join("data"), &[], None);
    check_facts(&profiles(given.path()), "the given order");
    check_products(&products(given.path()), "the given order");
    let reference = sandbox_over(input(None).path(), &[], None);
    let reference = (profiles(reference.path()), products(reference.path()));
    // Each with its own files, so that they can run side by side.
    let runs = (1..=SHUFFLES).flat_map(|seed| PARTITIONS.map(|partitions| (seed, partitions)));
    let runs: Vec<(u64, &str)> = runs.collect();
    std::thread::scope(|scope| {
        for half in runs.chunks(runs.len().div_ceil(2)) {
            let reference = &reference;
            scope.spawn(move || {
                half.iter().for_each(|(seed, partitions)| check_shuffle(*seed, partitions, reference));
            });
        }
    });
}

fn check_shuffle(
    seed: u64,
    partitions: &str,
    (reference, items): &(BTreeMap<String, Value>, BTreeMap<String, Value>),
) {
    let run = format!("shuffle {seed} over {partitions} partitions");
    let input = input(Some(seed));
    let output = sandbox_over(input.path(), &[("CATCHMENT__PARTITIONS", partitions)], None);
    let again = profiles(output.path());
    check_facts(&again, &run);
    let products = products(output.path());
    check_products(&products, &run);
    assert_eq!(&products, items, "{run}");
    assert!(again.keys().eq(reference.keys()), "{run}: other profile ids");
    for (id, profile) in &again {
        let known = &reference[id];
        if uses_the_tablet(profile) {
            assert_eq!(
                (&profile["identifiers"], &profile["consents"]),
                (&known["identifiers"], &known["consents"]),
                "{run}"
            );
        } else {
            for (field, value) in profile.as_object().unwrap() {
                assert_eq!(value, &known[field], "{run}: {field} of {id}");
            }
        }
    }
}
