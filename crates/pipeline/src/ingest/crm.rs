//! Changes of contacts in CRMs: HubSpot webhooks, Salesforce Change Data Capture, plain contacts.

#[cfg(test)]
mod tests;

use super::check::{Errors, MAX_ID_BYTES, name_of, word};
use super::draft::{Draft, entries};
use super::json::{Json, Kind, shape};
use super::map::{Job, Reason, Sink, Verdict, open};
use super::segment::EMAIL_MARKETING;
use catchment_contracts::dead_letter::{ErrorCode, FieldError};
use catchment_contracts::{ConsentStatus, EventType};
use catchment_domain::IdentifierType;
use catchment_domain::normalise;
use std::borrow::Cow;

type Mapping = Result<Verdict, Vec<FieldError>>;
type Text<'a> = Option<Cow<'a, str>>;

/// A contact's own record.
const ONE: Verdict = Verdict::Events { count: 1, amounts_dropped: false };

shape!(HubspotChange {
    event_id = "eventId",
    object_id = "objectId",
    subscription = "subscriptionType",
    occurred_at = "occurredAt",
    name = "propertyName",
    value = "propertyValue",
});

/// One element of a HubSpot webhook request. A property that became empty is a trait deleted; what creates, deletes or
/// merges a contact is an event without statements.
pub(super) fn hubspot(job: &mut Job<'_, '_>, sink: Sink<'_>) -> Mapping {
    let change: HubspotChange<'_> = open(job.text)?;
    let mut errors = Errors::default();
    let object_id = errors.required_id("objectId", change.object_id);
    let subscription = errors.required_text("subscriptionType", change.subscription);
    let event_id = errors.id("eventId", change.event_id);
    let event_id = errors.at_most("eventId", MAX_ID_BYTES, event_id);
    let occurred_at = errors.required_millis("occurredAt", change.occurred_at);
    // Ids of companies, deals and contacts overlap: only a contact's may become a `crm_id`.
    if subscription.as_deref().is_some_and(|kind| !kind.starts_with("contact.")) && errors.is_empty() {
        return Ok(Verdict::Nothing(Reason::OtherEntity));
    }
    let changes = subscription.as_deref() == Some("contact.propertyChange");
    let name = match changes {
        true => errors.required_text("propertyName", change.name),
        false => errors.text("propertyName", change.name),
    };
    let value = errors.text("propertyValue", change.value);
    let Some(occurred_at) = occurred_at.filter(|_| errors.is_empty()) else {
        return Err(errors.into_vec());
    };

    let mut draft = contact_draft(job, event_id, occurred_at);
    draft.identify(job.secret, IdentifierType::CrmId, object_id);
    if changes {
        hubspot_property(&mut draft, job, name.as_deref().unwrap_or_default(), value);
    }
    draft.emit(job, sink);
    Ok(ONE)
}

fn hubspot_property<'a>(draft: &mut Draft<'a>, job: &mut Job<'_, 'a>, name: &str, value: Text<'a>) {
    let at = draft.occurred_at;
    let value = value.filter(|value| !value.trim().is_empty());
    match name {
        "email" => draft.identify(job.secret, IdentifierType::Email, value),
        "phone" => draft.identify(job.secret, IdentifierType::Phone, value),
        "hs_email_optout" => match value.as_deref() {
            Some("true") => draft.consent(EMAIL_MARKETING, ConsentStatus::Denied, at),
            Some("false") => draft.consent(EMAIL_MARKETING, ConsentStatus::Granted, at),
            _ => {}
        },
        "firstname" => draft.state("first_name", value),
        "lastname" => draft.state("last_name", value),
        "jobtitle" => draft.state("title", value),
        "country" => match value {
            Some(value) => country(draft, Some(&value)),
            None => draft.state("country", None),
        },
        "timezone" => zone(draft, job, value.as_deref()),
        _ => {}
    }
}

shape!(SalesforceEvent {
    payload = "payload",
    event = "event",
});

shape!(SalesforcePayload {
    header = "ChangeEventHeader",
    name = "Name",
    email = "Email",
    phone = "Phone",
    title = "Title",
    country = "MailingCountry",
    country_code = "MailingCountryCode",
    opted_out = "HasOptedOutOfEmail",
});

shape!(SalesforceHeader {
    entity = "entityName",
    record_ids = "recordIds",
    change = "changeType",
    committed_at = "commitTimestamp",
    nulled = "nulledFields",
});

shape!(SalesforceName {
    first = "FirstName",
    last = "LastName",
});

shape!(SalesforceReplay {
    id = "replayId",
});

