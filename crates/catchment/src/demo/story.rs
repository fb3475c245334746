//! One customer's way from the first view to the trigger.

use crate::record_lines::key_text;
use crate::sandbox::{Engine, read_topic};
use catchment_contracts::{CampaignTrigger, CustomerEvent, IdentifierType, topics, wire};
use catchment_domain::money::{Currency, format_minor};
use catchment_domain::time::format_rfc3339;
use std::fmt::Write as _;

/// Events that a story shows at most.
const MOST_EVENTS: usize = 12;

/// The story behind the trigger that takes the fewest words to tell, and yet begins with a product that was viewed.
/// `None` if nothing was triggered.
pub(super) fn tell(engine: &Engine) -> anyhow::Result<Option<String>> {
    let events = read_topic(engine, engine.topology().customer_events)?;
    let triggers = read_topic(engine, engine.topology().triggers)?;
    let mut best: Option<(usize, String)> = None;
    for record in &triggers {
        let Some((key, value)) = record.key.as_deref().zip(record.value.as_deref()) else { continue };
        let trigger = CampaignTrigger::decode(wire::split(value)?.1)?;
        let mut told = Vec::new();
        for event in events.iter().filter(|event| event.key.as_deref() == Some(key)) {
            let Some(value) = event.value.as_deref() else { continue };
            let event = CustomerEvent::decode(wire::split(value)?.1)?;
            if event.occurred_at <= trigger.decided_at {
                told.push(event);
            }
        }
        told.sort_by_key(|event| event.occurred_at);
        let viewed = told.iter().position(|event| event.event == Some("Product Viewed"));
        let Some(first) = viewed else { continue };
        let told = &told[first..];
        if told.len() <= MOST_EVENTS && best.as_ref().is_none_or(|(length, _)| told.len() < *length) {
            best = Some((told.len(), write(key, told, &trigger)));
        }
    }
    Ok(best.map(|(_, story)| story))
}

fn write(key: &[u8], events: &[CustomerEvent<'_>], trigger: &CampaignTrigger<'_>) -> String {
    let mut text = String::new();
    let profile = key_text(topics::CUSTOMER_EVENTS, Some(key)).unwrap_or_default();
    let users = events.iter().flat_map(|event| &event.identifiers);
    let user = users.filter(|identifier| identifier.r#type == IdentifierType::UserId).map(|i| i.value).next();
    let _ =
        writeln!(text, "One customer: {} (profile {profile})", user.unwrap_or("who never said who she is"));
    for event in events {
        let _ = writeln!(text, "  {}  {}", format_rfc3339(event.occurred_at), describe(event));
    }
    for used in &trigger.predictions {
        let score = used.score;
        let _ = writeln!(text, "  {}  score {} = {score:.3}", format_rfc3339(used.at), used.model);
    }
    let address = trigger.address.as_ref().map(|address| address.r#type.as_str()).unwrap_or_default();
    let _ = writeln!(
        text,
        "  {}  TRIGGER {} by {} to her {address}, not before {}",
        format_rfc3339(trigger.decided_at),
        trigger.campaign,
        trigger.channel.as_str(),
        format_rfc3339(trigger.not_before),
    );
    text
}

fn describe(event: &CustomerEvent<'_>) -> String {
    let mut text = event.event.unwrap_or(event.r#type.as_str()).to_owned();
    for item in &event.items {
        let _ = write!(text, " {}", item.sku.unwrap_or(item.product_id));
    }
    let currency = event.currency.and_then(Currency::from_code);
    if let Some((order, currency)) = event.order.as_ref().zip(currency)
        && let Some(total) = order.total
    {
        let total = format_minor(total, currency.decimals());
        let _ = write!(text, ", {total} {} (order {})", currency.code(), order.order_id);
    }
    text
}
