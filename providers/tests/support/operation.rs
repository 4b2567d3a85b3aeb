//! The `[operation]` table of a vector: a wish in plain members.

use kassir_providers::operation::{Contact, Context, Create, Operation, OrderLine, Target, Wish};
use kassir_providers::{Money, State};
use serde::Deserialize;
use serde_json::Value;

/// One order line: `{ name = "…", description = "…", amount = "900.00" }`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineData {
    name: String,
    description: Option<String>,
    amount: String,
}

/// `{ id = 1, name = "…", messenger = "…", phone = "…" }`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactData {
    id: Option<toml::Value>,
    name: Option<String>,
    messenger: Option<String>,
    phone: Option<String>,
}

/// The wish; which members count depends on `wish`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationData {
    /// create | status | refund_status | capture | cancel | refund | charge | cancel_subscription | subscriptions |
    /// period | probe
    pub wish: String,
    #[serde(default)]
    now: i64,
    #[serde(default = "key")]
    idempotency_key: String,
    /// Our number of the payment.
    #[serde(default = "number")]
    number: u32,
    /// The payment's whole amount, decimal.
    #[serde(default = "amount")]
    amount: String,
    #[serde(default = "currency")]
    currency: String,

    // create, charge
    #[serde(default)]
    description: String,
    #[serde(default)]
    order: Vec<LineData>,
    contact: Option<ContactData>,
    email: Option<String>,
    return_url: Option<String>,
    notify_url: Option<String>,
    #[serde(default)]
    hold: bool,
    #[serde(default)]
    save_method: bool,
    /// JSON text of an object.
    metadata: Option<String>,
    /// JSON text; also of capture and refund.
    receipt: Option<String>,
    /// charge
    saved_method: Option<String>,

    // all others: the payment
    reference: Option<String>,
    provider_id: Option<String>,
    operation_key: Option<String>,
    state: Option<State>,
    /// What went back before, minor units.
    #[serde(default)]
    refunded: i64,
    #[serde(default)]
    created_at: i64,
    /// capture, refund: how much, decimal; all when absent.
    part: Option<String>,
    /// refund
    reason: Option<String>,
    /// refund_status
    refund_id: Option<String>,
    /// cancel_subscription, subscriptions
    id: Option<String>,
    /// period, Unix milliseconds
    #[serde(default)]
    from: i64,
    #[serde(default)]
    to: i64,
}

fn key() -> String {
    "key-1".to_owned()
}

fn number() -> u32 {
    1042
}

fn amount() -> String {
    "1499.90".to_owned()
}

fn currency() -> String {
    "RUB".to_owned()
}

impl OperationData {
    fn money(&self, text: &str) -> Result<Money, String> {
        let currency = self.currency.parse().map_err(|_| format!("no currency: {}", self.currency))?;
        Money::parse(text, currency).map_err(|error| error.to_string())
    }

    fn receipt(&self) -> Result<Option<Value>, String> {
        let text = self.receipt.as_deref();
        text.map(|text| serde_json::from_str(text).map_err(|error| format!("receipt: {error}"))).transpose()
    }

    fn create(&self) -> Result<Box<Create>, String> {
        let line = |line: &LineData| {
            Ok(OrderLine {
                name: line.name.clone(),
                description: line.description.clone(),
                amount: self.money(&line.amount)?,
            })
        };
        let metadata = self.metadata.as_deref().unwrap_or("{}");
        Ok(Box::new(Create {
            number: self.number,
            amount: self.money(&self.amount)?,
            description: self.description.clone(),
            order: self.order.iter().map(line).collect::<Result<_, String>>()?,
            contact: self.contact.as_ref().map(|contact| Contact {
                id: serde_json::to_value(&contact.id).unwrap_or(Value::Null),
                name: contact.name.clone(),
                messenger: contact.messenger.clone(),
                phone: contact.phone.clone(),
            }),
            email: self.email.clone(),
            return_url: self.return_url.clone(),
            notify_url: self.notify_url.clone(),
            hold: self.hold,
            save_method: self.save_method,
            metadata: serde_json::from_str(metadata).map_err(|error| format!("metadata: {error}"))?,
            receipt: self.receipt()?,
        }))
    }

    fn target(&self) -> Result<Target, String> {
        Ok(Target {
            number: self.number,
            reference: self.reference.clone(),
            provider_id: self.provider_id.clone(),
            operation_key: self.operation_key.clone(),
            amount: self.money(&self.amount)?,
            refunded: self.refunded,
            state: self.state.unwrap_or(State::Pending),
            created_at: self.created_at,
        })
    }

    /// The operation that the members describe.
    pub fn operation(&self) -> Result<Operation, String> {
        let part = self.part.as_deref().map(|text| self.money(text)).transpose()?;
        let needed = |member: &Option<String>, name: &str| {
            member.clone().ok_or_else(|| format!("[operation] needs {name} for {}", self.wish))
        };
        let wish = match self.wish.as_str() {
            "create" => Wish::Create(self.create()?),
            "status" => Wish::Status(self.target()?),
            "refund_status" => Wish::RefundStatus {
                payment: self.target()?,
                refund_id: needed(&self.refund_id, "refund_id")?,
            },
            "capture" => Wish::Capture { payment: self.target()?, amount: part, receipt: self.receipt()? },
            "cancel" => Wish::Cancel(self.target()?),
            "refund" => Wish::Refund {
                payment: self.target()?,
                amount: part,
                reason: self.reason.clone(),
                receipt: self.receipt()?,
            },
            "charge" => Wish::Charge {
                create: self.create()?,
                saved_method: needed(&self.saved_method, "saved_method")?,
            },
            "cancel_subscription" => Wish::CancelSubscription { id: needed(&self.id, "id")? },
            "subscriptions" => Wish::Subscriptions { id: self.id.clone() },
            "period" => Wish::Period { from: self.from, to: self.to },
            "probe" => Wish::Probe,
            other => return Err(format!("there is no wish {other:?}")),
        };
        let context = Context { now: self.now, idempotency_key: self.idempotency_key.clone() };
        Ok(Operation { context, wish })
    }
}

/// A plain operation for each wish, in this currency.
pub fn one_of_each(currency: &str) -> Vec<(String, Operation)> {
    let wishes = [
        ("create", ""),
        ("status", ""),
        ("refund_status", "refund_id = 'r-1'"),
        ("capture", ""),
        ("cancel", ""),
        ("refund", ""),
        ("refund", "part = '1'"),
        ("charge", "saved_method = 'token-1'"),
        ("cancel_subscription", "id = 's-1'"),
        ("subscriptions", ""),
        ("period", "from = 1772046491000\nto = 1772132891000"),
        ("probe", ""),
    ];
    let operation = |(wish, more): &(&str, &str)| {
        let text = format!(
            "wish = '{wish}'\nprovider_id = '1234567'\noperation_key = '7654321'\nstate = 'succeeded'\n\
             amount = '1500'\ncurrency = '{currency}'\ndescription = 'Order 1042'\nemail = 'a@b.example'\n\
             return_url = 'https://shop.example/ok'\nnotify_url = 'https://kassir.example/webhooks/x/t'\n{more}"
        );
        let data: OperationData = toml::from_str(&text).expect("a plain operation is well formed");
        ((*wish).to_owned(), data.operation().expect("a plain operation is complete"))
    };
    wishes.iter().map(operation).collect()
}
