//! Shapes of inputs for the OpenAPI document. Bodies are read by `manage::Members`; a test holds the two together.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// The merchant of a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct MerchantPath {
    /// The merchant, `mer_…`.
    pub m: String,
}

/// A record of a merchant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct RecordPath {
    /// The merchant, `mer_…`.
    pub m: String,
    /// The record.
    pub id: String,
}

/// A record that belongs to no merchant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct IdPath {
    /// The record.
    pub id: String,
}

/// A page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows at the most, 1 to 200; default 50.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A stretch of time.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TimeQuery {
    /// At or after, RFC 3339.
    pub from: Option<String>,
    /// Before, RFC 3339.
    pub to: Option<String>,
}

/// Which payments.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PaymentQuery {
    /// `pending`, `waiting_for_capture`, `succeeded`, `canceled`.
    pub state: Option<String>,
    /// The provider's slug.
    pub provider: Option<String>,
    /// The integration.
    pub integration_id: Option<String>,
    /// Text in number, provider's id, order number, description, contact or e-mail.
    pub q: Option<String>,
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// The event's state.
    pub state: Option<String>,
    /// The integration.
    pub integration_id: Option<String>,
    /// The payment's number.
    pub payment_id: Option<u32>,
}

/// From where on, and how long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// Only events after this one, `evt_…`: `next_after` of the answer before. Without it from the oldest on.
    pub after: Option<String>,
    /// Instead of `after`: only events made at or after, RFC 3339.
    pub since: Option<String>,
    /// The event's state.
    pub state: Option<String>,
    /// The integration.
    pub integration_id: Option<String>,
    /// Events at the most, 1 to 200; default 50.
    pub limit: Option<u32>,
    /// How long to wait when there are none yet, seconds, 0 (default) to 5.
    pub wait_s: Option<u32>,
}

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// `pending`, `delivered`, `failed`, `held`, `canceled`.
    pub status: Option<String>,
    /// The endpoint.
    pub endpoint_id: Option<String>,
    /// The event's state.
    pub state: Option<String>,
    /// The provider's slug.
    pub provider: Option<String>,
    /// The integration.
    pub integration_id: Option<String>,
    /// `true`: only those without any attempt so far.
    pub never_attempted: Option<bool>,
    /// The payment's number.
    pub payment_id: Option<u32>,
    /// The event.
    pub event_id: Option<String>,
    /// Text: the payment's number, an id, or part of the last error.
    pub q: Option<String>,
}

/// Which notifications.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NotificationQuery {
    /// `accepted`, `duplicate`, `ignored`, `unproven`, `mismatch`, `rejected`.
    pub outcome: Option<String>,
    /// The provider's slug.
    pub provider: Option<String>,
    /// The integration.
    pub integration_id: Option<String>,
    /// The payment's number.
    pub payment_id: Option<u32>,
    /// Text in the body, the query or the reason.
    pub q: Option<String>,
}

/// Whose audit log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// One merchant's; without it the router's own and all merchants' (admin).
    pub merchant_id: Option<String>,
}

/// A merchant to be made or changed.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MerchantInput {
    /// For people; required when it is made.
    pub name: Option<String>,
    /// Number of its first payment: a shop that used numbers before starts above them. Default 1.
    pub first_payment: Option<u32>,
    /// Where it is told of endpoints that fail or were turned off, by signed requests; null ends that. The secret is in
    /// the answer; another URL gets another one.
    pub alert_url: Option<String>,
}

/// An integration to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct IntegrationInput {
    /// The provider's slug.
    pub provider: String,
    /// For people; the provider's name by default.
    pub name: Option<String>,
    /// Credentials by key, as `/providers` lists them.
    pub credentials: BTreeMap<String, Option<String>>,
    /// Settings: those that every integration has, and the provider's own.
    pub settings: Option<BTreeMap<String, Value>>,
}

/// An integration to be changed: credentials and settings are merged by key, null takes one away.
#[derive(Debug, Deserialize, ToSchema)]
pub struct IntegrationPatch {
    /// For people.
    pub name: Option<String>,
    /// Credentials by key.
    pub credentials: Option<BTreeMap<String, Option<String>>>,
    /// Settings by key.
    pub settings: Option<BTreeMap<String, Value>>,
}

