use crate::ingest::testing::{ARRIVAL, consents, identifiers, tell, traits};
use crate::ingest::{Mapping, Reason, Verdict};

#[track_caller]
fn refused(mapping: Mapping, value: &str, findings: &[&str]) {
    assert_eq!(tell(mapping, value).findings(), findings, "{value}");
}

/// A HubSpot property change.
fn property(name: &str, value: &str) -> String {
    format!(
        r#"{{"eventId":77,"objectId":512,"subscriptionType":"contact.propertyChange","occurredAt":1000,
            "propertyName":"{name}","propertyValue":{value}}}"#
    )
}

#[test]
fn hubspot_says_one_property_at_a_time() {
    #[track_caller]
    fn check(name: &str, value: &str, ids: &[&str], states: &[&str], says: &[&str]) {
        let told = tell(Mapping::Hubspot, property(name, value));
        let event = told.event();
        assert_eq!((event.event_id, event.occurred_at, event.received_at), ("77", 1_000, ARRIVAL));
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(identifiers(&event)[1..], ids, "{name}");
        assert_eq!(identifiers(&event)[0], "crm_id:512");
        assert_eq!(
            (traits(&event), consents(&event)),
            (
                states.iter().map(|state| (*state).to_owned()).collect(),
                says.iter().map(|say| (*say).to_owned()).collect(),
            )
        );
    }
    check("email", r#"" MIA@Example.com""#, &["email:mia@example.com"], &[], &[]);
    check("email", r#""""#, &[], &[], &[]);
    check("phone", r#""0044 20 7946 0962""#, &["phone:+442079460962"], &[], &[]);
    check("hs_email_optout", r#""true""#, &[], &[], &["email_marketing denied 1000"]);
    check("hs_email_optout", r#""false""#, &[], &[], &["email_marketing granted 1000"]);
    check("hs_email_optout", r#""""#, &[], &[], &[]);
    check("firstname", r#""Mia""#, &[], &["first_name=Mia"], &[]);
    check("lastname", r#""""#, &[], &["-last_name"], &[]);
    check("country", r#"" de ""#, &[], &["country=DE"], &[]);
    check("country", r#""Atlantis""#, &[], &[], &[]);
    check("favourite_colour", r#""red""#, &[], &[], &[]);
}

#[test]
fn hubspot_names_every_wrong_field() {
    let id = "an integer or a string";
    refused(
        Mapping::Hubspot,
        "{}",
        &[
            &format!("missing_field objectId: {id} / nothing"),
            "missing_field subscriptionType: a string / nothing",
            "missing_field occurredAt: milliseconds since 1970 / nothing",
        ],
    );
    refused(
        Mapping::Hubspot,
        r#"{"objectId":1.5,"eventId":{},"subscriptionType":"contact.propertyChange","occurredAt":"1736061840050","propertyValue":7}"#,
        &[
            &format!("wrong_type objectId: {id} / a number"),
            &format!("wrong_type eventId: {id} / an object"),
            "wrong_type occurredAt: milliseconds since 1970 / a string of 13 characters",
            "missing_field propertyName: a string / nothing",
            "wrong_type propertyValue: a string / a number",
        ],
    );
    let huge = "7".repeat(400);
    let shown = "a number of 400 characters";
    refused(
        Mapping::Hubspot,
        &format!(r#"{{"objectId":5,"subscriptionType":"contact.creation","occurredAt":{huge}}}"#),
        &[&format!("out_of_range occurredAt: milliseconds since 1970, up to the year 9999 / {shown}")],
    );
}

#[test]
fn a_contact_that_is_created_says_nothing_else() {
    let told = tell(
        Mapping::Hubspot,
        r#"{"objectId":"512","subscriptionType":"contact.creation","occurredAt":9999999999999,"changeFlag":"NEW"}"#,
    );
    let event = told.event();
    assert_eq!(identifiers(&event), ["crm_id:512"]);
    assert_eq!(event.occurred_at, ARRIVAL, "nothing happens after it arrived");
    assert_eq!(event.event_id.len(), 32, "an id from its content");
    assert!(event.traits.is_empty() && event.consents.is_empty());
}

fn change(header: &str, fields: &str, replay: &str) -> String {
    format!(
        r#"{{"payload":{{"ChangeEventHeader":{{"entityName":"Contact","commitTimestamp":1000,{header}}}{fields}}},"event":{{"replayId":{replay}}}}}"#
    )
}

#[test]
fn salesforce_says_all_of_one_contact() {
    let fields = r#","Name":{"FirstName":"Mia","LastName":"Okafor"},"Email":"mia@example.com","Phone":"+1 (212) 555-0121",
        "MailingCountry":"us","Title":"Dr","HasOptedOutOfEmail":false"#;
    let told = tell(
        Mapping::Salesforce,
        change(
            r#""recordIds":["003A"],"changeType":"UPDATE","nulledFields":["Title","LastName","Fax"]"#,
            fields,
            "901",
        ),
    );
    let event = told.event();
    assert_eq!((event.event_id, event.occurred_at), ("901", 1_000));
    assert_eq!(identifiers(&event), ["crm_id:003A", "email:mia@example.com", "phone:+12125550121"]);
    assert_eq!(traits(&event), ["country=US", "first_name=Mia", "last_name=Okafor", "title=Dr"]);
    assert_eq!(consents(&event), ["email_marketing granted 1000"]);
    let nulled = tell(
        Mapping::Salesforce,
        change(
            r#""recordIds":["003A"],"changeType":"UPDATE","nulledFields":["Name.FirstName","Title"]"#,
            "",
            "902",
        ),
    );
    assert_eq!(traits(&nulled.event()), ["-first_name", "-title"]);
}

#[test]
fn a_change_of_several_records_says_the_same_of_each_and_joins_none() {
    let fields =
        r#","Email":"twin@example.com","Phone":"+12125550121","Title":"Twin","HasOptedOutOfEmail":true"#;
    let told = tell(
        Mapping::Salesforce,
        change(r#""recordIds":["003A","003B"],"changeType":"UPDATE""#, fields, "\"9\""),
    );
    assert_eq!(told.verdict, Verdict::Events { count: 2, amounts_dropped: false });
    for (event, (id, crm)) in told.all().iter().zip([("9#0", "crm_id:003A"), ("9#1", "crm_id:003B")]) {
        assert_eq!(event.event_id, id);
        assert_eq!(identifiers(event), [crm]);
        assert_eq!(
            (traits(event), consents(event)),
            (vec!["title=Twin".to_owned()], vec!["email_marketing denied 1000".to_owned()],)
        );
    }
}

#[test]
fn a_gap_says_that_something_changed_and_not_what() {
    let told = tell(
        Mapping::Salesforce,
        change(
            r#""recordIds":["003A"],"changeType":"GAP_UPDATE""#,
            r#","Email":"a@example.com","HasOptedOutOfEmail":true"#,
            "1",
        ),
    );
    let event = told.event();
    assert_eq!(identifiers(&event), ["crm_id:003A"]);
    assert!(event.traits.is_empty() && event.consents.is_empty());
    let other = change(r#""recordIds":["006A"],"changeType":"CREATE""#, "", "1")
        .replace("Contact\"", "Opportunity\"");
    assert_eq!(tell(Mapping::Salesforce, other).verdict, Verdict::Nothing(Reason::OtherEntity));
}

#[test]
fn salesforce_names_every_wrong_field() {
    refused(Mapping::Salesforce, "{}", &["missing_field payload: an object / nothing"]);
    refused(Mapping::Salesforce, r#"{"payload":[]}"#, &["wrong_type payload: an object / an array"]);
    refused(
        Mapping::Salesforce,
        r#"{"payload":{"Email":"mia@example.com"}}"#,
        &["missing_field payload.ChangeEventHeader: an object / nothing"],
    );
    refused(
        Mapping::Salesforce,
        r#"{"payload":{"ChangeEventHeader":{"recordIds":["003A",7,""],"commitTimestamp":true,"changeType":1},
            "Email":["x"],"HasOptedOutOfEmail":"yes","Name":{"FirstName":{}}},"event":{"replayId":[1]}}"#,
        &[
            "wrong_type payload.ChangeEventHeader.recordIds[1]: a string / a number",
            "missing_field payload.ChangeEventHeader.recordIds[2]: a string / an empty string",
            "wrong_type payload.ChangeEventHeader.commitTimestamp: milliseconds since 1970 / a boolean",
            "wrong_type payload.ChangeEventHeader.changeType: a string / a number",
            "wrong_type payload.Email: a string / an array",
            "wrong_type payload.Name.FirstName: a string / an object",
            "wrong_type payload.HasOptedOutOfEmail: a boolean / a string of 3 characters",
            "wrong_type event.replayId: an integer or a string / an array",
        ],
    );
    let field = "payload.ChangeEventHeader.recordIds";
    refused(
        Mapping::Salesforce,
        &change(r#""recordIds":[]"#, "", "1"),
        &[&format!("missing_field {field}: at least one record id / an empty array")],
    );
    refused(
        Mapping::Salesforce,
        &change(r#""recordIds":"003A""#, "", "1"),
        &[&format!("wrong_type {field}: an array / a string of 4 characters")],
    );
}

#[test]
fn a_plain_contact_says_all_it_knows() {
    let text = r#"{"contact_id":"C-1","user_id":"u-1","email":" A@example.com","phone":"020 7946 0958","first_name":"Ada","last_name":"",
        "country":"","timezone":"Europe/London","updated_at":"2026-03-05T08:00:00Z","consents":{
        "sms":{"status":"denied","at":"2099-01-01T00:00:00Z"},"email_marketing":{"status":"granted","at":"1970-01-01T00:00:01Z"}}}"#;
    let told = tell(Mapping::Contact, text);
    let event = told.event();
    assert_eq!(event.event_id, &blake3::hash(text.as_bytes()).to_hex()[..32]);
    assert_eq!(event.occurred_at, ARRIVAL - 3_600_000);
    assert_eq!(identifiers(&event), ["user_id:u-1", "crm_id:C-1", "email:a@example.com"]);
    assert_eq!(traits(&event), ["first_name=Ada", "timezone=Europe/London"]);
    assert_eq!(
        consents(&event),
        ["email_marketing granted 1000".to_owned(), format!("sms denied {ARRIVAL}")]
    );
}

#[test]
fn a_plain_contact_names_every_wrong_field() {
    refused(
        Mapping::Contact,
        r#"{"contact_id":7,"email":["a@example.com"],"updated_at":"now","timezone":1,"consents":{"a":{"status":"maybe","at":"x"},"b":"granted",
            "c":{"status":1}}}"#,
        &[
            "wrong_type contact_id: a string / a number",
            "wrong_type email: a string / an array",
            "wrong_type timezone: a string / a number",
            "bad_timestamp updated_at: an RFC 3339 time / a string of 3 characters",
            "bad_timestamp consents.a.at: an RFC 3339 time / a string of 1 character",
            "out_of_range consents.a.status: one of granted, denied, unknown / maybe",
            "wrong_type consents.b: an object / a string of 7 characters",
            "wrong_type consents.c.status: a string / a number",
            "missing_field consents.c.at: an RFC 3339 time / nothing",
        ],
    );
    refused(
        Mapping::Contact,
        r#"{"consents":[]}"#,
        &[
            "missing_field contact_id: a string / nothing",
            "missing_field updated_at: an RFC 3339 time / nothing",
            "wrong_type consents: an object / an array",
        ],
    );
}

#[test]
fn a_change_of_a_company_is_no_contact() {
    let change = r#"{"eventId":1,"objectId":5,"occurredAt":0,"subscriptionType":"company.propertyChange",
        "propertyName":"name","propertyValue":"Acme"}"#;
    assert_eq!(tell(Mapping::Hubspot, change).verdict, Verdict::Nothing(Reason::OtherEntity));
}
