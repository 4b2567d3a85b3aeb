//! The inbound log's record of a request: bounded, without headers that carry credentials, card numbers masked.

use base64::Engine as _;
use kassir_providers::{Answer, Request};

use crate::domain::ids::{IntegrationId, MerchantId, NotificationId};
use crate::domain::notification::{GivenAnswer, Notification, NotificationOutcome};
use crate::limits::{INBOUND_HEADER_VALUE_MAX, INBOUND_HEADERS_KEPT, REFUSED_BODY_KEPT};

/// Headers that carry credentials: their values are never kept.
const CREDENTIAL_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];
/// What stands in their place.
const HIDDEN: &str = "(hidden)";
/// Digits of a card number, at least and at most (ISO/IEC 7812).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// A record of a request, yet without an outcome.
#[must_use]
pub fn record(
    id: NotificationId,
    merchant: MerchantId,
    integration: IntegrationId,
    provider: &str,
    request: &Request,
) -> Notification {
    let (body, body_is_base64) = match request.text() {
        Some(text) => (mask_cards(text), false),
        None => (base64::engine::general_purpose::STANDARD.encode(&request.body), true),
    };
    Notification {
        id,
        merchant,
        integration,
        provider: provider.to_owned(),
        kind: request.kind.clone(),
        outcome: NotificationOutcome::Ignored,
        reason: String::new(),
        diagnosis: None,
        warnings: Vec::new(),
        proof: None,
        payment: None,
        event: None,
        answer: GivenAnswer { status: 0, body: String::new() },
        peer: request.peer.map(|peer| peer.to_string()),
        method: request.method.word().to_owned(),
        query: mask_cards(&request.query),
        headers: headers(request),
        body,
        body_is_base64,
        received_at: request.received_at,
    }
}

fn headers(request: &Request) -> Vec<(String, String)> {
    let kept = request.headers.iter().take(INBOUND_HEADERS_KEPT);
    kept.map(|(name, value)| {
        let value = if CREDENTIAL_HEADERS.contains(&name.as_str()) {
            HIDDEN.to_owned()
        } else {
            cut(value, INBOUND_HEADER_VALUE_MAX)
        };
        (name.clone(), value)
    })
    .collect()
}

/// The answer, for the record.
#[must_use]
pub fn given(answer: &Answer) -> GivenAnswer {
    GivenAnswer { status: answer.status, body: answer.body.clone() }
}

/// A record of what was refused, or proves nothing, keeps only the beginning of the body.
pub fn shorten(notification: &mut Notification) {
    if notification.body.len() > REFUSED_BODY_KEPT {
        notification.body = cut(&notification.body, REFUSED_BODY_KEPT);
        notification.warnings.push(format!("only the first {REFUSED_BODY_KEPT} bytes of the body are kept"));
    }
}

fn cut(text: &str, max: usize) -> String {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("").to_owned()
}

/// Replaces whole card numbers (13 to 19 digits in a row that satisfy Luhn's check, after a leading digit of a card
/// scheme, and that are a value of their own) by their first six and last four digits. Providers mask them
/// themselves; this is for the one that some day does not.
#[must_use]
pub fn mask_cards(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, from_digit) = rest.split_at(start);
        let len = from_digit.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(from_digit.len());
        let (digits, after) = from_digit.split_at(len);
        out.push_str(before);
        let stands_alone = !out
            .ends_with(|letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.'))
            && !after
                .starts_with(|letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.'));
        match (digits.get(..6), digits.get(digits.len().saturating_sub(4)..)) {
            (Some(head), Some(end)) if stands_alone && is_card(digits) => {
                out.push_str(head);
                out.push_str(&"*".repeat(digits.len().saturating_sub(10)));
                out.push_str(end);
            }
            _ => out.push_str(digits),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_card(digits: &str) -> bool {
    let sum = digits.bytes().rev().enumerate().fold(0_u32, |sum, (place, digit)| {
        let value = u32::from(digit.saturating_sub(b'0'));
        let doubled = if place % 2 == 1 { value * 2 } else { value };
        sum + if doubled > 9 { doubled - 9 } else { doubled }
    });
    CARD_DIGITS.contains(&digits.len())
        && matches!(digits.as_bytes().first(), Some(b'2'..=b'6'))
        && sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_masked_and_nothing_else() {
        assert_eq!(mask_cards(r#"{"pan":"4111111111111111"}"#), r#"{"pan":"411111******1111"}"#);
        assert_eq!(mask_cards("card=5555555555554477&x=1"), "card=555555******4477&x=1");
        for same in [
            "TransactionId=3355303842",
            "id=4111111111111112",
            "2f3b588d-000f-5000-8000-1d6e87c7fbde",
            "1772046491000",
        ] {
            assert_eq!(mask_cards(same), same);
        }
    }

    proptest::proptest! {
        #[test]
        fn masking_keeps_the_length(text in ".*") {
            proptest::prop_assert_eq!(mask_cards(&text).len(), text.len());
        }
    }
}