/// How long the old secret lives on.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RotationInput {
    /// Seconds, at most 30 days; default 86400. 0 ends every old one at once.
    pub overlap_s: Option<u32>,
}

/// A request to be tried out: either pasted, or one of the inbound log.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TryInput {
    /// A notification of the inbound log, `ntf_…`; then nothing else.
    pub notification_id: Option<String>,
    /// `GET` or `POST` (default).
    pub method: Option<String>,
    /// Last segment of the URL, where the provider needs one.
    pub kind: Option<String>,
    /// Query string, undecoded.
    pub query: Option<String>,
    /// Headers by name.
    pub headers: Option<BTreeMap<String, String>>,
    /// The body to the byte.
    pub body: Option<String>,
    /// Whether `body` is base64.
    pub body_is_base64: Option<bool>,
    /// The sender's address, to try the check of sources.
    pub peer: Option<String>,
}

/// A document that is not saved, and a request to try it on.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DraftInput {
    /// A saved integration whose settings and credentials these come on top of, `int_…`.
    pub integration_id: Option<String>,
    /// Settings of a `generic` integration: `document`, or `preset`, and `hosts`.
    #[schema(value_type = Object)]
    pub settings: Option<Value>,
    /// Values of the secrets that the document names.
    pub credentials: Option<BTreeMap<String, Option<String>>>,
    /// The request.
    pub request: TryInput,
}

/// An endpoint to be made or changed; null puts a member back to its default.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EndpointInput {
    /// Where to; required when it is made.
    pub url: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Which states it gets; default pending, waiting_for_capture, succeeded, canceled.
    pub states: Option<Vec<String>>,
    /// Only events of these providers; all by default.
    pub providers: Option<Vec<String>>,
    /// Only events of these integrations; all by default.
    pub integration_ids: Option<Vec<String>>,
    /// Custom headers, merged by name; null takes one away. Their values are never shown again.
    pub headers: Option<BTreeMap<String, Option<String>>>,
    /// `200` (default) or `2xx`: what counts as a success.
    pub success: Option<String>,
    /// With which schemes of Standard Webhooks it is signed: `v1` (default), `v1a` (ed25519) or `both`.
    pub signing: Option<String>,
    /// HTTP Basic authentication; null takes it away.
    pub basic_auth: Option<BasicAuthInput>,
    /// The client certificate; null takes it away.
    pub client_certificate: Option<ClientCertificateInput>,
    /// Own deadline of an attempt, seconds, 1 to 30.
    pub timeout_s: Option<u32>,
    /// Most attempts per second, 1 to 10000.
    pub rate_per_s: Option<u32>,
    /// Most attempts under way at once per router, 1 to 1000.
    pub max_in_flight: Option<u32>,
    /// Events of one payment one after the other; default false.
    pub ordered: Option<bool>,
    /// Off: events are kept as `held`. Default true.
    pub enabled: Option<bool>,
}

/// HTTP Basic authentication at an endpoint.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BasicAuthInput {
    /// The user name, without a colon.
    pub username: String,
    /// The password. It is never shown again.
    pub password: String,
}

/// A client certificate for an endpoint whose server asks for one (mutual TLS).
#[derive(Debug, Deserialize, ToSchema)]
pub struct ClientCertificateInput {
    /// The certificate and its chain, its own first; PEM.
    pub certificate: String,
    /// Its private key without a password (PKCS#8, PKCS#1 or SEC1), PEM. It is never shown again.
    pub private_key: String,
}

/// One line of an order.
#[derive(Debug, Deserialize, ToSchema)]
pub struct OrderLineInput {
    /// Name of the goods.
    pub name: String,
    /// Further words.
    pub description: Option<String>,
    /// Price in **major** units (900, 900.5), as in events.
    #[schema(value_type = f64)]
    pub amount: Value,
}

/// The payer as the bot platform knows them.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ContactInput {
    /// The platform's id: an integer or a text, passed through unchanged.
    pub id: Value,
    /// Name.
    pub name: Option<String>,
    /// `whatsapp`, `telegram`, `viber`, …
    pub messenger: Option<String>,
    /// Digits only.
    pub phone: Option<String>,
}

