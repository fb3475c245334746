//! What tracks say of products, orders and surveys.

use super::{Answer, Properties, usable_object};
use crate::ingest::check::{Errors, MAX_ID_BYTES, MAX_NAME_BYTES, Whole, amount_of, whole};
use crate::ingest::draft::{Draft, Item, MAX_ITEMS, Order, Survey};
use crate::ingest::json::{Json, shape};
use crate::ingest::map::Job;
use catchment_domain::event::names;
use catchment_domain::money::Currency;
use std::borrow::Cow;
use std::fmt::Display;

/// The most pieces that a line of an order may have.
const MAX_QUANTITY: i64 = 1_000_000;

shape!(Line {
    product_id = "product_id",
    sku = "sku",
    category = "category",
    variant = "variant",
    price = "price",
    quantity = "quantity",
});

/// What the amounts of a track are in.
#[derive(Clone, Copy)]
enum Money {
    Known(Currency),
    /// A currency that nobody lists: how many decimals its minor unit has is unknown.
    Unknown,
}

impl Money {
    /// Two where nobody knows, to tell amounts from what is none.
    fn decimals(self) -> u32 {
        match self {
            Money::Known(currency) => currency.decimals(),
            Money::Unknown => 2,
        }
    }

    fn known(self, amount: Option<i64>) -> Option<i64> {
        match self {
            Money::Known(_) => amount,
            Money::Unknown => None,
        }
    }
}

/// Checks the properties of a track and takes what they say. True if amounts were left out.
pub(super) fn read<'a>(
    errors: &mut Errors,
    draft: &mut Draft<'a>,
    job: &mut Job<'_, 'a>,
    properties: &Properties<'a>,
    answer: Option<Answer<'a>>,
) -> bool {
    let money = money(job, properties.currency);
    match draft.name.as_deref() {
        Some(names::PRODUCT_VIEWED | names::PRODUCT_ADDED | names::PRODUCT_REMOVED) => {
            product(errors, draft, money, properties);
        }
        Some(names::ORDER_COMPLETED) => order(errors, draft, job, money, properties),
        Some(names::ORDER_REFUNDED | names::ORDER_CANCELLED) => {
            returned(errors, draft, job, money, properties);
        }
        Some(names::SURVEY_COMPLETED) => draft.survey = survey(errors, properties, answer),
        _ => other(errors, draft, job, money, properties),
    }
    if draft.items.is_empty() && draft.order.is_none() {
        return false;
    }
    match money {
        Money::Known(currency) => {
            draft.currency = Some(currency);
            false
        }
        Money::Unknown => true,
    }
}

fn money(job: &mut Job<'_, '_>, json: Json<'_>) -> Money {
    let currency = match json.text() {
        Ok(Some(code)) => job.scratch.currency(&code),
        Ok(None) => job.scratch.currency(&job.spec.default_currency),
        Err(_) => None,
    };
    currency.map_or(Money::Unknown, Money::Known)
}

/// Product Viewed, Added, Removed: one product, checked.
fn product<'a>(errors: &mut Errors, draft: &mut Draft<'a>, money: Money, properties: &Properties<'a>) {
    let product_id = errors.required_text("properties.product_id", properties.product_id);
    let product_id = errors.at_most("properties.product_id", MAX_ID_BYTES, product_id);
    let price = errors.amount("properties.price", properties.price, money.decimals());
    let Some(product_id) = product_id else { return };
    draft.items.push(Item {
        product_id,
        sku: detail(errors, "properties.sku", properties.sku, MAX_ID_BYTES),
        category: detail(errors, "properties.category", properties.category, MAX_NAME_BYTES),
        variant: detail(errors, "properties.variant", properties.variant, MAX_NAME_BYTES),
        price: money.known(price),
        quantity: quantity(properties.quantity),
    });
}

/// Order Completed: number, lines and total, checked. An order of one product may say it as the other tracks do, and
/// `revenue` (the total without shipping and tax) stands in for a `total` that is not there.
fn order<'a>(
    errors: &mut Errors,
    draft: &mut Draft<'a>,
    job: &Job<'_, 'a>,
    money: Money,
    properties: &Properties<'a>,
) {
    let id = order_id(errors, properties);
    let units = if properties.products.is_none() && !properties.product_id.is_none() {
        product(errors, draft, money, properties);
        quantity(properties.quantity)
    } else {
        let products = errors.required_elements("properties.products", properties.products);
        lines(errors, draft, job, money, &products.unwrap_or_default())
    };
    let (field, amount) = total_of(properties);
    if amount.is_none() {
        errors.missing(field, "a number", amount);
    }
    let total = errors.amount(field, amount, money.decimals());
    if let (Some(id), Some(total)) = (id, total) {
        // An order whose amount nobody can read is an order all the same.
        let total = money.known(Some(total));
        draft.order = Some(Order { id, total, units });
    }
}

/// Order Refunded, Order Cancelled: number, checked; and the amount: `total`, else `revenue`, else what the lines come to if each has
/// a price. Without any of these, all of the order is meant.
fn returned<'a>(
    errors: &mut Errors,
    draft: &mut Draft<'a>,
    job: &Job<'_, 'a>,
    money: Money,
    properties: &Properties<'a>,
) {
    let id = order_id(errors, properties);
    let mut products = Vec::new();
    let _ = properties.products.elements(|line| products.push(line));
    let units = lines(errors, draft, job, money, &products);
    let (field, amount) = total_of(properties);
    let stated = errors.amount(field, amount, money.decimals());
    let of_line = |item: &Item<'_>| item.price?.checked_mul(i64::from(item.quantity));
    let of_lines = || {
        let all = draft.items.iter().map(of_line).try_fold(0i64, |sum, line| sum.checked_add(line?));
        all.filter(|_| !draft.items.is_empty() && draft.items.len() == products.len())
    };
    let total = stated.or_else(of_lines);
    if let Some(id) = id {
        draft.order = Some(Order { id, total: money.known(total), units });
    }
}

