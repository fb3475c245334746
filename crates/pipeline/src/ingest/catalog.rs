//! Catalog snapshots: one product with its variants.

#[cfg(test)]
mod tests;

use super::check::{Errors, MAX_ID_BYTES, describe};
use super::json::{Json, shape};
use super::map::{Job, Mapped, Sink, Verdict, open};
use catchment_contracts::dead_letter::{ErrorCode, FieldError};
use catchment_contracts::{Availability, CatalogItem, Variant};
use catchment_domain::money::Currency;
use catchment_domain::time::Millis;
use std::borrow::Cow;

shape!(Snapshot {
    product_id = "product_id",
    deleted = "deleted",
    title = "title",
    brand = "brand",
    category = "category",
    currency = "currency",
    updated_at = "updated_at",
    variants = "variants",
});

shape!(SnapshotVariant {
    sku = "sku",
    size = "size",
    colour = "colour",
    price = "price",
    stock = "stock",
    availability = "availability",
    updated_at = "updated_at",
});

struct Read<'a> {
    sku: Cow<'a, str>,
    size: Option<Cow<'a, str>>,
    colour: Option<Cow<'a, str>>,
    price: Option<i64>,
    stock: Option<i64>,
    availability: Option<Availability>,
    updated_at: Option<Millis>,
}

/// Checks and maps a snapshot. Times without a statement are those of what holds them: a variant's is its product's, a
/// product's is its arrival. None is later than the arrival, because a time to come would shut out every later one.
pub(super) fn map(job: &mut Job<'_, '_>, sink: Sink<'_>) -> Result<Verdict, Vec<FieldError>> {
    let snapshot: Snapshot<'_> = open(job.text)?;
    let mut errors = Errors::default();
    let product_id = errors.required_text("product_id", snapshot.product_id);
    let product_id = errors.at_most("product_id", MAX_ID_BYTES, product_id);
    let withdrawn = errors.boolean("deleted", snapshot.deleted).unwrap_or(false);
    let title = errors.text("title", snapshot.title);
    let brand = errors.text("brand", snapshot.brand);
    let category = errors.text("category", snapshot.category);
    let code = errors.text("currency", snapshot.currency);
    let currency = job.scratch.currency(code.as_deref().unwrap_or(&job.spec.default_currency));
    let arrival = job.record.arrival;
    let updated_at = errors.time("updated_at", snapshot.updated_at).unwrap_or(arrival).min(arrival);
    let list = if withdrawn { Vec::new() } else { variants(job, &mut errors, snapshot.variants, currency) };
    let Some(product_id) = product_id.filter(|_| errors.is_empty()) else {
        return Err(errors.into_vec());
    };

    let amounts_dropped = currency.is_none() && list.iter().any(|variant| variant.price.is_some());
    let of = |variant: &'_ Read<'_>| variant.price.filter(|_| currency.is_some());
    let item = CatalogItem {
        product_id: &product_id,
        source: &job.spec.name,
        source_partition: job.record.partition,
        source_offset: job.record.offset,
        title: title.as_deref(),
        brand: brand.as_deref(),
        category: category.as_deref(),
        currency: currency.as_ref().map(Currency::code),
        withdrawn,
        updated_at,
        received_at: arrival,
        listed_at: Some(updated_at).filter(|_| !withdrawn),
        withdrawn_at: Some(updated_at).filter(|_| withdrawn),
        variants: list
            .iter()
            .map(|variant| Variant {
                sku: &variant.sku,
                size: variant.size.as_deref(),
                colour: variant.colour.as_deref(),
                price: of(variant),
                currency: of(variant).and(currency.as_ref()).map(Currency::code),
                stock: variant.stock,
                availability: variant.availability,
                updated_at: variant.updated_at.unwrap_or(updated_at).min(arrival),
            })
            .collect(),
    };
    sink(Mapped::Item(&item));
    Ok(Verdict::Item { amounts_dropped })
}

fn variants<'a>(
    job: &Job<'_, 'a>,
    errors: &mut Errors,
    json: Json<'a>,
    currency: Option<Currency>,
) -> Vec<Read<'a>> {
    // Without a known currency, two decimals tell prices from what is none.
    let decimals = currency.map_or(2, |currency| currency.decimals());
    let elements = errors.required_elements("variants", json).unwrap_or_default();
    let mut list = Vec::with_capacity(elements.len());
    for (i, element) in elements.into_iter().enumerate() {
        let at = |name: &'static str| Place(i, name);
        let found = errors.required_object::<SnapshotVariant<'_>>(format_args!("variants[{i}]"), element);
        let Some(variant) = found else { continue };
        let sku = errors.required_text(at("sku"), variant.sku);
        let sku = errors.at_most(at("sku"), MAX_ID_BYTES, sku);
        let size = errors.usable_scalar(at("size"), variant.size);
        let colour = errors.usable(at("colour"), variant.colour);
        let price = errors.amount(at("price"), job.amount(variant.price), decimals);
        let stock = errors.count(at("stock"), variant.stock);
        let availability = availability(errors, at("availability"), variant.availability);
        let updated_at = errors.time(at("updated_at"), variant.updated_at);
        if let Some(sku) = sku {
            list.push(Read { sku, size, colour, price, stock, availability, updated_at });
        }
    }
    list
}

/// The shop's word for whether a variant can be bought, if it has one.
fn availability(errors: &mut Errors, field: Place, json: Json<'_>) -> Option<Availability> {
    let word = errors.text(&field, json)?;
    let known = match &*word {
        "in_stock" => Some(Availability::InStock),
        "out_of_stock" => Some(Availability::OutOfStock),
        "backorder" => Some(Availability::Backorder),
        _ => None,
    };
    if known.is_none() {
        let expected = "in_stock, out_of_stock or backorder";
        errors.push(ErrorCode::OutOfRange, field, expected, &describe(json));
    }
    known
}

/// Path of a field of a variant, written only if somebody complains about it.
struct Place(usize, &'static str);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "variants[{}].{}", self.0, self.1)
    }
}
