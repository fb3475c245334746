use super::*;
use crate::{CampaignDecision, Outcome, Prediction, catalogue};

fn schema(name: &str) -> Schema {
    Schema::parse_str(catalogue::find(name).unwrap().schema).unwrap()
}

fn decision() -> CampaignDecision<'static> {
    CampaignDecision {
        campaign: "back_in_stock",
        profile_id: [0xab; 16],
        scope: "run-aero-42",
        outcome: Outcome::HeldOut,
        reason: "in \"the\" holdout\n",
        decided_at: 1_772_701_200_000,
        not_before: None,
        trigger_id: Some("ü"),
        event_id: "e",
        source: "web",
        occurred_at: -1,
        predictions: vec![Prediction { model: "churn", version: "3", score: 0.5, at: 0, missing: false }],
    }
}

#[test]
fn a_record_becomes_one_line_in_the_order_of_the_schema() {
    let mut datum = Vec::new();
    decision().encode(&mut datum);
    let mut out = String::from("> ");
    render_json(&schema("campaign_decision"), &datum, &mut out).unwrap();
    assert_eq!(
        out,
        concat!(
            "> {\"campaign\":\"back_in_stock\",\"profile_id\":\"abababababababababababababababab\",",
            "\"scope\":\"run-aero-42\",\"outcome\":\"held_out\",\"reason\":\"in \\\"the\\\" holdout\\n\",",
            "\"decided_at\":\"2026-03-05T09:00:00.000Z\",\"not_before\":null,\"trigger_id\":\"ü\",",
            "\"event_id\":\"e\",\"source\":\"web\",\"occurred_at\":\"1969-12-31T23:59:59.999Z\",",
            "\"predictions\":[{\"model\":\"churn\",\"version\":\"3\",\"score\":0.5,",
            "\"at\":\"1970-01-01T00:00:00.000Z\",\"missing\":false}]}"
        )
    );
}

#[test]
fn what_json_can_not_say_stays_json() {
    let mut datum = Vec::new();
    let mut decision = decision();
    decision.occurred_at = i64::MAX;
    decision.predictions[0].score = f64::NAN;
    decision.encode(&mut datum);
    let mut out = String::new();
    render_json(&schema("campaign_decision"), &datum, &mut out).unwrap();
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["occurred_at"], i64::MAX);
    assert!(json["predictions"][0]["score"].is_null());
}

#[test]
fn keys_of_a_map_are_sorted() {
    let schema = Schema::parse_str(r#"{"type": "map", "values": "int"}"#).unwrap();
    let mut out = String::new();
    render_json(&schema, &[4, 2, b'b', 2, 2, b'a', 4, 0], &mut out).unwrap();
    assert_eq!(out, r#"{"a":2,"b":1}"#);
}

#[test]
fn bytes_that_are_no_datum_leave_the_output_as_it_was() {
    let mut datum = Vec::new();
    decision().encode(&mut datum);
    let schema = schema("campaign_decision");
    let renderer = Renderer::new(&schema).unwrap();
    let mut out = String::from("before");
    assert!(renderer.render(&datum[..datum.len() - 1], &mut out).is_err());
    datum.push(0);
    assert!(matches!(renderer.render(&datum, &mut out), Err(RenderError::TrailingBytes(1))));
    assert_eq!(out, "before");
}
