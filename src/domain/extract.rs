//! `contact_from` and `order_from`: rules that take values out of a provider's payload.
//!
//! A rule is a JSON pointer (`/object/metadata/chat_id`, RFC 6901), a constant (`=telegram`), or the name of a custom
//! parameter (`Shp_chat`, `chat`), which is looked for at the top, then in nested objects, and in texts that are JSON
//! objects themselves (CloudPayments' `Data`).

use std::collections::BTreeMap;

use kassir_providers::Money;
use kassir_providers::operation::OrderLine;
use serde_json::Value;

use crate::limits::ORDER_LINES_MAX;

/// Nesting in which a custom parameter is looked for.
const DEPTH_MAX: usize = 4;

/// What a rule takes out of a payload; empty texts and nulls count as absent.
#[must_use]
pub fn value(payload: &Value, rule: &str) -> Option<Value> {
    let found = if let Some(constant) = rule.strip_prefix('=') {
        Some(Value::String(constant.to_owned()))
    } else if rule.starts_with('/') {
        pointer(payload, rule)
    } else {
        named(payload, rule, 0)
    };
    found.filter(|value| !value.is_null() && value.as_str() != Some(""))
}

/// A pointer that goes on inside texts that are JSON objects themselves.
fn pointer(payload: &Value, rule: &str) -> Option<Value> {
    if let Some(found) = payload.pointer(rule) {
        return Some(found.clone());
    }
    let mut split: usize = 0;
    while let Some(at) = rule.get(split.saturating_add(1)..).and_then(|rest| rest.find('/')) {
        split = split.saturating_add(1).saturating_add(at);
        let (head, rest) = rule.split_at(split);
        if let Some(inner) = payload.pointer(head).and_then(Value::as_str).and_then(object_in_text) {
            return inner.pointer(rest).cloned();
        }
    }
    None
}

fn object_in_text(text: &str) -> Option<Value> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn named(value: &Value, name: &str, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    match value {
        Value::Object(members) => members
            .get(name)
            .cloned()
            .or_else(|| members.values().find_map(|member| named(member, name, depth.saturating_add(1)))),
        Value::String(text) => named(&object_in_text(text)?, name, depth.saturating_add(1)),
        _ => None,
    }
}

/// A text or number as text.
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    kassir_providers::json::text(value)
}

/// The order that the rules make: either `items` (a list of objects with `name`, `description`, `amount` in major
/// units, or what rules of these names, pointers into an item, find there) or one line of `name`, `description` and `amount` (without a rule for it: the payment's amount).
#[must_use]
pub fn order(payload: &Value, rules: &BTreeMap<String, String>, total: Money) -> Vec<OrderLine> {
    let take = |name: &str| rules.get(name).and_then(|rule| value(payload, rule));
    if let Some(Value::Array(items)) = take("items") {
        let member = |item: &Value, name: &str| match rules.get(name) {
            Some(rule) => value(item, rule).as_ref().and_then(text),
            None => item.get(name).and_then(text),
        };
        return items
            .iter()
            .take(ORDER_LINES_MAX)
            .filter_map(|item| {
                let amount = member(item, "amount").and_then(|text| Money::parse(&text, total.currency).ok());
                let (name, description) = (member(item, "name")?, member(item, "description"));
                Some(OrderLine { name, description, amount: amount.unwrap_or(Money::new(0, total.currency)) })
            })
            .collect();
    }
    let Some(name) = take("name").as_ref().and_then(text) else { return Vec::new() };
    let amount =
        take("amount").as_ref().and_then(text).and_then(|text| Money::parse(&text, total.currency).ok());
    let description = take("description").as_ref().and_then(text);
    vec![OrderLine { name, description, amount: amount.unwrap_or(total) }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_reach_what_they_name() {
        let payload = json!({
            "object": {"metadata": {"chat_id": 42, "empty": ""}},
            "Data": "{\"chat\":\"7\",\"inner\":{\"deep\":true}}",
            "Shp_chat": "9"
        });
        for (rule, expected) in [
            ("/object/metadata/chat_id", Some(json!(42))),
            ("=telegram", Some(json!("telegram"))),
            ("Shp_chat", Some(json!("9"))),
            ("chat_id", Some(json!(42))),
            ("chat", Some(json!("7"))),
            ("/Data/chat", Some(json!("7"))),
            ("/Data/inner/deep", Some(json!(true))),
            ("empty", None),
            ("nothing", None),
            ("/nothing/at/all", None),
        ] {
            assert_eq!(value(&payload, rule), expected, "{rule}");
        }
    }

    #[test]
    fn an_order_of_items_with_names_of_their_own() {
        let payload = json!({"cart": [
            {"title": "Чай", "id": 7, "sum": "900.50"}, {"title": "Кофе"}, {"no": "name"},
        ]});
        let rules = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, rule)| ((*name).to_owned(), (*rule).to_owned())).collect()
        };
        let total = Money::new(100_000, kassir_providers::Currency::RUB);
        let given = [("items", "/cart"), ("name", "/title"), ("description", "/id"), ("amount", "/sum")];
        let lines = order(&payload, &rules(&given), total);
        let told: Vec<_> = lines
            .iter()
            .map(|line| (line.name.as_str(), line.description.as_deref(), line.amount.minor))
            .collect();
        assert_eq!(told, [("Чай", Some("7"), 90_050), ("Кофе", None, 0)]);
    }
}
