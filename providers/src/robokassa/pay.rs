//! The pay link: its parameters, its signed text.
//!
//! The rule that settles how each value is encoded: sign exactly the text that Robokassa has after one decoding of
//! the query. URLs are signed plain; a receipt is encoded once before it is signed, and once more by the query.

use serde_json::{Map, Value};

use super::{operations, shop};
use crate::account::{Account, Secret};
use crate::form::{build, encode, encode_percent};
use crate::operation::{Create, Done, Failure, Fault, Link, Step};

/// Marks a payment whose card shall be kept; signed, and comes back with the notification.
pub(super) const SAVE_METHOD: &str = "Shp_save_method";
/// Longest link, bytes; longer ones (large receipts) become a form.
const URL_LEN_MAX: usize = 4000;
const DESCRIPTION_CHARS_MAX: usize = 100;
/// All Shp_ parameters together, bytes; no limit is documented.
const SHP_LEN_MAX: usize = 1000;

/// Parameters of `Merchant/Index.aspx`.
#[derive(Default)]
pub(super) struct Pay {
    pub login: String,
    pub sum: String,
    pub invoice: String,
    pub description: String,
    /// Already encoded once.
    pub receipt: Option<String>,
    pub hold: bool,
    pub result_url: Option<String>,
    /// URL and method.
    pub success: Option<(String, &'static str)>,
    pub fail: Option<(String, &'static str)>,
    pub email: Option<String>,
    pub recurring: bool,
    pub test: bool,
    /// Sorted by name.
    pub shp: Vec<(String, String)>,
}

impl Pay {
    /// `MerchantLogin:OutSum:InvId[:Receipt][:StepByStep][:ResultUrl2][:SuccessUrl2:Method][:FailUrl2:Method]:P1[:Shp…]`
    pub(super) fn base(&self, password: &Secret) -> String {
        let mut parts = vec![self.login.as_str(), &self.sum, &self.invoice];
        parts.extend(self.receipt.as_deref());
        parts.extend(self.hold.then_some("true"));
        parts.extend(self.result_url.as_deref());
        for (url, method) in self.success.iter().chain(&self.fail) {
            parts.extend([url.as_str(), method]);
        }
        parts.push(password.expose());
        let shp: Vec<String> = self.shp.iter().map(|(name, value)| format!("{name}={value}")).collect();
        parts.extend(shp.iter().map(String::as_str));
        parts.join(":")
    }

    /// The parameters with their signature, in the order of the documentation.
    pub(super) fn fields(&self, signature: &str) -> Vec<(String, String)> {
        let mut fields = vec![
            ("MerchantLogin", self.login.clone()),
            ("OutSum", self.sum.clone()),
            ("InvId", self.invoice.clone()),
            ("Description", self.description.clone()),
        ];
        let mut add = |name, value: Option<String>| fields.extend(value.map(|value| (name, value)));
        add("Receipt", self.receipt.clone());
        add("StepByStep", self.hold.then(|| "true".to_owned()));
        add("ResultUrl2", self.result_url.clone());
        for ((url_name, method_name), target) in
            [("SuccessUrl2", "SuccessUrl2Method"), ("FailUrl2", "FailUrl2Method")]
                .into_iter()
                .zip([&self.success, &self.fail])
        {
            add(url_name, target.as_ref().map(|(url, _)| url.clone()));
            add(method_name, target.as_ref().map(|(_, method)| (*method).to_owned()));
        }
        add("Email", self.email.clone());
        add("Culture", Some("ru".to_owned()));
        add("Encoding", Some("utf-8".to_owned()));
        add("Recurring", self.recurring.then(|| "true".to_owned()));
        add("IsTest", self.test.then(|| "1".to_owned()));
        let own = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        own.chain(self.shp.iter().cloned())
            .chain([("SignatureValue".to_owned(), signature.to_owned())])
            .collect()
    }

    /// Where the payer goes.
    pub(super) fn link(&self, base_url: &str, signature: &str) -> Link {
        let fields = self.fields(signature);
        let action = format!("{base_url}/Merchant/Index.aspx");
        let query = build(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if action.len() + query.len() < URL_LEN_MAX {
            Link::Url(format!("{action}?{query}"))
        } else {
            Link::Form { action, fields }
        }
    }
}

/// A payment's link, signed with password #1, in test mode with the test one. Nothing has to be asked for it.
pub(super) fn create(create: &Create, account: &Account) -> Result<Step, Failure> {
    let test = account.is_test();
    let caller = |why: &str| Failure::never(Fault::Caller, why);
    if create.hold && create.save_method {
        return Err(caller("Robokassa can't hold a payment and keep its card at once"));
    }
    if test && (create.hold || create.save_method) {
        return Err(caller("Robokassa has neither holds nor recurring charges in test mode"));
    }
    if create.hold && create.notify_url.is_none() {
        return Err(caller("a hold needs our own address for ResultUrl2: nothing else tells of it"));
    }
    let password = if test {
        shop::password(account, "test_password1", "the test password #1")?
    } else {
        shop::password(account, "password1", "password #1")?
    };
    let back = create.return_url.as_ref().map(|url| (url.clone(), "GET"));
    let pay = Pay {
        login: account.text("merchant_login").to_owned(),
        sum: operations::sum(create.amount, account)?,
        invoice: create.number.to_string(),
        description: description(&create.description),
        receipt: create.receipt.as_ref().map(receipt),
        hold: create.hold,
        // Beside the ordinary notification it brings the OpKey, which refunds need. It also makes the signed text
        // differ from that of a recurring charge, for which a plain link could otherwise be misused.
        result_url: if test { None } else { create.notify_url.clone() },
        success: back.clone(),
        fail: back,
        email: create.email.clone(),
        recurring: create.save_method,
        test,
        shp: shp(&create.metadata, create.save_method),
    };
    let signature = shop::sign(account, &pay.base(password))?;
    Ok(Step::done(Done {
        provider_id: Some(pay.invoice.clone()),
        link: Some(pay.link(shop::auth(account), &signature)),
        ..Done::default()
    }))
}

/// The receipt as it is signed: JSON, percent-encoded once.
pub(super) fn receipt(receipt: &Value) -> String {
    encode_percent(&receipt.to_string())
}

/// The longest description that is allowed, without control characters.
pub(super) fn description(text: &str) -> String {
    let plain = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    plain.take(DESCRIPTION_CHARS_MAX).collect()
}

/// The caller's plain metadata as `Shp_` parameters: one spelling of the prefix and lower-case names, because sources
/// disagree on how mixed case is sorted; values outside ASCII are encoded before they are signed, and come back so.
/// What has no plain form, or no room, stays here.
pub(super) fn shp(metadata: &Map<String, Value>, save_method: bool) -> Vec<(String, String)> {
    let mut own: Vec<(String, String)> = Vec::new();
    if save_method {
        own.push((SAVE_METHOD.to_owned(), "1".to_owned()));
    }
    let mut len = 0;
    for (key, value) in metadata {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        let name = format!("Shp_{}", key.to_ascii_lowercase());
        let value = encode(&text);
        let is_plain =
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        len += name.len() + value.len();
        if is_plain && len <= SHP_LEN_MAX && !own.iter().any(|(other, _)| *other == name) {
            own.push((name, value));
        }
    }
    own.sort();
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Hash;

    const URLS: &str = "https://pay.example.com/robokassa/result2";
    /// The receipt of the vectors, as it is signed.
    const RECEIPT: &str = r#"{"items":[{"name":"Подписка «Стандарт»","quantity":1,"sum":1499.9,"payment_method":"full_payment","payment_object":"service","tax":"none"}]}"#;

    fn plain() -> Pay {
        Pay {
            login: "demo_shop".to_owned(),
            sum: "1499.90".to_owned(),
            invoice: "1042".to_owned(),
            ..Pay::default()
        }
    }

    fn own_urls() -> Pay {
        Pay {
            description: "Заказ № 1042".to_owned(),
            result_url: Some(URLS.to_owned()),
            success: Some(("https://example.com/ok?o=1042".to_owned(), "GET")),
            fail: Some(("https://example.com/fail".to_owned(), "POST")),
            email: Some("ivan@example.com".to_owned()),
            shp: vec![
                ("Shp_chat".to_owned(), "123456789".to_owned()),
                ("Shp_order".to_owned(), "order-1042".to_owned()),
            ],
            ..plain()
        }
    }

    fn sign(pay: &Pay, hash: Hash) -> String {
        hash.hex(pay.base(&Secret::new("Pass1_qwe")).as_bytes())
    }

    #[test]
    fn minimal_link_with_each_hash() {
        for (hash, expected) in [
            (Hash::Md5, "f2a053067ddbc7f8c0b834e31ef7f182"),
            (Hash::Ripemd160, "8711052c2e4b840e368b3b66c8dd40212a036ae1"),
            (Hash::Sha1, "a43d029fb7a4f108349638f96ff642019e76ed99"),
            (Hash::Sha256, "bac9ecd4f4b3b01c55b9fadabb95314a875c2fb1833599d7ece933d3d3af266d"),
        ] {
            assert_eq!(sign(&plain(), hash), expected);
        }
    }

    #[test]
    fn own_urls_and_parameters() {
        let pay = own_urls();
        assert_eq!(sign(&pay, Hash::Md5), "4b63bb51272a8fa218acb95cf2a31f13");
        let Link::Url(url) = pay.link("https://auth.robokassa.ru", &sign(&pay, Hash::Md5)) else { panic!() };
        assert_eq!(
            url,
            "https://auth.robokassa.ru/Merchant/Index.aspx?MerchantLogin=demo_shop&OutSum=1499.90&InvId=1042&Description=%D0%97%D0%B0%D0%BA%D0%B0%D0%B7+%E2%84%96+1042&ResultUrl2=https%3A%2F%2Fpay.example.com%2Frobokassa%2Fresult2&SuccessUrl2=https%3A%2F%2Fexample.com%2Fok%3Fo%3D1042&SuccessUrl2Method=GET&FailUrl2=https%3A%2F%2Fexample.com%2Ffail&FailUrl2Method=POST&Email=ivan%40example.com&Culture=ru&Encoding=utf-8&Shp_chat=123456789&Shp_order=order-1042&SignatureValue=4b63bb51272a8fa218acb95cf2a31f13"
        );
    }

    #[test]
    fn a_receipt_is_encoded_once_for_the_hash_and_twice_on_the_wire() {
        let json: Value = serde_json::from_str(RECEIPT).unwrap();
        let pay = Pay { receipt: Some(receipt(&json)), ..own_urls() };
        assert_eq!(sign(&pay, Hash::Md5), "ca18773f473677eb4ededcb90ae7cb0c");
        assert_eq!(
            sign(&pay, Hash::Sha256),
            "8d55bee080f414e5bac5696ecd04299121fe5c1df70ebd0016db402497a29684"
        );
        let Link::Url(url) = pay.link("https://auth.robokassa.ru", "x") else { panic!() };
        assert!(
            url.contains("&Receipt=%257B%2522items%2522%253A%255B%257B%2522name%2522%253A%2522%25D0%259F")
        );
        let large = Pay { receipt: Some(receipt(&json).repeat(8)), ..own_urls() };
        assert!(matches!(large.link("https://auth.robokassa.ru", "x"), Link::Form { .. }));
    }

    #[test]
    fn holds() {
        let hold = Pay { hold: true, result_url: Some(URLS.to_owned()), ..plain() };
        assert_eq!(sign(&hold, Hash::Md5), "573aadc5f91c900ce7947f2be10e7ec1");
        let json: Value = serde_json::from_str(RECEIPT).unwrap();
        let with_receipt = Pay { receipt: Some(receipt(&json)), ..hold };
        assert_eq!(sign(&with_receipt, Hash::Md5), "81d4f9f65f4e95c67ad63f809efe4072");
    }

    #[test]
    fn metadata_becomes_plain_parameters() {
        let metadata: Value = serde_json::from_str(
            r#"{"Order":"abc 1","chat":123456789012345678,"имя":"x","list":[1],"order":"2","on":true}"#,
        )
        .unwrap();
        let Value::Object(metadata) = metadata else { panic!() };
        let expected = [("Shp_chat", "123456789012345678"), ("Shp_on", "true"), ("Shp_order", "abc+1")];
        let found = shp(&metadata, false);
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(shp(&Map::new(), true), [(SAVE_METHOD.to_owned(), "1".to_owned())]);
    }
}
