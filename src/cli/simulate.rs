//! `kassir simulate`: a correctly signed notification, sent as the provider would send it.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use kassir_providers::operation::Sample;
use kassir_providers::{Account, Currency, Money, Provider, Request, Secret, Settings, State};
use serde_json::Value;

use super::{Failed, print};
use crate::clock::{Clock as _, SystemClock};
use crate::delivery::outbound::{Outbound, OutboundConfig, OutboundRequest};
use crate::limits::PROVIDER_REPLY_MAX;

/// Longest wait for the answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Arguments.
#[derive(Args)]
pub(super) struct Arguments {
    /// The provider's slug: yookassa, robokassa, cloudpayments, …
    provider: String,
    /// The integration's webhook_url. Without it the notification is only printed.
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// A credential that signs it, such as secret_key=…; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    credential: Vec<String>,
    /// A setting of the integration, such as hash=sha256; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    setting: Vec<String>,
    /// The provider's kind of notification; without it the one that fits the state.
    #[arg(long)]
    kind: Option<String>,
    /// pending, waiting_for_capture, succeeded, canceled, refunded or partially_refunded.
    #[arg(long, default_value = "succeeded")]
    state: String,
    /// Amount in major units.
    #[arg(long, default_value = "900.00")]
    amount: String,
    /// Currency; without it the provider's first one.
    #[arg(long)]
    currency: Option<String>,
    /// Order number: the payment's number for one that was created through Kassir.
    #[arg(long, value_name = "N", default_value = "1")]
    payment: String,
    /// The provider's id of the payment; without it one is made from the order number.
    #[arg(long, value_name = "ID")]
    provider_id: Option<String>,
    /// Print the notification as it goes over the wire.
    #[arg(long)]
    print: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failed> {
    let provider = find(&arguments.provider)?;
    let account = account(provider, &arguments)?;
    let sample = sample(provider, &arguments)?;
    let request = provider.imitate(&sample, &account).map_err(Failed::Usage)?;
    let url = arguments.to.as_deref().map(|to| address(provider, to, &request));
    if arguments.print || url.is_none() {
        show(&request, url.as_deref());
    }
    let Some(url) = url else { return Ok(()) };
    let outcome = send(&url, &request).await?;
    let body = String::from_utf8_lossy(&outcome.body).into_owned();
    let Some(status) = outcome.status else {
        let why = outcome.failure.map_or_else(|| "no answer".to_owned(), |failure| failure.to_string());
        return Err(Failed::Work(format!("{url}: {why}")));
    };
    if arguments.json {
        print::line(serde_json::json!({ "status": status, "body": body }).to_string());
    } else {
        print::line(format!("{status} {body}"));
    }
    if (200..300).contains(&status) {
        Ok(())
    } else {
        Err(Failed::Work(format!("the router answered {status}")))
    }
}

fn find(slug: &str) -> Result<&'static dyn Provider, Failed> {
    kassir_providers::by_slug(slug)
        .or_else(|| {
            kassir_providers::ALL.iter().copied().find(|provider| provider.about().event_provider == slug)
        })
        .ok_or_else(|| {
            let known: Vec<_> = kassir_providers::ALL.iter().map(|provider| provider.about().slug).collect();
            Failed::Usage(format!("there is no provider {slug:?}; known are {}", known.join(", ")))
        })
}

/// `KEY=VALUE` arguments by key.
pub(super) fn pairs(texts: &[String], what: &str) -> Result<BTreeMap<String, String>, Failed> {
    texts
        .iter()
        .map(|text| {
            let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
            pair.ok_or_else(|| Failed::Usage(format!("--{what} takes KEY=VALUE")))
        })
        .collect()
}

/// Settings from `KEY=VALUE` arguments: JSON where a value is JSON and no number, else text.
pub(super) fn settings(texts: &[String]) -> Result<serde_json::Map<String, Value>, Failed> {
    let mut settings = serde_json::Map::new();
    for (key, text) in pairs(texts, "setting")? {
        let value = serde_json::from_str(&text).ok().filter(|value: &Value| !value.is_number());
        settings.insert(key, value.unwrap_or(Value::String(text)));
    }
    Ok(settings)
}