/// A payment to be created.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PaymentInput {
    /// Through which integration.
    pub integration_id: String,
    /// Minor units (kopecks, cents).
    pub amount: i64,
    /// ISO 4217, or the provider's code of a crypto currency.
    pub currency: String,
    /// Order lines.
    pub order: Option<Vec<OrderLineInput>>,
    /// The payer.
    pub contact: Option<ContactInput>,
    /// Words for the payer.
    pub description: Option<String>,
    /// Where the payer's browser goes afterwards.
    pub return_url: Option<String>,
    /// Hold now, capture later; the integration's `manual_capture` by default.
    pub hold: Option<bool>,
    /// The caller's own data.
    pub metadata: Option<BTreeMap<String, Value>>,
    /// The payer's e-mail.
    pub email: Option<String>,
    /// Receipt data (54-FZ) in the provider's own form.
    pub receipt: Option<Value>,
    /// Ask the provider to keep the method for later charges.
    pub save_method: Option<bool>,
    /// Charge this saved method instead of asking the payer.
    pub saved_method: Option<String>,
}

/// How much.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AmountInput {
    /// Minor units; all by default.
    pub amount: Option<i64>,
    /// Receipt data (54-FZ) in the provider's own form, where the provider takes it: see `capabilities` of
    /// `GET /providers`.
    pub receipt: Option<Value>,
}

/// Nothing, or an empty object.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EmptyInput {}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReasonInput {
    /// For the record.
    pub reason: Option<String>,
}

/// Which deliveries a bulk replay takes; `{}` takes all.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReplayFilterInput {
    /// With this status.
    pub status: Option<String>,
    /// To this endpoint.
    pub endpoint_id: Option<String>,
    /// Of events in these states.
    pub states: Option<Vec<String>>,
    /// Of these providers.
    pub providers: Option<Vec<String>>,
    /// Of these integrations.
    pub integration_ids: Option<Vec<String>>,
    /// Of these payments, at most 1000.
    pub payment_ids: Option<Vec<u32>>,
    /// Only those without any attempt so far.
    pub never_attempted: Option<bool>,
    /// Instead of deliveries: events that the endpoint (`endpoint_id`, or `to_endpoint_id`) wants and of which it has
    /// no delivery, for example because it was made later.
    pub missing: Option<bool>,
    /// Text: the payment's number, an id, or part of the last error.
    pub q: Option<String>,
    /// Of events at or after, RFC 3339.
    pub from: Option<String>,
    /// Of events before, RFC 3339.
    pub to: Option<String>,
}

/// A bulk replay to be begun.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReplayInput {
    /// Which deliveries.
    pub filter: ReplayFilterInput,
    /// To another endpoint than the original one.
    pub to_endpoint_id: Option<String>,
    /// Only count.
    pub dry_run: Option<bool>,
    /// Do it although the same replay is under way or has just ended.
    pub confirm: Option<bool>,
    /// Most deliveries per second; the configuration's `delivery.replay_per_s` by default and at the most.
    pub per_s: Option<u32>,
    /// For the record.
    pub reason: Option<String>,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TokenInput {
    /// `admin`, `merchant` or `support`.
    pub role: String,
    /// For people.
    pub name: Option<String>,
    /// Whose; required for the role merchant, optional for support.
    pub merchant_id: Option<String>,
}

/// What an export holds.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `true`: with secrets, sealed under the router's master key; for administrators.
    pub sealed: Option<bool>,
}

/// How to import.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// `true`: only check, and tell what would change.
    pub dry_run: Option<bool>,
}

/// A merchant with all that is set up for it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ImportInput {
    /// `mer_…`
    pub id: String,
    /// For people.
    pub name: String,
    /// Number of its first payment.
    pub first_payment: Option<u32>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// Where the merchant is told of endpoints that fail.
    pub alert_url: Option<String>,
    /// Signs what is sent there: a text, or `{"left_out": true}`.
    #[schema(value_type = Option<Object>)]
    pub alert_secret: Option<Value>,
    /// Integrations: `{"id", "provider", "name", "credentials", "settings", "tokens": [{"token", "expires_at"?}],
    /// "created_at"}`.
    #[schema(value_type = Option<Vec<Object>>)]
    pub integrations: Option<Value>,
    /// Endpoints: `{"id", "url", …, "headers", "secrets": [{"secret", "created_at", "expires_at"?}], "created_at"}`.
    #[schema(value_type = Option<Vec<Object>>)]
    pub endpoints: Option<Value>,
}
