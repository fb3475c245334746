//! Calls as the contract `behaviour_event` has them: flat, with names of its own for what JSON nests.

use super::{Answer, Call, Context, Properties};
use crate::ingest::check::Errors;
use crate::ingest::json::{Json, shape};
use crate::ingest::map::open;
use catchment_contracts::dead_letter::FieldError;

shape!(AvroCall {
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
    timezone = "timezone",
    consents = "consents",
    context_traits = "context_traits",
    product = "product",
    order_id = "order_id",
    total = "total",
    currency = "currency",
    products = "products",
    survey_id = "survey_id",
    poll_id = "poll_id",
    question = "question",
    answer = "answer",
    email = "email",
    phone = "phone",
});

shape!(Product {
    product_id = "product_id",
    sku = "sku",
    category = "category",
    variant = "variant",
    price = "price",
    quantity = "quantity",
});

/// What a flat call says beside what it has in common with a nested one.
#[derive(Default)]
pub(super) struct Flat<'a> {
    /// `properties`, but for the product.
    properties: Properties<'a>,
    product: Json<'a>,
    timezone: Json<'a>,
    context_traits: Json<'a>,
    /// Consents by purpose.
    pub(super) consents: Json<'a>,
    /// The one answer of a survey.
    pub(super) answer: Option<Answer<'a>>,
}

/// Reads a call that may be flat, or nested as in JSON.
pub(super) fn open_call(text: &str) -> Result<(Call<'_>, Flat<'_>), Vec<FieldError>> {
    let read: AvroCall<'_> = open(text)?;
    let call = Call {
        kind: read.kind,
        message_id: read.message_id,
        user_id: read.user_id,
        anonymous_id: read.anonymous_id,
        previous_id: read.previous_id,
        event: read.event,
        name: read.name,
        original: read.original,
        timestamp: read.timestamp,
        sent: read.sent,
        received: read.received,
        properties: read.properties,
        traits: read.traits,
        context: read.context,
    };
    let properties = Properties {
        email: read.email,
        phone: read.phone,
        currency: read.currency,
        order_id: read.order_id,
        total: read.total,
        products: read.products,
        poll_id: read.poll_id,
        survey_id: read.survey_id,
        ..Properties::default()
    };
    let flat = Flat {
        properties,
        product: read.product,
        timezone: read.timezone,
        context_traits: read.context_traits,
        consents: read.consents,
        answer: (!read.question.is_none()).then_some(Answer { question: read.question, answer: read.answer }),
    };
    Ok((call, flat))
}

impl<'a> Flat<'a> {
    /// Puts what it says where JSON has it. What a record says in both ways counts as JSON has it.
    pub(super) fn fill(
        &self,
        errors: &mut Errors,
        properties: &mut Properties<'a>,
        context: &mut Context<'a>,
    ) {
        let product: Product<'_> = errors.object("product", self.product).unwrap_or_default();
        let flat = &self.properties;
        for (place, value) in [
            (&mut properties.email, flat.email),
            (&mut properties.phone, flat.phone),
            (&mut properties.product_id, product.product_id),
            (&mut properties.sku, product.sku),
            (&mut properties.category, product.category),
            (&mut properties.variant, product.variant),
            (&mut properties.price, product.price),
            (&mut properties.quantity, product.quantity),
            (&mut properties.currency, flat.currency),
            (&mut properties.order_id, flat.order_id),
            (&mut properties.total, flat.total),
            (&mut properties.products, flat.products),
            (&mut properties.poll_id, flat.poll_id),
            (&mut properties.survey_id, flat.survey_id),
            (&mut context.timezone, self.timezone),
            (&mut context.traits, self.context_traits),
        ] {
            if place.is_none() {
                *place = value;
            }
        }
    }
}
