//! Calls of the Segment specification.
//!
//! Deliberately lenient beyond the contract: what no check asks for is taken where it can be used and passed over where
//! not. In particular a quantity that is no positive integer of at most 1,000,000 counts as 1, since no rule of the
//! contract refuses such a line, and amounts in a currency that ISO 4217 doesn't list are left out (and counted), since
//! nobody knows their minor unit.

mod commerce;
mod flat;
#[cfg(test)]
mod tests;

use super::check::{Errors, MAX_NAME_BYTES, describe, name_of, word};
use super::draft::{Draft, entries};
use super::json::{Json, Kind, Shape, shape};
use super::map::{Job, Sink, Verdict, open};
use super::source::Format;
use catchment_contracts::dead_letter::{ErrorCode, FieldError};
use catchment_contracts::{ConsentStatus, EventType};
use catchment_domain::IdentifierType;
use catchment_domain::event::names;
use catchment_domain::time::{Millis, corrected};
use std::borrow::Cow;

/// The most characters of a `messageId`.
const MAX_MESSAGE_ID: usize = 100;
/// The purpose that the event `Unsubscribed` is about.
pub(super) const EMAIL_MARKETING: &str = "email_marketing";

shape!(Call {
    kind = "type",
    message_id = "messageId",
    user_id = "userId",
    anonymous_id = "anonymousId",
    previous_id = "previousId",
    event = "event",
    name = "name",
    original = "originalTimestamp",
    timestamp = "timestamp",
    sent = "sentAt",
    received = "receivedAt",
    properties = "properties",
    traits = "traits",
    context = "context",
});

shape!(Context {
    timezone = "timezone",
    traits = "traits",
    consent = "consent",
});

shape!(Consent {
    preferences = "categoryPreferences",
});

shape!(Properties {
    email = "email",
    phone = "phone",
    product_id = "product_id",
    sku = "sku",
    category = "category",
    variant = "variant",
    price = "price",
    quantity = "quantity",
    currency = "currency",
    order_id = "order_id",
    total = "total",
    revenue = "revenue",
    products = "products",
    poll_id = "poll_id",
    survey_id = "survey_id",
    responses = "responses",
});

shape!(
    /// One answer of a survey.
    #[derive(Clone, Copy)]
    Answer {
        question = "question",
        answer = "answer",
    }
);

/// Checks a call in the order of the contract and maps it.
pub(super) fn map(job: &mut Job<'_, '_>, sink: Sink<'_>) -> Result<Verdict, Vec<FieldError>> {
    let (call, flat) = match job.spec.format {
        Format::Json => (open(job.text)?, None),
        Format::Avro => flat::open_call(job.text).map(|(call, flat)| (call, Some(flat)))?,
    };
    let mut errors = Errors::default();
    let kind = kind_of(&mut errors, call.kind);
    let (user_id, anonymous_id) = who(&mut errors, &call);
    let message_id = message_id(&mut errors, call.message_id);
    // Libraries write `timestamp`; Segment's servers rename it, and put a corrected time in its place.
    let original = match call.original.is_none() {
        true => errors.time("timestamp", call.timestamp),
        false => errors.time("originalTimestamp", call.original),
    };
    let sent = errors.time("sentAt", call.sent);
    let received_at = errors.time("receivedAt", call.received).unwrap_or(job.record.arrival);
    // Nothing is received after it arrived; a time of tomorrow would win every merge until then.
    let received_at = received_at.min(job.record.arrival);
    let properties: Option<Properties<'_>> = errors.object("properties", call.properties);
    // Of properties that are no object, nobody need hear what is missing in them.
    let readable = properties.is_some() || call.properties.is_none();
    let mut properties = properties.unwrap_or_default();
    errors.is_object("traits", call.traits);
    let mut context: Context<'_> = errors.object("context", call.context).unwrap_or_default();
    if let Some(flat) = &flat {
        flat.fill(&mut errors, &mut properties, &mut context);
    }
    for amount in [&mut properties.price, &mut properties.total, &mut properties.revenue] {
        *amount = job.amount(*amount);
    }

    let mut draft = Draft::new(kind.unwrap_or(EventType::Track));
    draft.occurred_at = corrected(original, sent, received_at);
    draft.received_at = received_at;
    draft.name = name(&mut errors, kind, &call);
    let secret = job.secret;
    draft.identify(secret, IdentifierType::UserId, user_id);
    draft.identify(secret, IdentifierType::AnonymousId, anonymous_id);
    if kind == Some(EventType::Alias) {
        let previous = errors.usable("previousId", call.previous_id);
        draft.identify(secret, IdentifierType::AnonymousId, previous);
    }
    let amounts_dropped = kind == Some(EventType::Track)
        && readable
        && commerce::read(
            &mut errors,
            &mut draft,
            job,
            &properties,
            flat.as_ref().and_then(|flat| flat.answer),
        );
    contact_points(&mut errors, &mut draft, job, ("properties", properties.email, properties.phone));
    traits(&mut errors, &mut draft, job, &call, &context);
    let consent: Option<Consent<'_>> = usable_object(context.consent);
    let preferences = consent.map(|consent| consent.preferences).filter(|json| !json.is_none());
    let flat = flat.map(|flat| flat.consents).unwrap_or_default();
    consents(&mut errors, &mut draft, preferences.unwrap_or(flat));
    if !errors.is_empty() {
        return Err(errors.into_vec());
    }
    draft.event_id = message_id.unwrap_or_else(|| Cow::Owned(job.content_id()));
    draft.emit(job, sink);
    Ok(Verdict::Events { count: 1, amounts_dropped })
}

