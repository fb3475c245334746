use crate::ingest::testing::{ARRIVAL, consents, identifiers, spec, tell, tell_with, traits};
use crate::ingest::{Mapping, Verdict};
use catchment_contracts::EventType;
use catchment_domain::normalise::Policy;
use catchment_domain::{IdentifierType, KeySecret};

/// A call that is refused, with these findings.
#[track_caller]
fn refused(value: &str, findings: &[&str]) {
    assert_eq!(tell(Mapping::Segment, value).findings(), findings, "{value}");
}

/// A track with these properties.
fn track(event: &str, properties: &str) -> String {
    format!(
        r#"{{"type":"track","event":"{event}","messageId":"m","userId":"u-1","properties":{properties}}}"#
    )
}

#[test]
fn the_envelope_names_every_wrong_field() {
    let types = "one of identify, track, page, screen, group, alias";
    refused(
        "{}",
        &[
            &format!("missing_field type: {types} / nothing"),
            "missing_field userId|anonymousId: a string in at least one of them / nothing",
        ],
    );
    refused(r#"{"type":"telepathy","userId":"u"}"#, &[&format!("unknown_type type: {types} / telepathy")]);
    refused(r#"{"type":"contact","userId":"u"}"#, &[&format!("unknown_type type: {types} / contact")]);
    refused(r#"{"type":7,"userId":"u"}"#, &[&format!("unknown_type type: {types} / a number")]);
    let long = "x".repeat(50);
    refused(
        &format!(r#"{{"type":"{long}","userId":"u"}}"#),
        &[&format!("unknown_type type: {types} / a string of 50 characters")],
    );
    refused(
        r#"{"type":"track","userId":{"id":"u"},"anonymousId":7,"messageId":1e400,"sentAt":"yesterday",
            "receivedAt":5,"properties":"x","traits":[],"context":true,"event":0}"#,
        &[
            "wrong_type userId: a string / an object",
            "wrong_type anonymousId: a string / a number",
            "wrong_type messageId: a string / a number",
            "bad_timestamp sentAt: an RFC 3339 time / a string of 9 characters",
            "bad_timestamp receivedAt: an RFC 3339 time / a number",
            "wrong_type properties: an object / a string of 1 character",
            "wrong_type traits: an object / an array",
            "wrong_type context: an object / a boolean",
            "wrong_type event: a string / a number",
        ],
    );
    refused(r#"{"type":"track","userId":"u"}"#, &["missing_field event: a string / nothing"]);
    refused(
        r#"{"type":"track","userId":"u","event":""}"#,
        &["missing_field event: a string / an empty string"],
    );
    refused(r#"{"type":"track","userId":"u","event":null}"#, &["missing_field event: a string / null"]);
}

#[test]
fn message_ids_have_at_most_a_hundred_characters() {
    let with = |id: &str| format!(r#"{{"type":"page","userId":"u","messageId":"{id}"}}"#);
    let umlauts = "ü".repeat(100);
    assert_eq!(tell(Mapping::Segment, with(&umlauts)).event().event_id, umlauts);
    refused(&with(&"ü".repeat(101)), &["out_of_range messageId: at most 100 characters / 101 characters"]);
}

#[test]
fn an_event_without_an_id_gets_one_from_its_content() {
    let text = r#"{"type":"page","userId":"u"}"#;
    let expected = &blake3::hash(text.as_bytes()).to_hex()[..32];
    assert_eq!(tell(Mapping::Segment, text).event().event_id, expected);
    assert_ne!(tell(Mapping::Segment, format!("{text} ")).event().event_id, expected);
    assert_eq!(
        tell(Mapping::Segment, r#"{"type":"page","userId":"u","messageId":""}"#).event().event_id.len(),
        32
    );
}

#[test]
fn identifiers_come_from_all_places_in_one_spelling_and_order() {
    let told = tell(
        Mapping::Segment,
        r#"{"type":"alias","userId":" U-1 ","anonymousId":"anon-1","previousId":"anon-1","traits":{"email":"A@Example.com"},
            "context":{"traits":{"email":" a@example.COM","phone":"0044 20 7946 0958"}},"properties":{"email":"b@example.com","phone":"020"}}"#,
    );
    let event = told.event();
    let mut found = identifiers(&event);
    assert_eq!(found.len(), 5);
    found.sort();
    assert_eq!(
        found,
        [
            "anonymous_id:anon-1",
            "email:a@example.com",
            "email:b@example.com",
            "phone:+442079460958",
            "user_id:U-1"
        ]
    );
    assert!(event.identifiers.is_sorted_by_key(|id| (id.r#type, id.key)), "the smallest comes first");
}

#[test]
fn placeholders_and_what_is_no_text_identify_nobody() {
    let told = tell(
        Mapping::Segment,
        r#"{"type":"identify","userId":"NULL","anonymousId":"0000-0000","traits":{"email":5,"phone":["+442079460958"]},
            "properties":{"email":"undefined"},"context":{"traits":"x"}}"#,
    );
    assert!(told.event().identifiers.is_empty());
    let told = tell(Mapping::Segment, r#"{"type":"page","previousId":"p-1","userId":"u-1"}"#);
    assert_eq!(identifiers(&told.event()), ["user_id:u-1"], "only an alias has a previous id");
}

#[test]
fn traits_are_stated_as_sent() {
    let told = tell(
        Mapping::Segment,
        r#"{"type":"identify","userId":"u","traits":{"b":" Text ","a":1.50,"c":true,"d":null,"e":{"x": [1, "y z"]},
            "email":"a@example.com","phone":"1","timezone":"Mars/Olympus","f":""},
            "context":{"traits":{"a":2,"g":"context"},"timezone":"Europe/Berlin"}}"#,
    );
    assert_eq!(
        traits(&told.event()),
        [
            "a=1.50",
            "b= Text ",
            "c=true",
            "-d",
            r#"e={"x":[1,"y z"]}"#,
            "f=",
            "g=context",
            "timezone=Europe/Berlin"
        ]
    );
}

#[test]
fn traits_have_limits() {
    let many: Vec<String> = (0..100).map(|i| format!(r#""t{i:03}":{i}"#)).collect();
    let told = tell(
        Mapping::Segment,
        format!(r#"{{"type":"identify","userId":"u","traits":{{{}}}}}"#, many.join(",")),
    );
    assert_eq!(told.event().traits.len(), 64);
    let (fits, long) = ("x".repeat(512), "x".repeat(513));
    let told = tell(
        Mapping::Segment,
        format!(
            r#"{{"type":"identify","userId":"u","traits":{{"a":"{long}","b":"{fits}","c":["{fits}"],"{long}":1}}}}"#
        ),
    );
    assert_eq!(traits(&told.event()), [format!("b={fits}")]);
}

#[test]
fn the_traits_of_a_group_are_not_its_members() {
    let told = tell(
        Mapping::Segment,
        r#"{"type":"group","userId":"u","groupId":"g","traits":{"name":"Run Club","email":"club@example.com","timezone":"Europe/Paris"},
            "context":{"traits":{"plan":"pro"}}}"#,
    );
    let event = told.event();
    assert_eq!(event.r#type, EventType::Group);
    assert_eq!(traits(&event), ["plan=pro"]);
    assert_eq!(identifiers(&event), ["user_id:u", "email:club@example.com"]);
}

#[test]
fn time_is_corrected_for_the_skew_of_the_clients_clock() {
    let told = tell(
        Mapping::Segment,
        r#"{"type":"page","name":"Home","userId":"u","originalTimestamp":"2027-03-05T08:00:00Z","sentAt":"2027-03-05T08:00:10Z",
            "receivedAt":"2026-03-05T08:59:59Z"}"#,
    );
    let event = told.event();
    assert_eq!((event.occurred_at, event.received_at), (ARRIVAL - 11_000, ARRIVAL - 1_000));
    assert_eq!(event.event, Some("Home"));
    let told = tell(Mapping::Segment, r#"{"type":"page","userId":"u"}"#);
    assert_eq!((told.event().occurred_at, told.event().received_at), (ARRIVAL, ARRIVAL));
    assert_eq!((told.event().source_partition, told.event().source_offset), (3, 7));
}

#[test]
fn consents_are_said_in_preferences_and_by_unsubscribing() {
    let told = tell(
        Mapping::Segment,
        r#"{"type":"track","event":"Unsubscribed","userId":"u","context":{"consent":{"categoryPreferences":
            {"sms":false,"email_marketing":true,"sms":true,"x":null}}}}"#,
    );
    let at = ARRIVAL;
    assert_eq!(
        consents(&told.event()),
        [
            format!("email_marketing granted {at}"),
            format!("email_marketing denied {at}"),
            format!("sms granted {at}")
        ]
    );
    let told = tell(
        Mapping::Segment,
        r#"{"type":"page","userId":"u","context":{"consent":{"categoryPreferences":[]}}}"#,
    );
    assert!(told.event().consents.is_empty());
}

#[test]
fn a_product_is_checked_and_taken() {
    for event in ["Product Viewed", "Product Added", "Product Removed"] {
        let properties = r#"{"product_id":"p","sku":42,"category":"shoes","variant":"42","price":0.29,"quantity":2.0,"currency":"eur"}"#;
        let told = tell(Mapping::Segment, track(event, properties));
        let event = told.event();
        let item = event.items[0];
        assert_eq!((item.product_id, item.sku, item.variant), ("p", Some("42"), Some("42")));
        assert_eq!((item.category, item.price, item.quantity), (Some("shoes"), Some(29), 2));
        assert_eq!(event.currency, Some("EUR"));
    }
    let amount = "a number from 0 to 9000000000000000 minor units";
    for (properties, findings) in [
        ("{}", vec!["missing_field properties.product_id: a string / nothing".to_owned()]),
        (r#"{"product_id":7}"#, vec!["wrong_type properties.product_id: a string / a number".to_owned()]),
        (
            r#"{"product_id":"","price":"eighty-nine"}"#,
            vec![
                "missing_field properties.product_id: a string / an empty string".to_owned(),
                "wrong_type properties.price: a number / a string of 11 characters".to_owned(),
            ],
        ),
        (
            r#"{"product_id":"p","price":-0.01}"#,
            vec![format!("out_of_range properties.price: {amount} / -0.01")],
        ),
        (
            r#"{"product_id":"p","price":1e400}"#,
            vec![format!("out_of_range properties.price: {amount} / 1e400")],
        ),
    ] {
        let findings: Vec<&str> = findings.iter().map(String::as_str).collect();
        refused(&track("Product Added", properties), &findings);
    }
    // The same under a name that no rule is about.
    let told = tell(Mapping::Segment, track("product added", r#"{"product_id":7,"price":"x"}"#));
    assert!(told.event().items.is_empty());
}

#[test]
fn an_unusable_quantity_is_one() {
    for (quantity, expected) in [
        ("3", 3),
        ("3.0", 3),
        ("0", 1),
        ("-2", 1),
        ("1.5", 1),
        ("\"3\"", 1),
        ("1000000", 1_000_000),
        ("1000001", 1),
        ("null", 1),
    ] {
        let told = tell(
            Mapping::Segment,
            track("Product Added", &format!(r#"{{"product_id":"p","quantity":{quantity}}}"#)),
        );
        assert_eq!(told.event().items[0].quantity, expected, "{quantity}");
    }
}

#[test]
fn an_order_has_number_lines_and_total() {
    let properties = r#"{"order_id":"o-1","total":159.95,"currency":"JPY","products":[{"product_id":"a","price":100.4,"quantity":2},
        {"sku":"nameless","quantity":3},"nonsense",{"product_id":"b","price":-1}]}"#;
    let told = tell(Mapping::Segment, track("Order Completed", properties));
    let event = told.event();
    let order = event.order.unwrap();
    assert_eq!((order.order_id, order.total, order.units), ("o-1", Some(160), 6));
    let items: Vec<_> = event.items.iter().map(|item| (item.product_id, item.price)).collect();
    assert_eq!(items, [("a", Some(100)), ("b", None)]);
    refused(
        &track("Order Completed", r#"{"order_id":5,"products":{},"total":"9"}"#),
        &[
            "wrong_type properties.order_id: a string / a number",
            "wrong_type properties.products: an array / an object",
            "wrong_type properties.total: a number / a string of 1 character",
        ],
    );
    refused(
        &track("Order Completed", "null"),
        &[
            "missing_field properties.order_id: a string / nothing",
            "missing_field properties.products: an array / nothing",
            "missing_field properties.total: a number / nothing",
        ],
    );
    refused(
        &track("Order Completed", r#"{"order_id":"o","products":[],"total":-1}"#),
        &["out_of_range properties.total: a number from 0 to 9000000000000000 minor units / -1"],
    );
}

#[test]
fn an_order_of_one_product_may_be_flat() {
    let properties = r#"{"order_id":"o-1","revenue":30.10,"product_id":"a","price":15.05,"quantity":2}"#;
    let told = tell(Mapping::Segment, track("Order Completed", properties));
    let event = told.event();
    let order = event.order.unwrap();
    assert_eq!((order.order_id, order.total, order.units), ("o-1", Some(3_010), 2));
    assert_eq!((event.items.len(), event.items[0].product_id, event.items[0].price), (1, "a", Some(1_505)));
    let both = r#"{"order_id":"o-1","revenue":1,"total":2,"product_id":"a","products":[]}"#;
    let told = tell(Mapping::Segment, track("Order Completed", both));
    assert_eq!((told.event().order.unwrap().total, told.event().items.len()), (Some(200), 0));
    refused(
        &track("Order Completed", r#"{"order_id":"o","product_id":7,"revenue":"9"}"#),
        &[
            "wrong_type properties.product_id: a string / a number",
            "wrong_type properties.revenue: a number / a string of 1 character",
        ],
    );
}

#[test]
fn the_time_of_a_library_stands_in_for_the_one_that_servers_rename() {
    let call = |times: &str| {
        let text = format!(r#"{{"type":"page","userId":"u","receivedAt":"2026-03-05T09:00:00Z",{times}}}"#);
        tell(Mapping::Segment, &text).event().occurred_at
    };
    let sent = r#""sentAt":"2026-03-05T08:00:10Z""#;
    let corrected = call(&format!(r#""originalTimestamp":"2026-03-05T08:00:00Z",{sent}"#));
    assert_eq!(corrected, call(&format!(r#""timestamp":"2026-03-05T08:00:00Z",{sent}"#)));
    let both = r#""originalTimestamp":"2026-03-05T08:00:00Z","timestamp":"2026-03-05T08:59:50Z""#;
    assert_eq!(corrected, call(&format!("{both},{sent}")));
    assert_ne!(corrected, call(sent));
}

#[test]
fn amounts_in_a_currency_that_nobody_lists_are_left_out_and_counted() {
    let properties =
        r#"{"order_id":"o","products":[{"product_id":"p","price":5}],"total":5,"currency":"DOGE"}"#;
    let told = tell(Mapping::Segment, track("Order Completed", properties));
    assert_eq!(told.verdict, Verdict::Events { count: 1, amounts_dropped: true });
    let event = told.event();
    assert_eq!((event.currency, event.items[0].price, event.order.unwrap().total), (None, None, None));
    let told = tell(Mapping::Segment, track("Survey Sent", r#"{"currency":"DOGE"}"#));
    assert_eq!(told.verdict, Verdict::Events { count: 1, amounts_dropped: false });
}

#[test]
fn amounts_without_a_currency_are_in_the_sources() {
    let value = track("Product Viewed", r#"{"product_id":"p","price":5}"#);
    let mut spec = spec(Mapping::Segment);
    spec.default_currency = "JPY".to_owned();
    let told = tell_with(&spec, Some(value.as_bytes()), ARRIVAL);
    assert_eq!((told.event().currency, told.event().items[0].price), (Some("JPY"), Some(5)));
    let told = tell(Mapping::Segment, value);
    assert_eq!((told.event().currency, told.event().items[0].price), (Some("USD"), Some(500)));
}

#[test]
fn a_survey_is_its_first_answer_in_points() {
    for (properties, expected) in [
        (
            r#"{"poll_id":"p","responses":[{"question":"why","answer":"x"},{"question":"nps","answer":8},{"question":"z","answer":1}]}"#,
            Some(("p", "nps", 8)),
        ),
        (r#"{"survey_id":7,"responses":[{"question":"nps","answer":9.0}]}"#, Some(("7", "nps", 9))),
        (r#"{"poll_id":"p","responses":[{"question":"nps","answer":8.5}]}"#, None),
        (r#"{"poll_id":"p","responses":{}}"#, None),
        (r#"{"responses":[{"question":"nps","answer":8}]}"#, None),
    ] {
        let told = tell(Mapping::Segment, track("Survey Completed", properties));
        let found = told.event().survey.map(|s| (s.survey, s.question, s.score));
        assert_eq!(found, expected, "{properties}");
    }
}

#[test]
fn a_consent_that_cannot_be_read_is_refused_and_its_key_is_named_if_it_is_a_name() {
    let said = |key: &str| {
        let preferences = format!(r#"{{"{key}":"false"}}"#);
        format!(
            r#"{{"type":"page","userId":"u","context":{{"consent":{{"categoryPreferences":{preferences}}}}}}}"#
        )
    };
    let finding = |key: &str| {
        format!(
            "wrong_type context.consent.categoryPreferences.{key}: true or false / a string of 5 characters"
        )
    };
    refused(&said("email_marketing"), &[&finding("email_marketing")]);
    refused(&said("mia@example.com"), &[&finding("…")]);
    refused(&said("491711234567"), &[&finding("…")]);
}

#[test]
fn texts_that_are_kept_are_bounded() {
    let long = "x".repeat(400);
    let findings = |field: &str, most: usize| {
        format!("out_of_range {field}: a text of at most {most} bytes / a text of 400 bytes")
    };
    for (field, most) in [("product_id", 320), ("sku", 320), ("category", 128), ("variant", 128)] {
        let mut properties = serde_json::json!({"product_id": "p"});
        properties[field] = long.clone().into();
        let field = format!("properties.{field}");
        refused(&track("Product Viewed", &properties.to_string()), &[&findings(&field, most)]);
    }
    let order = format!(r#"{{"order_id":"{long}","total":1,"products":[]}}"#);
    refused(&track("Order Completed", &order), &[&findings("properties.order_id", 320)]);
    refused(&track(&long, "{}"), &[&findings("event", 128)]);
    let page = format!(r#"{{"type":"page","userId":"u","name":"{long}"}}"#);
    refused(&page, &[&findings("name", 128)]);
}

#[test]
fn nothing_is_received_after_it_arrived() {
    let told = tell(Mapping::Segment, r#"{"type":"page","userId":"u","receivedAt":"9999-01-01T00:00:00Z"}"#);
    assert_eq!((told.event().received_at, told.event().occurred_at), (ARRIVAL, ARRIVAL));
}

#[test]
fn refunds_and_cancellations_say_how_much_or_mean_all_of_it() {
    let order = |name: &str, more: &str| {
        let properties = format!(r#"{{"order_id":"o1"{more}}}"#);
        let call = format!(r#"{{"type":"track","userId":"u","event":"{name}","properties":{properties}}}"#);
        let told = tell(Mapping::Segment, &call);
        let event = told.event();
        let order = event.order.unwrap();
        (order.order_id.to_owned(), order.total, event.currency.map(str::to_owned))
    };
    let usd = |total| ("o1".to_owned(), total, Some("USD".to_owned()));
    let refund = |more: &str| order("Order Refunded", more);
    assert_eq!(refund(r#","total":25.5"#), usd(Some(2_550)));
    assert_eq!(refund(r#","revenue":3"#), usd(Some(300)));
    assert_eq!(
        refund(r#","products":[{"product_id":"a","price":2,"quantity":3},{"product_id":"b","price":1}]"#),
        usd(Some(700))
    );
    assert_eq!(refund(r#","products":[{"product_id":"a"}]"#), usd(None), "a line without a price");
    assert_eq!(refund(""), usd(None));
    assert_eq!(refund(r#","total":1,"currency":"DOGE""#), ("o1".to_owned(), None, None));
    assert_eq!(order("Order Cancelled", ""), usd(None));
    refused(
        r#"{"type":"track","userId":"u","event":"Order Refunded","properties":{"total":-1}}"#,
        &[
            "missing_field properties.order_id: a string / nothing",
            "out_of_range properties.total: a number from 0 to 9000000000000000 minor units / -1",
        ],
    );
}

#[test]
fn the_hour_is_that_of_the_zone_that_the_call_names() {
    let hour = |context: &str| {
        let call = format!(
            r#"{{"type":"page","userId":"u","originalTimestamp":"2026-03-05T06:30:00Z","context":{context}}}"#
        );
        tell(Mapping::Segment, &call).event().local_hour
    };
    assert_eq!(hour(r#"{"timezone":"Europe/Berlin"}"#), Some(7));
    assert_eq!(hour(r#"{"timezone":"America/Los_Angeles"}"#), Some(22));
    assert_eq!(hour(r#"{"timezone":"Mars"}"#), None);
    assert_eq!(hour("{}"), None);
}

#[test]
fn a_deployment_decides_what_identifies_nobody_and_what_a_tag_is() {
    let mut spec = spec(Mapping::Segment);
    spec.policy = Some(Policy::new(["Guest", "info@example.com"], true).into());
    let call =
        r#"{"type":"identify","userId":"guest","anonymousId":"a","traits":{"email":"info+x@example.com"}}"#;
    let told = tell_with(&spec, Some(call.as_bytes()), ARRIVAL);
    assert_eq!(identifiers(&told.event()), ["anonymous_id:a"]);
    let call = call.replace("guest", "u-1").replace("info", "mia");
    let told = tell_with(&spec, Some(call.as_bytes()), ARRIVAL);
    let event = told.event();
    assert_eq!(identifiers(&event), ["user_id:u-1", "email:mia@example.com", "anonymous_id:a"]);
    let key = KeySecret::PUBLISHED.node_key(IdentifierType::Email, "mia@example.com");
    assert_eq!(event.identifiers[1].key, key.0);
}
