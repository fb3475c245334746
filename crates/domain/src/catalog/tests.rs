use super::*;
use proptest::prelude::*;

const HOUR: Millis = 3_600_000;

fn origin(at: Millis) -> Origin {
    Origin { at, received_at: at, source: "shop".into(), partition: 0, offset: at }
}

fn variant(sku: &str, at: Millis, stock: Option<i64>) -> Variant {
    let price = Currency::from_code("USD").map(|currency| Price { minor: 11_995, currency });
    Variant { sku: sku.into(), size: None, colour: None, price, stock, stated: None, updated_at: at }
}

fn listed(at: Millis, variants: Vec<Variant>) -> Product {
    let listing = Listing {
        at,
        title: Some(format!("as of {at}").into()),
        brand: None,
        category: None,
        currency: None,
    };
    Product::new("run".into(), Some(listing), None, origin(at), variants)
}

fn withdrawn(at: Millis) -> Product {
    Product::new("run".into(), None, Some(at), origin(at), Vec::new())
}

fn joined(statements: &[Product]) -> Product {
    let mut all = statements[0].clone();
    statements[1..].iter().for_each(|other| all.join(other.clone()));
    all
}

#[test]
fn an_older_snapshot_that_arrives_later_replaces_nothing() {
    let (new, old) =
        (listed(9, vec![variant("42", 9, Some(24))]), listed(8, vec![variant("42", 8, Some(0))]));
    assert_eq!(joined(&[new.clone(), old.clone()]), joined(&[old, new.clone()]));
    assert_eq!(new.variants()[0].stock, Some(24));
}

#[test]
fn a_variant_is_as_old_as_its_own_statement_whatever_the_products_is() {
    let all = joined(&[
        listed(5, vec![variant("41", 5, Some(1)), variant("42", 5, Some(2))]),
        listed(9, vec![variant("42", 3, Some(7))]),
    ]);
    let stock: Vec<_> = all.variants().iter().map(|variant| (&*variant.sku, variant.stock)).collect();
    assert_eq!(stock, [("41", Some(1)), ("42", Some(2))], "what is not named stays as it was");
    assert_eq!(all.listing.unwrap().title.as_deref(), Some("as of 9"));
}

#[test]
fn a_product_is_withdrawn_until_it_is_listed_later() {
    assert!(joined(&[listed(5, vec![]), withdrawn(6)]).is_withdrawn());
    assert!(joined(&[withdrawn(6), listed(6, vec![])]).is_withdrawn(), "the same moment is not later");
    assert!(!joined(&[listed(7, vec![]), withdrawn(6)]).is_withdrawn());
    assert!(withdrawn(1).is_withdrawn() && !listed(1, vec![]).is_withdrawn());
    assert_eq!(joined(&[listed(5, vec![variant("42", 5, Some(2))]), withdrawn(6)]).variants().len(), 1);
}

#[test]
fn what_is_not_known_or_too_old_is_not_in_stock() {
    let check = |stock, stated, age, expected| {
        let of = Variant { stated, ..variant("42", 10 * HOUR, stock) };
        assert_eq!(of.availability(10 * HOUR + age), expected, "{stock:?} {stated:?} {age}");
    };
    check(Some(3), None, 0, Availability::InStock);
    check(Some(0), None, 0, Availability::OutOfStock);
    check(None, None, 0, Availability::Unknown);
    check(None, Some(Availability::InStock), 0, Availability::InStock);
    check(Some(3), Some(Availability::OutOfStock), 0, Availability::OutOfStock);
    check(Some(0), Some(Availability::Backorder), 0, Availability::Backorder);
    check(Some(3), None, FRESH_FOR, Availability::InStock);
    check(Some(3), None, FRESH_FOR + 1, Availability::Unknown);
    check(Some(3), Some(Availability::InStock), FRESH_FOR + 1, Availability::Unknown);
}

#[test]
fn of_too_many_variants_those_that_changed_last_are_kept() {
    let count = i64::try_from(MAX_VARIANTS).unwrap() + 10;
    let variants = (0..count).map(|at| variant(&format!("{at:05}"), at, None)).collect();
    let product = listed(1, variants);
    assert_eq!(product.variants().len(), MAX_VARIANTS);
    assert_eq!(&*product.variants()[0].sku, "00010");
}

fn any_variant() -> impl Strategy<Value = Variant> {
    let stated =
        prop_oneof![Just(None), Just(Some(Availability::OutOfStock)), Just(Some(Availability::InStock)),];
    let code = prop_oneof![Just("USD"), Just("EUR")];
    (0..4u8, 0..4i64, prop::option::of(0..3i64), stated, prop::option::of((0..3i64, code)), 0..2u8).prop_map(
        |(sku, updated_at, stock, stated, price, size)| Variant {
            sku: sku.to_string().into(),
            size: (size > 0).then(|| size.to_string().into()),
            colour: None,
            price: price.and_then(|(minor, code)| {
                Currency::from_code(code).map(|currency| Price { minor, currency })
            }),
            stock,
            stated,
            updated_at,
        },
    )
}

fn any_product() -> impl Strategy<Value = Product> {
    let listing = (0..4i64, 0..3u8).prop_map(|(at, title)| Listing {
        at,
        title: (title > 0).then(|| title.to_string().into()),
        brand: None,
        category: None,
        currency: None,
    });
    let origin = (0..4i64, 0..3i64, 0..3i64).prop_map(|(at, received_at, offset)| Origin {
        at,
        received_at,
        source: "shop".into(),
        partition: 0,
        offset,
    });
    (prop::option::of(listing), prop::option::of(0..4i64), origin, prop::collection::vec(any_variant(), 0..5))
        .prop_map(|(listing, withdrawn_at, origin, variants)| {
            Product::new("run".into(), listing, withdrawn_at, origin, variants)
        })
}

proptest! {
    #[test]
    fn the_order_of_statements_does_not_show(a in any_product(), b in any_product(), c in any_product()) {
        prop_assert_eq!(joined(&[a.clone(), b.clone()]), joined(&[b.clone(), a.clone()]));
        let left = joined(&[joined(&[a.clone(), b.clone()]), c.clone()]);
        let right = joined(&[a.clone(), joined(&[b, c])]);
        prop_assert_eq!(left, right);
        prop_assert_eq!(joined(&[a.clone(), a.clone()]), a);
    }
}