fn account(provider: &dyn Provider, arguments: &Arguments) -> Result<Account, Failed> {
    let credentials = pairs(&arguments.credential, "credential")?;
    let about = provider.about();
    for key in credentials.keys() {
        if !about.open_credentials && !about.credentials.iter().any(|field| field.key == key) {
            let known: Vec<_> = about.credentials.iter().map(|field| field.key).collect();
            let known = known.join(", ");
            return Err(Failed::Usage(format!(
                "{} has no credential {key:?}; known are {known}",
                about.slug
            )));
        }
    }
    let settings = settings(&arguments.setting)?;
    let settings: Settings = serde_json::from_value(Value::Object(settings))
        .map_err(|error| Failed::Usage(format!("--setting: {error}")))?;
    let credentials = credentials.into_iter().map(|(key, value)| (key, Secret::new(value))).collect();
    Ok(Account { credentials, settings })
}

fn sample(provider: &dyn Provider, arguments: &Arguments) -> Result<Sample, Failed> {
    let (state, refund) = match arguments.state.as_str() {
        "pending" => (State::Pending, false),
        "waiting_for_capture" => (State::WaitingForCapture, false),
        "succeeded" => (State::Succeeded, false),
        "canceled" => (State::Canceled, false),
        "refunded" | "partially_refunded" => (State::Succeeded, true),
        other => {
            return Err(Failed::Usage(format!(
                "--state {other}: expected pending, waiting_for_capture, succeeded, canceled, refunded or partially_refunded"
            )));
        }
    };
    let first = provider.about().currencies.first().copied().unwrap_or("RUB");
    let code = arguments.currency.as_deref().unwrap_or(first);
    let currency: Currency =
        code.parse().map_err(|error| Failed::Usage(format!("--currency {code}: {error}")))?;
    let amount = Money::parse(&arguments.amount, currency)
        .map_err(|error| Failed::Usage(format!("--amount: {error}")))?;
    Ok(Sample {
        kind: arguments.kind.clone(),
        state,
        refund,
        amount,
        reference: arguments.payment.clone(),
        provider_id: arguments.provider_id.clone(),
        description: format!("№ {}", arguments.payment),
        email: None,
        metadata: serde_json::Map::new(),
        now: SystemClock.now(),
    })
}

/// The address with the kind at its end, where the provider's body does not say it.
fn address(provider: &dyn Provider, to: &str, request: &Request) -> String {
    let mut url = to.trim_end_matches('/').to_owned();
    if let Some(kind) = &request.kind {
        let in_url = provider.about().kinds.iter().any(|known| known.in_url && known.name == kind);
        if in_url && !url.ends_with(&format!("/{kind}")) {
            url.push('/');
            url.push_str(kind);
        }
    }
    if request.query.is_empty() { url } else { format!("{url}?{}", request.query) }
}

fn show(request: &Request, url: Option<&str>) {
    print::line(format!("{} {}", request.method.word(), url.unwrap_or("(no --to URL: not sent)")));
    for (name, value) in &request.headers {
        print::line(format!("{name}: {value}"));
    }
    print::line("");
    print::line(String::from_utf8_lossy(&request.body));
}

async fn send(url: &str, request: &Request) -> Result<crate::delivery::outbound::Outcome, Failed> {
    // A person's own command to an address of their choice: no network is forbidden.
    let everywhere = ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse().ok()).collect();
    let config = OutboundConfig {
        allow_networks: everywhere,
        allow_http: true,
        timeout: TIMEOUT,
        ..OutboundConfig::default()
    };
    let outbound = Outbound::build(&config).map_err(|error| Failed::Work(error.to_string()))?;
    let request = OutboundRequest {
        method: request.method,
        url: url.to_owned(),
        headers: request.headers.clone(),
        body: request.body.clone(),
        timeout: None,
        response_max: PROVIDER_REPLY_MAX,
    };
    Ok(outbound.send(request).await)
}