/// One Salesforce Change Data Capture event. A change of several records says the same of each: one event for each,
/// without the address and number, which would join them. A `GAP_*` event says that something changed, not what.
pub(super) fn salesforce(job: &mut Job<'_, '_>, sink: Sink<'_>) -> Mapping {
    let event: SalesforceEvent<'_> = open(job.text)?;
    let mut errors = Errors::default();
    let payload: SalesforcePayload<'_> =
        errors.required_object("payload", event.payload).ok_or_else(|| errors_of(&mut errors))?;
    let header: SalesforceHeader<'_> = errors
        .required_object("payload.ChangeEventHeader", payload.header)
        .ok_or_else(|| errors_of(&mut errors))?;
    let records = record_ids(&mut errors, header.record_ids);
    let occurred_at =
        errors.required_millis("payload.ChangeEventHeader.commitTimestamp", header.committed_at);
    let change = errors.text("payload.ChangeEventHeader.changeType", header.change);
    let entity = errors.text("payload.ChangeEventHeader.entityName", header.entity);
    let statements = salesforce_statements(&mut errors, &payload);
    let replay: SalesforceReplay<'_> = errors.object("event", event.event).unwrap_or_default();
    let replay = errors.id("event.replayId", replay.id);
    let replay = errors.at_most("event.replayId", MAX_ID_BYTES, replay);
    let Some(occurred_at) = occurred_at.filter(|_| errors.is_empty()) else {
        return Err(errors.into_vec());
    };
    if entity.is_some_and(|entity| entity != "Contact") {
        return Ok(Verdict::Nothing(Reason::OtherEntity));
    }

    let gap = change.is_some_and(|change| change.starts_with("GAP_"));
    let replay = replay.unwrap_or_else(|| Cow::Owned(job.content_id()));
    let count = records.len();
    for (i, record) in records.into_iter().enumerate() {
        let id = if count == 1 { replay.clone() } else { Cow::Owned(format!("{replay}#{i}")) };
        let mut draft = contact_draft(job, Some(id), occurred_at);
        draft.identify(job.secret, IdentifierType::CrmId, Some(record));
        if !gap {
            statements.state(&mut draft, header.nulled);
            if count == 1 {
                draft.identify(job.secret, IdentifierType::Email, statements.email.clone());
                draft.identify(job.secret, IdentifierType::Phone, statements.phone.clone());
            }
        }
        draft.emit(job, sink);
    }
    Ok(Verdict::Events { count, amounts_dropped: false })
}

fn errors_of(errors: &mut Errors) -> Vec<FieldError> {
    std::mem::take(errors).into_vec()
}

fn record_ids<'a>(errors: &mut Errors, json: Json<'a>) -> Vec<Cow<'a, str>> {
    const FIELD: &str = "payload.ChangeEventHeader.recordIds";
    let Some(elements) = errors.required_elements(FIELD, json) else {
        return Vec::new();
    };
    if elements.is_empty() {
        errors.push(ErrorCode::MissingField, FIELD, "at least one record id", "an empty array");
    }
    let ids = elements.into_iter().enumerate();
    ids.filter_map(|(i, id)| errors.required_text(format_args!("{FIELD}[{i}]"), id)).collect()
}

/// What a Salesforce change says of each of its records.
struct Statements<'a> {
    email: Text<'a>,
    phone: Text<'a>,
    first: Text<'a>,
    last: Text<'a>,
    title: Text<'a>,
    country: Text<'a>,
    opted_out: Option<bool>,
}

fn salesforce_statements<'a>(errors: &mut Errors, payload: &SalesforcePayload<'a>) -> Statements<'a> {
    let name: SalesforceName<'_> = match payload.name.kind() {
        // Person accounts and custom layouts send the name as one text, which can't be parted.
        Kind::Text => SalesforceName::default(),
        _ => errors.object("payload.Name", payload.name).unwrap_or_default(),
    };
    let country = errors.text("payload.MailingCountryCode", payload.country_code);
    let spelled = errors.text("payload.MailingCountry", payload.country);
    Statements {
        email: errors.text("payload.Email", payload.email),
        phone: errors.text("payload.Phone", payload.phone),
        first: errors.text("payload.Name.FirstName", name.first),
        last: errors.text("payload.Name.LastName", name.last),
        title: errors.text("payload.Title", payload.title),
        country: country.or(spelled),
        opted_out: errors.boolean("payload.HasOptedOutOfEmail", payload.opted_out),
    }
}

impl<'a> Statements<'a> {
    fn state(&self, draft: &mut Draft<'a>, nulled: Json<'a>) {
        // The list of nulled fields is the only sure sign of a deletion: some readers of the event bus see null for
        // every field that did not change.
        let _ = nulled.elements(|field| {
            let name = match field.text().ok().flatten().as_deref() {
                Some("FirstName" | "Name.FirstName") => "first_name",
                Some("LastName" | "Name.LastName") => "last_name",
                Some("Title") => "title",
                Some("MailingCountry" | "MailingAddress.Country" | "MailingCountryCode") => "country",
                _ => return,
            };
            draft.state(name, None);
        });
        state_text(draft, "first_name", self.first.clone());
        state_text(draft, "last_name", self.last.clone());
        state_text(draft, "title", self.title.clone());
        country(draft, self.country.as_deref());
        if let Some(opted_out) = self.opted_out {
            let status = if opted_out { ConsentStatus::Denied } else { ConsentStatus::Granted };
            draft.consent(EMAIL_MARKETING, status, draft.occurred_at);
        }
    }
}