fn kind_of(errors: &mut Errors, json: Json<'_>) -> Option<EventType> {
    const EXPECTED: &str = "one of identify, track, page, screen, group, alias";
    if json.is_none() {
        errors.missing("type", EXPECTED, json);
        return None;
    }
    let Some(text) = json.text().ok().flatten() else {
        errors.push(ErrorCode::UnknownType, "type", EXPECTED, &describe(json));
        return None;
    };
    // `contact` and `other` are ours, no calls of the specification.
    let ours = [EventType::Contact, EventType::Other];
    let kind = EventType::from_symbol(&text).filter(|kind| !ours.contains(kind));
    if kind.is_none() {
        errors.push(ErrorCode::UnknownType, "type", EXPECTED, &word(&text));
    }
    kind
}

type Text<'a> = Option<Cow<'a, str>>;

/// At least one of both must be there; a placeholder counts as there.
fn who<'a>(errors: &mut Errors, call: &Call<'a>) -> (Text<'a>, Text<'a>) {
    if call.user_id.is_none() && call.anonymous_id.is_none() {
        errors.missing("userId|anonymousId", "a string in at least one of them", Json::default());
    }
    (errors.text("userId", call.user_id), errors.text("anonymousId", call.anonymous_id))
}

fn message_id<'a>(errors: &mut Errors, json: Json<'a>) -> Text<'a> {
    let id = errors.text("messageId", json)?;
    // A character has at least one byte.
    if id.len() > MAX_MESSAGE_ID && id.chars().count() > MAX_MESSAGE_ID {
        errors.push(
            ErrorCode::OutOfRange,
            "messageId",
            &format!("at most {MAX_MESSAGE_ID} characters"),
            &format!("{} characters", id.chars().count()),
        );
    }
    Some(id).filter(|id| !id.is_empty())
}

fn name<'a>(errors: &mut Errors, kind: Option<EventType>, call: &Call<'a>) -> Text<'a> {
    match kind? {
        EventType::Track => {
            let event = errors.required_text("event", call.event);
            errors.at_most("event", MAX_NAME_BYTES, event)
        }
        EventType::Page | EventType::Screen => {
            let name = errors.usable("name", call.name);
            errors.at_most("name", MAX_NAME_BYTES, name)
        }
        EventType::Identify | EventType::Group | EventType::Alias | EventType::Contact | EventType::Other => {
            None
        }
    }
}

