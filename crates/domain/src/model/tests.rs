use super::*;
use crate::profile::Order;
use serde_json::Value;
use std::path::PathBuf;

fn shipped() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/models/buys_again_90d")
}

fn file() -> ModelFile {
    serde_saphyr::from_str(&std::fs::read_to_string(shipped().join("model.yaml")).unwrap()).unwrap()
}

fn profile_of(orders: &Value) -> Profile {
    let mut profile = Profile::default();
    for (at, order) in orders.as_array().unwrap().iter().enumerate() {
        profile.orders.push(Order {
            at: order["at_ms"].as_i64().unwrap(),
            order_id: format!("o{at:04}").into(),
            total: order["total_minor"].as_i64(),
            currency: Some("USD".into()),
            units: i32::try_from(order["units"].as_i64().unwrap()).unwrap(),
        });
    }
    profile
}

#[test]
fn features_and_scores_are_those_of_the_trainer() {
    let model = Model::new(file()).unwrap();
    let golden: Value =
        serde_json::from_str(&std::fs::read_to_string(shipped().join("golden_orders.json")).unwrap())
            .unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 9);
    for case in cases {
        let profile = profile_of(&case["orders"]);
        let now = case["now_ms"].as_i64().unwrap();
        let facts = Facts::new(&profile, now, "USD", 2);
        for (name, expected) in case["features"].as_object().unwrap() {
            let got = facts.get(Feature::from_name(name).unwrap());
            assert!(close(got, expected.as_f64()), "{}: {name}: {got:?} for {expected}", case["why"]);
        }
        let score = model.score(&profile, now).map(|score| score.value);
        assert!(close(score, case["score"].as_f64()), "{}: {score:?} for {}", case["why"], case["score"]);
    }
}

fn close(got: Option<f64>, expected: Option<f64>) -> bool {
    match (got, expected) {
        (Some(got), Some(expected)) => (got - expected).abs() <= 1e-12,
        (got, expected) => got.is_none() && expected.is_none(),
    }
}

#[track_caller]
fn check(change: impl FnOnce(&mut ModelFile), expected: &str) {
    let mut file = file();
    change(&mut file);
    assert_eq!(Model::new(file).unwrap_err().to_string(), expected);
}

#[test]
fn a_file_that_is_wrong_is_refused_with_the_reason() {
    check(|file| file.format = 2, "format 2 is not known; this program reads format 1");
    for name in ["", "4you", "buys-again", "a b"] {
        let expected = format!("name `{name}`: expected letters, digits and `_`, not a digit first");
        check(|file| file.name = name.to_owned(), &expected);
    }
    check(|file| file.version = " ".to_owned(), "version must not be empty");
    check(|file| file.features.push(file.features[0].clone()), "feature `orders_log` stands there twice");
    check(
        |file| file.features[0].name = "order_log".to_owned(),
        "feature `order_log` is not known; docs/models.md lists all",
    );
    check(
        |file| file.features[0].scale = 0.0,
        "`scale` of feature `orders_log` must be a finite number, and a scale not zero",
    );
    check(|file| file.currency = "ABC".to_owned(), "currency `ABC` is not listed by ISO 4217");
    check(|file| file.golden.clear(), "no golden vectors: at least one input with its score is needed");
    check(
        |file| {
            file.golden[0].inputs.remove("units_log");
        },
        "golden vector 0 must give exactly the features of the model; `units_log` is not given or not of the model",
    );
}

#[test]
fn a_model_that_does_not_reproduce_its_golden_vectors_is_refused() {
    let mut file = file();
    file.intercept += 1e-6;
    assert!(matches!(Model::new(file), Err(ModelError::GoldenScore(0, Some(_), Some(_)))));
}

#[test]
fn every_feature_is_found_by_its_name() {
    for feature in Feature::ALL {
        assert_eq!(Feature::from_name(feature.name()), Some(*feature));
        assert!(feature.doc().ends_with('.'));
    }
    assert_eq!(Feature::from_name("nothing"), None);
}

#[test]
fn a_score_says_whether_something_was_missing() {
    let mut model = Model::new(file()).unwrap();
    for (_, weights) in &mut model.terms {
        weights.missing = Missing::Value(0.5);
    }
    assert!(model.score(&Profile::default(), 0).unwrap().missing);
    assert!(!model.score_of(|_| Some(1.0)).unwrap().missing);
}