shape!(Contact {
    event_id = "event_id",
    contact_id = "contact_id",
    user_id = "user_id",
    email = "email",
    phone = "phone",
    first_name = "first_name",
    last_name = "last_name",
    country = "country",
    timezone = "timezone",
    updated_at = "updated_at",
    consents = "consents",
    traits = "traits",
});

shape!(ContactConsent {
    status = "status",
    at = "at",
});

/// One full contact in the plain shape. What is empty in it is unknown and says nothing.
pub(super) fn contact(job: &mut Job<'_, '_>, sink: Sink<'_>) -> Mapping {
    let contact: Contact<'_> = open(job.text)?;
    let mut errors = Errors::default();
    let event_id = errors.id("event_id", contact.event_id);
    let event_id = errors.at_most("event_id", MAX_ID_BYTES, event_id);
    let contact_id = errors.required_text("contact_id", contact.contact_id);
    let user_id = errors.text("user_id", contact.user_id);
    let email = errors.text("email", contact.email);
    let phone = errors.text("phone", contact.phone);
    let first = errors.text("first_name", contact.first_name);
    let last = errors.text("last_name", contact.last_name);
    let spelled_country = errors.text("country", contact.country);
    let spelled_zone = errors.text("timezone", contact.timezone);
    let updated_at = errors.required_time("updated_at", contact.updated_at).unwrap_or_default();

    let mut draft = contact_draft(job, event_id, updated_at);
    contact_consents(&mut errors, &mut draft, contact.consents);
    errors.is_object("traits", contact.traits);
    if contact.traits.kind() == Kind::Object {
        let read = contact.traits.entries(|name, value| draft.state_json(&mut errors, "traits", name, value));
        if read.is_err() {
            errors.push(ErrorCode::InvalidJson, "traits", "Unicode text", "half a surrogate pair");
        }
    }
    if !errors.is_empty() {
        return Err(errors.into_vec());
    }
    draft.identify(job.secret, IdentifierType::CrmId, contact_id);
    draft.identify(job.secret, IdentifierType::UserId, user_id);
    draft.identify(job.secret, IdentifierType::Email, email);
    draft.identify(job.secret, IdentifierType::Phone, phone);
    state_text(&mut draft, "first_name", first);
    state_text(&mut draft, "last_name", last);
    country(&mut draft, spelled_country.as_deref());
    zone(&mut draft, job, spelled_zone.as_deref());
    draft.emit(job, sink);
    Ok(ONE)
}

fn contact_consents<'a>(errors: &mut Errors, draft: &mut Draft<'a>, json: Json<'a>) {
    if json.is_none() {
        return;
    }
    let list = if json.kind() == Kind::Object { entries(json).ok() } else { None };
    let Some(list) = list else {
        // Says what it is, or that its names are broken.
        let _ = errors.object::<ContactConsent<'_>>("consents", json);
        return;
    };
    for (purpose, json) in list {
        let shown = name_of(&purpose).to_owned();
        let found = errors.required_object::<ContactConsent<'_>>(format_args!("consents.{shown}"), json);
        let Some(statement) = found else { continue };
        let status = errors.required_text(format_args!("consents.{shown}.status"), statement.status);
        let at = errors.required_time(format_args!("consents.{shown}.at"), statement.at);
        let Some(status) = status else { continue };
        match (ConsentStatus::from_symbol(&status), at) {
            // Nobody can say tomorrow's word today; a later one must be able to overrule it.
            (Some(status), Some(at)) => {
                let at = at.min(draft.received_at);
                draft.consent(purpose, status, at);
            }
            (Some(_), None) => {}
            (None, _) => {
                let expected = "one of granted, denied, unknown";
                errors.push(
                    ErrorCode::OutOfRange,
                    format_args!("consents.{shown}.status"),
                    expected,
                    &word(&status),
                );
            }
        }
    }
}

/// A contact event that happened at that time, but not after it arrived.
fn contact_draft<'a>(job: &Job<'_, 'a>, id: Text<'a>, occurred_at: i64) -> Draft<'a> {
    let mut draft = Draft::new(EventType::Contact);
    draft.event_id = id.unwrap_or_else(|| Cow::Owned(job.content_id()));
    draft.received_at = job.record.arrival;
    draft.occurred_at = occurred_at.min(job.record.arrival);
    draft
}

/// States a trait, if there is something to state.
fn state_text<'a>(draft: &mut Draft<'a>, name: &'static str, value: Text<'a>) {
    if value.as_ref().is_some_and(|value| !value.is_empty()) {
        draft.state(name, value);
    }
}

fn country(draft: &mut Draft<'_>, value: Option<&str>) {
    if let Some(code) = value.and_then(normalise::country) {
        draft.state("country", Some(Cow::Owned(code)));
    }
}

fn zone(draft: &mut Draft<'_>, job: &mut Job<'_, '_>, value: Option<&str>) {
    if let Some((zone, _)) = value.and_then(|value| job.scratch.time_zone(value)) {
        draft.state("timezone", Some(Cow::Owned(zone.to_owned())));
    }
}
