//! How large a record may become.

use super::*;
use catchment_domain::profile::{ProfileIdentifier, Text};

/// The `number`th text of a kind, of so many bytes.
fn wide(number: usize, bytes: usize) -> &'static str {
    Box::leak(format!("{number:0>bytes$}").into_boxed_str())
}

#[test]
fn the_largest_profile_takes_no_more_than_256_kib() {
    // The limits of ingest.
    let (id_bytes, name_bytes, purpose_bytes, source_bytes, value_bytes) = (320, 128, 64, 64, 512);
    let mut profile = catchment_domain::Profile::default();
    let mut apply = |event: CustomerEvent<'_>| profile.apply(&super::super::event(event));
    for (number, day) in (0..600).zip(0..) {
        let (id, name) = (wide(number, id_bytes), wide(number, name_bytes));
        // Far from 1970, so that times take as many bytes as they will.
        let at: Millis = 4_000_000_000_000 + day * 86_400_000;
        let mut event = event(id, "Order Completed", at);
        event.source = wide(number, source_bytes);
        event.traits = vec![TraitChange { name, value: Some(wide(number, value_bytes)) }];
        let purpose = wide(number, purpose_bytes);
        event.consents = vec![ConsentStatement { purpose, status: ConsentStatus::Granted, at }];
        event.order = Some(OrderTotal { order_id: id, total: Some(9_000_000_000_000_000), units: i32::MAX });
        event.items[0] = LineItem { product_id: id, sku: Some(id), category: Some(name), ..event.items[0] };
        let survey = Some(SurveyResponse { survey: name, question: name, score: i32::MAX });
        let named = |name| CustomerEvent { event: Some(name), order: None, ..event.clone() };
        apply(CustomerEvent { survey, ..named(name) });
        apply(named("Product Viewed"));
        // After the newest order, which would close the cart.
        apply(CustomerEvent { occurred_at: at + 600 * 86_400_000, ..named("Product Added") });
        apply(event);
    }
    profile.identifiers = (0..100)
        .map(|number| ProfileIdentifier {
            kind: [Kind::UserId, Kind::Email, Kind::AnonymousId][number % 3],
            value: Text::from(wide(number, id_bytes)),
            at: 4_000_000_000_000,
        })
        .collect();
    for number in 0..16 {
        let score = catchment_domain::model::Score { value: 0.5, missing: true };
        profile.predict(wide(number, name_bytes), wide(number, name_bytes), score, 4_000_000_000_000);
    }
    assert_eq!((profile.cart.len(), profile.orders.len(), profile.identifiers.len()), (32, 256, 100));
    let (key, mut form) = (key("u"), Vec::new());
    Customer { key, profile }.encode(NEWEST_FORMAT, &mut form);
    assert!((200 << 10..=256 << 10).contains(&form.len()), "{} bytes", form.len());
}
