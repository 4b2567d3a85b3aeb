//! Why a signature does not fit: the usual mistakes, tried one after the other. At most 4 keys × 7 ways.

use super::signature::{Params, UNSIGNED, join};
use crate::account::Account;
use crate::digest;
use crate::form::{Form, Plus, decode};

/// Names the mistake that fits, without a secret.
pub(super) fn diagnose(params: &Params<'_>, form: &Form, account: &Account) -> Option<String> {
    let claimed = params.get("signature")?.to_ascii_lowercase();
    let keys = [
        ("project_secret", "the project's secret key"),
        ("account_secret", "the profile's secret key (account_secret) instead of the project's"),
        ("test_secret", "the secret key for test mode instead of the project's"),
        ("public_key", "the public key instead of the secret one"),
    ];
    let ways = ways(params, form);
    for (key, key_words) in keys {
        let Some(secret) = account.secret(key) else { continue };
        for (values, way_words) in &ways {
            let made = join(values.iter().map(String::as_str), secret.expose());
            if digest::same(claimed.as_bytes(), made.as_bytes()) {
                return Some(format!("matches with {key_words}{way_words}"));
            }
        }
    }
    legacy_fits(params, account).then(|| {
        "the old MD5 sign beside it fits, so the secret is right: the request was changed on the way"
            .to_owned()
    })
}

/// What to say when there is only the old signature.
pub(super) fn without_signature(params: &Params<'_>, account: &Account) -> Option<String> {
    params.get("sign")?;
    let fits = if legacy_fits(params, account) { "fits" } else { "does not fit either" };
    Some(format!(
        "only the old MD5 sign is there, and it {fits}; it does not cover the method and is not accepted as proof"
    ))
}

fn legacy_fits(params: &Params<'_>, account: &Account) -> bool {
    let (Some(sign), Some(secret)) = (params.get("sign"), account.secret("project_secret")) else {
        return false;
    };
    digest::same(sign.as_bytes(), params.legacy(secret.expose()).as_bytes())
}

type Way = (Vec<String>, &'static str);

fn ways(params: &Params<'_>, form: &Form) -> Vec<Way> {
    let signed = |name: &str| !UNSIGNED.contains(&name);
    let method = || std::iter::once(params.method.to_owned());
    let values =
        || params.values.iter().filter(|(name, _)| signed(name)).map(|(_, value)| (*value).to_owned());
    let mut ways: Vec<Way> = vec![
        (
            method().chain(values()).collect(),
            ", but the hex is not in lower case: something changed it on the way",
        ),
        (
            method().chain(values().filter(|value| !value.is_empty())).collect(),
            " when empty values are dropped: a proxy removed or added empty parameters",
        ),
        (values().collect(), " when the method is left out"),
        (
            method().chain(values().map(|value| value.trim().to_owned())).collect(),
            " when values are trimmed: white space was added on the way",
        ),
    ];
    if params.values.contains_key("sign") {
        let with_sign = params.values.iter().filter(|(name, _)| **name != "signature");
        let with_sign = with_sign.map(|(_, value)| (*value).to_owned());
        ways.push((
            method().chain(with_sign).collect(),
            " when the old sign is taken in, which Unitpay leaves out",
        ));
    }
    let mut whole: Vec<(&str, &str)> = form
        .fields()
        .iter()
        .filter(|field| {
            field.name.starts_with("params[")
                && !UNSIGNED.iter().any(|name| field.name == format!("params[{name}]"))
        })
        .map(|field| (field.name.as_str(), field.value.as_str()))
        .collect();
    whole.sort_unstable();
    let whole = whole.into_iter().map(|(_, value)| value.to_owned());
    ways.push((method().chain(whole).collect(), " when whole names are sorted instead of the inner ones"));
    let mut plus: Vec<(&str, String)> = form
        .fields()
        .iter()
        .filter_map(|field| {
            let inner = field.name.strip_prefix("params[")?.strip_suffix(']')?;
            signed(inner).then_some(())?;
            Some((inner, decode(&field.raw_value, Plus::Plus).ok()?))
        })
        .collect();
    plus.sort_unstable();
    let plus = plus.into_iter().map(|(_, value)| value);
    ways.push((method().chain(plus).collect(), " when + is not a space: a proxy re-encoded the query"));
    ways
}
