//! Takes secrets out of what a person is shown: also a request itself may carry one (a token in a header or in the
//! URL, a password beside its user).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::document::Document;
use super::keys;
use super::scheme::Check;
use crate::{Account, form};

/// Hides an account's secrets.
pub(super) struct Mask {
    /// What is hidden and what stands in its place, the longest first.
    hidden: Vec<(Vec<u8>, String)>,
}

impl Mask {
    /// Hides every credential of the account that is no public key, in each form that a request may carry it in.
    pub(super) fn of(document: &Document<'_>, account: &Account) -> Mask {
        let mut hidden = Vec::new();
        let mut add = |name: &str, text: &str| {
            let json = serde_json::Value::from(text).to_string();
            let quoted = json.get(1..json.len().saturating_sub(1)).unwrap_or("").to_owned();
            let base64 = BASE64_STANDARD.encode(text);
            let bare = base64.trim_end_matches('=').to_owned();
            let forms = [form::encode(text), form::encode_percent(text), form::encode_php(text)];
            for written in forms.into_iter().chain([text.to_owned(), quoted, base64, bare, hex::encode(text)])
            {
                hidden.push((written.into_bytes(), format!("<secret:{name}>")));
            }
        };
        for (name, secret) in &account.credentials {
            let public = document.secret(name).is_some_and(|rule| rule.public_key);
            if !public && !secret.is_empty() {
                add(name, secret.expose());
                let rule = document.secret(name);
                if let Some(Ok(bytes)) = rule.map(|rule| keys::bytes(rule, secret)) {
                    // What it means once it is decoded and derived is as good as the secret.
                    add(name, &hex::encode(&*bytes));
                    std::str::from_utf8(&bytes).into_iter().for_each(|text| add(name, text));
                }
            }
        }
        let mut pairs = |check: &Check<'_>| {
            if let Check::Basic { user, password } = check {
                add(password, &format!("{}:{}", account.text(user), account.text(password)));
            }
        };
        document.auth.iter().for_each(|check| check.walk(&mut pairs));
        hidden.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        hidden.dedup();
        Mask { hidden }
    }

    /// The text with the names of secrets in their places; letters of either case count as the same.
    pub(super) fn hide(&self, text: &str) -> String {
        let bytes = text.as_bytes();
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let begins = |hidden: &[u8]| {
                rest.get(..hidden.len()).is_some_and(|start| start.eq_ignore_ascii_case(hidden))
            };
            match self.hidden.iter().find(|(hidden, _)| begins(hidden)) {
                Some((hidden, name)) => {
                    out.extend_from_slice(name.as_bytes());
                    at = at.saturating_add(hidden.len());
                }
                None => {
                    out.extend(rest.first());
                    at = at.saturating_add(1);
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;
    use crate::generic::{document, presets};

    #[test]
    fn a_secret_is_hidden_in_every_form() {
        let mut account = Account::default();
        account
            .settings
            .own
            .insert("document".to_owned(), presets::document("flowell-json-hmac").unwrap().clone());
        let secret = "пароль+\"with\" 1/2";
        account.credentials.insert("main".to_owned(), Secret::new(secret));
        let mask = Mask::of(&document::of(&account).unwrap(), &account);
        let quoted = serde_json::Value::from(secret).to_string();
        for written in [
            secret.to_owned(),
            quoted.trim_matches('"').to_owned(),
            form::encode(secret),
            form::encode_percent(secret).to_lowercase(),
            BASE64_STANDARD.encode(secret),
        ] {
            assert_eq!(mask.hide(&format!("a={written}&b")), "a=<secret:main>&b");
        }
        assert_eq!(mask.hide("nothing of it"), "nothing of it");
    }
}