fn order_id<'a>(errors: &mut Errors, properties: &Properties<'a>) -> Option<Cow<'a, str>> {
    let id = errors.required_text("properties.order_id", properties.order_id);
    errors.at_most("properties.order_id", MAX_ID_BYTES, id)
}

/// What an order came to, or what was given back, and the field that says it.
fn total_of<'a>(properties: &Properties<'a>) -> (&'static str, Json<'a>) {
    match (properties.total.is_none(), properties.revenue.is_none()) {
        (true, false) => ("properties.revenue", properties.revenue),
        _ => ("properties.total", properties.total),
    }
}

/// Any other track: its products, if it has some.
fn other<'a>(
    errors: &mut Errors,
    draft: &mut Draft<'a>,
    job: &Job<'_, 'a>,
    money: Money,
    properties: &Properties<'a>,
) {
    let mut products = Vec::new();
    let read = properties.products.elements(|line| products.push(line));
    // An empty list is what Avro has where there is none.
    if read == Ok(Some(())) && !products.is_empty() {
        lines(errors, draft, job, money, &products);
        return;
    }
    let Some(product_id) = product_of(errors, "properties.product_id", properties.product_id) else {
        return;
    };
    draft.items.push(Item {
        product_id,
        sku: detail(errors, "properties.sku", properties.sku, MAX_ID_BYTES),
        category: detail(errors, "properties.category", properties.category, MAX_NAME_BYTES),
        variant: detail(errors, "properties.variant", properties.variant, MAX_NAME_BYTES),
        price: money.known(price(properties.price, money)),
        quantity: quantity(properties.quantity),
    });
}

/// The lines of an order or cart; returns the pieces over all of them. A line without a product still has pieces.
fn lines<'a>(
    errors: &mut Errors,
    draft: &mut Draft<'a>,
    job: &Job<'_, 'a>,
    money: Money,
    products: &[Json<'a>],
) -> i32 {
    let mut units = 0i32;
    for (i, product) in products.iter().enumerate() {
        let Some(line) = usable_object::<Line<'a>>(*product) else {
            continue;
        };
        let quantity = quantity(line.quantity);
        units = units.saturating_add(quantity);
        let field = format_args!("properties.products[{i}].product_id");
        let Some(product_id) = product_of(errors, field, line.product_id) else {
            continue;
        };
        if draft.items.len() < MAX_ITEMS {
            draft.items.push(Item {
                product_id,
                sku: detail(errors, format_args!("properties.products[{i}].sku"), line.sku, MAX_ID_BYTES),
                category: detail(
                    errors,
                    format_args!("properties.products[{i}].category"),
                    line.category,
                    MAX_NAME_BYTES,
                ),
                variant: detail(
                    errors,
                    format_args!("properties.products[{i}].variant"),
                    line.variant,
                    MAX_NAME_BYTES,
                ),
                price: money.known(price(job.amount(line.price), money)),
                quantity,
            });
        }
    }
    units
}

/// A product that need not be named.
fn product_of<'a>(errors: &mut Errors, field: impl Display, json: Json<'a>) -> Option<Cow<'a, str>> {
    let id = errors.usable(&field, json);
    errors.at_most(field, MAX_ID_BYTES, id).filter(|id| !id.is_empty())
}

/// A text that need not be there; an empty one says nothing.
fn detail<'a>(errors: &mut Errors, field: impl Display, json: Json<'a>, most: usize) -> Option<Cow<'a, str>> {
    let text = errors.usable_scalar(&field, json);
    errors.at_most(field, most, text).filter(|text| !text.is_empty())
}

/// A price that no check asks for.
fn price(json: Json<'_>, money: Money) -> Option<i64> {
    amount_of(json.number().ok().flatten()?, money.decimals())
}

/// Pieces; 1 where the record says nothing that can be used.
fn quantity(json: Json<'_>) -> i32 {
    match json.number().map(|number| number.map(whole)) {
        Ok(Some(Whole::Value(count @ 1..=MAX_QUANTITY))) => i32::try_from(count).unwrap_or(1),
        _ => 1,
    }
}

/// The first response with a number for an answer, or the one answer of a flat call.
fn survey<'a>(
    errors: &mut Errors,
    properties: &Properties<'a>,
    answer: Option<Answer<'a>>,
) -> Option<Survey<'a>> {
    let survey = detail(errors, "properties.poll_id", properties.poll_id, MAX_NAME_BYTES)
        .or_else(|| detail(errors, "properties.survey_id", properties.survey_id, MAX_NAME_BYTES))?;
    let mut found = answer.and_then(score);
    let _ = properties.responses.elements(|response| {
        if found.is_none() {
            found = usable_object::<Answer<'a>>(response).and_then(score);
        }
    });
    let (question, score) = found?;
    Some(Survey { survey, question, score })
}

/// Question and score of an answer that is a number.
fn score(answer: Answer<'_>) -> Option<(Cow<'_, str>, i32)> {
    let question = answer.question.scalar().ok().flatten().filter(|text| text.len() <= MAX_NAME_BYTES)?;
    match whole(answer.answer.number().ok().flatten()?) {
        Whole::Value(score) => Some((question, i32::try_from(score).ok()?)),
        Whole::Fraction | Whole::TooLarge => None,
    }
}
