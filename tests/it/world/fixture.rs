//! Notifications for tests, taken from the providers' fixtures or made as the provider would make them.

use kassir_providers::operation::Sample;
use kassir_providers::{Currency, Money, Request, State};

use super::Shop;

/// A notification of this state, as the shop's provider would send it.
pub fn notice(shop: &Shop, state: State, minor: i64, reference: &str) -> Request {
    sample(shop, None, state, false, minor, reference)
}

/// A notification of this kind.
pub fn notice_of_kind(shop: &Shop, kind: &str, state: State, minor: i64, reference: &str) -> Request {
    sample(shop, Some(kind), state, false, minor, reference)
}

/// A refund of so much.
pub fn refund(shop: &Shop, minor: i64, reference: &str) -> Request {
    sample(shop, None, State::Succeeded, true, minor, reference)
}

fn sample(
    shop: &Shop,
    kind: Option<&str>,
    state: State,
    refund: bool,
    minor: i64,
    reference: &str,
) -> Request {
    let sample = Sample {
        kind: kind.map(ToOwned::to_owned),
        state,
        refund,
        amount: Money::new(minor, Currency::RUB),
        reference: reference.to_owned(),
        provider_id: None,
        description: format!("Заказ № {reference}"),
        email: None,
        metadata: serde_json::Map::new(),
        now: super::START,
    };
    kassir_providers::by_slug(&shop.slug).unwrap().imitate(&sample, &shop.account).unwrap()
}
