//! Products and statements about them, from the wire and to it.

use catchment_contracts::{self as contracts, CatalogItem};
use catchment_domain::Millis;
use catchment_domain::catalog::{Availability, Listing, Origin, Price, Product, Variant};
use catchment_domain::money::Currency;

/// A currency that ISO 4217 does not list: nobody of ours wrote that.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no currency")]
pub(super) struct NoCurrency(String);

/// What an item says. Of one that was written before prices had their own currency, that of the product is meant; and it
/// was listed, or withdrawn, when it was updated.
pub(super) fn product(item: &CatalogItem<'_>) -> Result<Product, NoCurrency> {
    let currency = item.currency.map(currency).transpose()?;
    let is_old = item.listed_at.is_none() && item.withdrawn_at.is_none();
    let at =
        |stated: Option<Millis>, applies: bool| stated.or((is_old && applies).then_some(item.updated_at));
    let listing = at(item.listed_at, !item.withdrawn).map(|at| Listing {
        at,
        title: item.title.map(Box::from),
        brand: item.brand.map(Box::from),
        category: item.category.map(Box::from),
        currency,
    });
    let origin = Origin {
        at: item.updated_at,
        received_at: item.received_at,
        source: item.source.into(),
        partition: item.source_partition,
        offset: item.source_offset,
    };
    let variants = item.variants.iter().map(|variant| {
        let own = variant.currency.map(self::currency).transpose()?.or(currency);
        Ok(Variant {
            sku: variant.sku.into(),
            size: variant.size.map(Box::from),
            colour: variant.colour.map(Box::from),
            price: variant.price.zip(own).map(|(minor, currency)| Price { minor, currency }),
            stock: variant.stock,
            stated: variant.availability.map(availability),
            updated_at: variant.updated_at,
        })
    });
    let variants = variants.collect::<Result<_, _>>()?;
    Ok(Product::new(item.product_id.into(), listing, at(item.withdrawn_at, item.withdrawn), origin, variants))
}

fn currency(code: &str) -> Result<Currency, NoCurrency> {
    Currency::from_code(code).ok_or_else(|| NoCurrency(code.to_owned()))
}

fn availability(stated: contracts::Availability) -> Availability {
    match stated {
        contracts::Availability::InStock => Availability::InStock,
        contracts::Availability::OutOfStock => Availability::OutOfStock,
        contracts::Availability::Backorder => Availability::Backorder,
        contracts::Availability::Unknown | contracts::Availability::Other => Availability::Unknown,
    }
}

/// A product as it is published.
pub(super) fn item(product: &Product) -> CatalogItem<'_> {
    let Origin { at, received_at, source, partition, offset } = &product.origin;
    let listing = product.listing.as_ref();
    CatalogItem {
        product_id: &product.id,
        source,
        source_partition: *partition,
        source_offset: *offset,
        title: listing.and_then(|listing| listing.title.as_deref()),
        brand: listing.and_then(|listing| listing.brand.as_deref()),
        category: listing.and_then(|listing| listing.category.as_deref()),
        currency: listing.and_then(|listing| listing.currency.as_ref()).map(Currency::code),
        withdrawn: product.is_withdrawn(),
        updated_at: *at,
        received_at: *received_at,
        variants: product.variants().iter().map(variant).collect(),
        listed_at: listing.map(|listing| listing.at),
        withdrawn_at: product.withdrawn_at,
    }
}

fn variant(variant: &Variant) -> contracts::Variant<'_> {
    contracts::Variant {
        sku: &variant.sku,
        size: variant.size.as_deref(),
        price: variant.price.map(|price| price.minor),
        stock: variant.stock,
        updated_at: variant.updated_at,
        colour: variant.colour.as_deref(),
        currency: variant.price.as_ref().map(|price| price.currency.code()),
        availability: variant.stated.map(|stated| match stated {
            Availability::InStock => contracts::Availability::InStock,
            Availability::OutOfStock => contracts::Availability::OutOfStock,
            Availability::Backorder => contracts::Availability::Backorder,
            Availability::Unknown => contracts::Availability::Unknown,
        }),
    }
}
