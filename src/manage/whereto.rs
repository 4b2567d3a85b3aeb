//! Secrets stay with the hosts that they were given for. Who may change where requests go, with a stolen token say, does
//! not learn them by that: another host gets only what is given anew in the same request.

use std::collections::BTreeSet;

use kassir_providers::{About, Settings};
use serde_json::Value;
use url::Url;

/// Whether secrets that are there may be sent to other hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrets {
    /// They may: a document of the administrator says both.
    Follow,
    /// They may not.
    Stay,
}

/// A setting that sends requests to other hosts than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    /// The setting.
    pub key: &'static str,
    /// Hosts that it did not name before, with scheme and port where it says them; none when the provider's own are
    /// asked again.
    pub to: Vec<String>,
}

/// The settings that send requests elsewhere. The provider's own hosts are always known.
pub(super) fn moved(about: &About, before: &Settings, after: &Settings) -> Vec<Moved> {
    let own = about.settings.iter().filter(|setting| setting.says_where()).map(|setting| {
        let default = serde_json::from_str(setting.default).unwrap_or_default();
        (setting.key, default, before.own.get(setting.key).cloned(), after.own.get(setting.key).cloned())
    });
    let text = |url: &Option<String>| url.clone().map(Value::String);
    let base = Value::String(about.api_base.to_owned());
    std::iter::once(("api_base", base, text(&before.api_base), text(&after.api_base)))
        .chain(own)
        .filter_map(|(key, default, before, after)| {
            let (before, after) = (before.map(|value| places(&value)), after.map(|value| places(&value)));
            if before == after {
                return None;
            }
            let known: BTreeSet<_> = before.into_iter().flatten().chain(places(&default)).collect();
            Some(Moved { key, to: after.unwrap_or_default().difference(&known).cloned().collect() })
        })
        .collect()
}

/// Every host that a value names, wherever in it.
fn places(value: &Value) -> BTreeSet<String> {
    match value {
        Value::String(text) if text.is_empty() => BTreeSet::new(),
        Value::String(text) => BTreeSet::from([place(text)]),
        Value::Array(items) => items.iter().flat_map(places).collect(),
        Value::Object(map) => map.values().flat_map(places).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => BTreeSet::new(),
    }
}

/// Scheme, host and port of a URL; what is none, as it is.
pub(super) fn place(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if url.has_host() => url.origin().ascii_serialization(),
        _ => text.to_ascii_lowercase(),
    }
}

/// What to say to who would send kept secrets elsewhere.
pub(super) fn refusal(to: &str, kept: &[String]) -> String {
    let them = if kept.len() == 1 { "it" } else { "them" };
    format!(
        "would send what is kept secret here to another host, {to}: give {them} anew in the same request, or take \
         {them} away with null: {}",
        kept.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use kassir_providers::about::Check;
    use serde_json::{Map, json};

    use super::*;

    fn settings(api_base: Option<&str>, own: Value) -> Settings {
        let own: Map<String, Value> = own.as_object().unwrap().clone();
        Settings { api_base: api_base.map(str::to_owned), own, ..Settings::default() }
    }

    /// What a change sends elsewhere: the setting and its new hosts.
    fn gone(slug: &str, before: (Option<&str>, Value), after: (Option<&str>, Value)) -> Vec<String> {
        let about = kassir_providers::by_slug(slug).unwrap().about();
        let moved = moved(about, &settings(before.0, before.1), &settings(after.0, after.1));
        moved.into_iter().map(|moved| format!("{} {}", moved.key, moved.to.join(" "))).collect()
    }

    #[test]
    fn a_base_url_moves_with_its_origin() {
        let base = |before, after| gone("yookassa", (before, json!({})), (after, json!({})));
        let none: [&str; 0] = [];
        assert_eq!(base(None, None), none);
        assert_eq!(base(Some("https://a.example/v3"), Some("https://A.example:443/v4/")), none);
        for (url, place) in [
            ("https://b.example/v3", "https://b.example"),
            ("http://a.example/v3", "http://a.example"),
            ("https://a.example:8443/v3", "https://a.example:8443"),
            ("https://a.example.b.example/v3", "https://a.example.b.example"),
            ("https://a.example@b.example/v3", "https://b.example"),
        ] {
            assert_eq!(base(Some("https://a.example/v3"), Some(url)), [format!("api_base {place}")]);
            assert_eq!(base(None, Some(url)), [format!("api_base {place}")]);
        }
        assert_eq!(base(Some("https://a.example"), None), ["api_base "], "home again");
        assert_eq!(base(Some("https://a.example"), Some("https://api.yookassa.ru/v3")), ["api_base "]);
    }

    #[test]
    fn so_do_hosts_and_domains() {
        let own = |slug, before, after| gone(slug, (None, before), (None, after));
        assert_eq!(
            own(
                "bepaid",
                json!({ "hosts": { "checkout": "https://a.example", "api": "https://b.example/x" } }),
                json!({ "hosts": { "checkout": "https://b.example", "api": "https://c.example" } })
            ),
            ["hosts https://c.example"]
        );
        let unitpay = |domain| own("unitpay", json!({}), json!({ "domain": domain }));
        assert_eq!(unitpay("unitpay.example"), ["domain unitpay.example"]);
        assert_eq!(unitpay("unitpay.ru"), ["domain "]);
        let list =
            json!({ "hosts": ["a.example", "b.example:8443"], "document": { "hosts": ["x.example"] } });
        assert_eq!(own("generic", json!({ "hosts": ["a.example"] }), list), ["hosts b.example:8443"]);
        assert_eq!(own("justclick", json!({}), json!({ "product": "https://a.example" })), [""; 0]);
    }

    /// An adapter that asks a host of its own setting must say so.
    #[test]
    fn every_setting_about_hosts_is_known() {
        for about in kassir_providers::ALL.iter().map(|provider| provider.about()) {
            for setting in about.settings {
                let words = ["host", "domain", "base", "server", "endpoint"];
                let looks_so = setting.hint.en.contains("://")
                    || matches!(setting.check, Check::Url)
                    || words.iter().any(|word| setting.key.contains(word));
                // There only the payer's browser goes.
                let is_told = setting.says_where() || setting.key == "return_url";
                assert!(is_told || !looks_so, "{} {}", about.slug, setting.key);
            }
        }
    }
}
