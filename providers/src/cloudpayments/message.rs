//! The body of a notification: its fields, and what they say it is.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::form::{Form, FormError};
use crate::http::{Method, Request};
use crate::json;
use crate::outcome::{Reject, RejectKind};

/// What a notification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Check,
    Pay,
    Fail,
    Confirm,
    Cancel,
    Refund,
    Recurrent,
    Receipt,
    Kkt,
    SbpToken,
}

impl Kind {
    const ALL: [Kind; 10] = [
        Kind::Check,
        Kind::Pay,
        Kind::Fail,
        Kind::Confirm,
        Kind::Cancel,
        Kind::Refund,
        Kind::Recurrent,
        Kind::Receipt,
        Kind::Kkt,
        Kind::SbpToken,
    ];

    /// The last segment of the URL.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Kind::Check => "check",
            Kind::Pay => "pay",
            Kind::Fail => "fail",
            Kind::Confirm => "confirm",
            Kind::Cancel => "cancel",
            Kind::Refund => "refund",
            Kind::Recurrent => "recurrent",
            Kind::Receipt => "receipt",
            Kind::Kkt => "kkt",
            Kind::SbpToken => "sbptoken",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word().eq_ignore_ascii_case(word))
    }

    /// Whether a body that looks like `seen` may come to this kind's URL. Strict where money depends on it: a Check
    /// says `Status=Completed`, so at the URL of Pay or Confirm it would count as paid.
    fn fits(self, seen: Option<Kind>) -> bool {
        match self {
            Kind::Receipt | Kind::Kkt | Kind::SbpToken => !matches!(seen, Some(Kind::Pay | Kind::Refund)),
            Kind::Cancel => matches!(seen, Some(Kind::Cancel) | None),
            kind => seen == Some(kind),
        }
    }
}

/// The fields of a notification.
pub(super) enum Body {
    Form(Form),
    Json { fields: Value, raw: Box<RawValue> },
}

impl Body {
    /// Reads the fields: of a GET the query, else the body as its content type says.
    pub(super) fn read(request: &Request) -> Result<Body, Reject> {
        if request.method != Method::Get && is_json(request) {
            let raw = json::raw_body(&request.body)
                .ok_or_else(|| Reject::malformed("the body says it is JSON and is not"))?;
            let fields: Value = serde_json::from_str(raw.get())
                .map_err(|error| Reject::malformed(format!("the JSON can't be read: {error}")))?;
            return if fields.is_object() {
                Ok(Body::Json { fields, raw })
            } else {
                Err(Reject::malformed("the JSON body is not an object"))
            };
        }
        let form = request.form().map_err(|error| match error {
            FormError::Utf8 => Reject::new(RejectKind::Unsupported, error.to_string()).diagnosed(Some(
                "the site's notifications are in Windows-1251; choose the encoding UTF-8 in «Уведомления»"
                    .to_owned(),
            )),
            other => Reject::malformed(other.to_string()),
        })?;
        match form.duplicate() {
            Some(name) => Err(Reject::malformed(format!("the field {name:?} occurs more than once"))),
            None => Ok(Body::Form(form)),
        }
    }

    /// A field's text; one that is missing, empty or null is absent.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        match self {
            Body::Form(form) => form.get(name).map(Cow::Borrowed),
            Body::Json { fields, .. } => match fields.get(name)? {
                Value::Null => None,
                Value::String(text) => Some(Cow::Borrowed(text.as_str())).filter(|text| !text.is_empty()),
                Value::Bool(true) => Some(Cow::Borrowed("1")),
                Value::Bool(false) => Some(Cow::Borrowed("0")),
                other => Some(Cow::Owned(other.to_string())),
            },
        }
    }

    /// A field's text as an own string.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(Cow::into_owned)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether a field of that name is there, be it empty.
    fn names(&self, name: &str) -> bool {
        match self {
            Body::Form(form) => form.fields().iter().any(|field| field.name == name),
            Body::Json { fields, .. } => fields.get(name).is_some(),
        }
    }

    /// The notification as JSON: a JSON body to the byte, a form as an object of strings.
    pub(super) fn payload(&self) -> Box<RawValue> {
        match self {
            Body::Form(form) => form.payload(),
            Body::Json { raw, .. } => raw.clone(),
        }
    }

    /// What the fields alone say this is.
    fn looks_like(&self) -> Option<Kind> {
        Some(if self.has("Id") && self.has("Interval") && self.has("Period") {
            Kind::Recurrent
        } else if self.has("DocumentNumber") || self.has("FiscalSign") {
            Kind::Receipt
        } else if self.has("PaymentTransactionId") {
            Kind::Refund
        } else if self.get("ReasonCode").is_some_and(|code| code != "0") {
            Kind::Fail
        } else if self.has("GatewayName") {
            Kind::Pay
        } else if self.has("Status") && self.names("OperationType") {
            Kind::Check
        } else if self.has("Status") {
            Kind::Confirm
        } else if self.has("TransactionId") && self.has("Amount") && !self.has("Currency") {
            Kind::Cancel
        } else {
            return None;
        })
    }

    /// What this is: what the URL says, if the fields do not speak against it; without a word in the URL, what the
    /// fields say. The text is a warning for the inbound log.
    pub(super) fn kind(&self, word: Option<&str>) -> Result<(Option<Kind>, Option<String>), Reject> {
        let seen = self.looks_like();
        let Some(word) = word else { return Ok((seen, None)) };
        let Some(said) = Kind::from_word(word) else {
            let words = Kind::ALL.map(Kind::word).join(", ");
            return Ok((
                seen,
                Some(format!("the address ends with {word:?}, which is none of {words}; read by its fields")),
            ));
        };
        if said.fits(seen) {
            return Ok((Some(said), None));
        }
        let what = seen.map_or("of an unknown kind", Kind::word);
        let reason = format!("a notification {what} came to the address of {}", said.word());
        Err(Reject::new(RejectKind::Unsupported, reason).diagnosed(Some(match seen {
            Some(seen) => format!(
                "wrong kind URL: in «Уведомления» the notification {} has the address that ends with /{}; give it \
                 the one that ends with /{}",
                seen.word(),
                said.word(),
                seen.word()
            ),
            None => format!("wrong kind URL, or not a CloudPayments {} notification", said.word()),
        })))
    }
}

fn is_json(request: &Request) -> bool {
    let media = request.media_type();
    media == "application/json"
        || (media != "application/x-www-form-urlencoded"
            && request.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'))
}