/// E-mail address and telephone number of one place of a call.
fn contact_points<'a>(
    errors: &mut Errors,
    draft: &mut Draft<'a>,
    job: &Job<'_, 'a>,
    (place, email, phone): (&str, Json<'a>, Json<'a>),
) {
    let email = errors.usable(format_args!("{place}.email"), email);
    draft.identify(job.secret, IdentifierType::Email, email);
    let phone = errors.usable(format_args!("{place}.phone"), phone);
    draft.identify(job.secret, IdentifierType::Phone, phone);
}

/// What the traits of a call, and of its context, say. A call's own traits have the last word over its context's.
///
/// The traits of a group are the group's: its name is not its member's. An address in them still is somebody's.
fn traits<'a>(
    errors: &mut Errors,
    draft: &mut Draft<'a>,
    job: &mut Job<'_, 'a>,
    call: &Call<'a>,
    context: &Context<'a>,
) {
    let own = draft.kind == EventType::Identify;
    for (place, json, stated) in [("context.traits", context.traits, true), ("traits", call.traits, own)] {
        if json.kind() != Kind::Object {
            continue;
        }
        let (mut email, mut phone) = (Json::default(), Json::default());
        let read = json.entries(|name, value| match &*name {
            "email" => email = value,
            "phone" => phone = value,
            "timezone" if stated => state_zone(draft, job, value),
            _ if stated => draft.state_json(errors, place, name, value),
            _ => {}
        });
        if read.is_err() {
            errors.push(ErrorCode::InvalidJson, place, "Unicode text", "half a surrogate pair");
        }
        contact_points(errors, draft, job, (place, email, phone));
    }
    state_zone(draft, job, context.timezone);
}

/// States the trait `timezone`, if the value is one: quiet hours are reckoned by it. The context's comes last, because
/// it says where the customer is now.
fn state_zone<'a>(draft: &mut Draft<'a>, job: &mut Job<'_, 'a>, json: Json<'a>) {
    let known = match json.text() {
        Ok(Some(Cow::Borrowed(name))) => {
            job.scratch.time_zone(name).map(|(name, zone)| (Cow::Borrowed(name), zone))
        }
        Ok(Some(Cow::Owned(name))) => {
            job.scratch.time_zone(&name).map(|(name, zone)| (Cow::Owned(name.to_owned()), zone))
        }
        Ok(None) | Err(_) => None,
    };
    if let Some((name, zone)) = known {
        draft.local_hour = zone.hour(draft.occurred_at);
        draft.state("timezone", Some(name));
    }
}

/// `context.consent.categoryPreferences`, and the event `Unsubscribed`.
fn consents<'a>(errors: &mut Errors, draft: &mut Draft<'a>, preferences: Json<'a>) {
    let at: Millis = draft.occurred_at;
    if draft.kind == EventType::Track && draft.name.as_deref() == Some(names::UNSUBSCRIBED) {
        draft.consent(EMAIL_MARKETING, ConsentStatus::Denied, at);
    }
    if preferences.kind() != Kind::Object {
        return;
    }
    let Ok(preferences) = entries(preferences) else {
        let field = "context.consent.categoryPreferences";
        errors.push(ErrorCode::InvalidJson, field, "Unicode text", "half a surrogate pair");
        return;
    };
    for (purpose, value) in preferences {
        match value.boolean() {
            Ok(Some(true)) => draft.consent(purpose, ConsentStatus::Granted, at),
            Ok(Some(false)) => draft.consent(purpose, ConsentStatus::Denied, at),
            Ok(None) => {}
            // A refusal that nobody can read must not leave an older consent in force.
            Err(_) => {
                let field = format_args!("context.consent.categoryPreferences.{}", name_of(&purpose));
                errors.push(ErrorCode::WrongType, field, "true or false", &describe(value));
            }
        }
    }
}

/// Reads an object where one is there; what is something else is passed over.
fn usable_object<'a, S: Shape<'a>>(json: Json<'a>) -> Option<S> {
    json.object().ok().flatten()
}
