//! What happens in the demo, step by step.

use anyhow::{Context as _, ensure};
use kassir_providers::operation::Sample;
use kassir_providers::{Account, Currency, Money, Provider, Request, Secret, Settings, State, by_slug};
use serde_json::{Map, Value, json};

use super::PATIENCE;
use super::stage::Stage;
use super::subscriber::Got;
use crate::client::unguarded;
use crate::clock::{Clock as _, SystemClock};
use crate::delivery::outbound::{Outbound, OutboundRequest};

type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A shop connected to a provider.
struct Shop {
    provider: &'static dyn Provider,
    account: Account,
    webhook_url: String,
    id: String,
}

struct Teller<'a> {
    stage: &'a Stage,
    wire: Outbound,
    merchant: String,
    say: Say<'a>,
}

/// Plays the story.
///
/// # Errors
/// The first step that did not go as it must.
pub(super) async fn tell(stage: &Stage, say: Say<'_>) -> anyhow::Result<()> {
    let merchant = stage.client.post("/merchants", &json!({ "name": "Демо" })).await?;
    let teller = Teller { stage, wire: unguarded()?, merchant: text(&merchant, "id"), say };
    teller.subscribe().await?;
    let robokassa = teller
        .connect(
            "robokassa",
            &[("merchant_login", "demo_shop"), ("password1", "Pass1_qwe"), ("password2", "Pass2_asd")],
        )
        .await?;
    let yookassa =
        teller.connect("yookassa", &[("shop_id", "100500"), ("secret_key", "test_AbCdEfGh")]).await?;
    let cloudpayments = teller
        .connect("cloudpayments", &[("public_id", "pk_demo"), ("api_secret", "0b1c2d3e4f506172")])
        .await?;
    let yoomoney = teller
        .connect(
            "yoomoney",
            &[("receiver", "41001000040"), ("notification_secret", "01234567890ABCDEF01234567890")],
        )
        .await?;
    say("");
    teller.pay_by_link(&robokassa).await.context("robokassa")?;
    teller.wallet(&yoomoney).await.context("yoomoney")?;
    teller.confirm(&yookassa).await.context("yookassa")?;
    let delivered = teller.retry(&cloudpayments).await.context("cloudpayments")?;
    teller.forge(&cloudpayments).await.context("a forged notification")?;
    let last = teller.replay(&delivered).await.context("a replay")?;
    teller.nothing_more().await?;
    say("");
    say("The last event, as the subscriber got it:");
    let event: Value = serde_json::from_str(&last.body)?;
    say(&serde_json::to_string_pretty(&event)?);
    Ok(())
}

impl Teller<'_> {
    fn step(&self, words: &str) {
        (self.say)(words);
    }

    async fn subscribe(&self) -> anyhow::Result<()> {
        let body = json!({
            "url": self.stage.subscriber.url(),
            "description": "the demo's bot",
            "states": ["pending", "waiting_for_capture", "succeeded", "canceled", "refunded", "partially_refunded"],
        });
        let path = format!("/merchants/{}/endpoints", self.merchant);
        let endpoint = self.stage.client.post(&path, &body).await?;
        self.stage.subscriber.trust(&text(&endpoint, "secret"))
    }

    async fn connect(&self, slug: &str, credentials: &[(&str, &str)]) -> anyhow::Result<Shop> {
        let provider = by_slug(slug).with_context(|| format!("there is no provider {slug}"))?;
        let given: Map<String, Value> =
            credentials.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        // Only YooKassa's API is asked here; it is the demo's own.
        let settings =
            if slug == "yookassa" { json!({ "api_base": self.stage.bank.api_base() }) } else { json!({}) };
        let body = json!({ "provider": slug, "name": "demo", "credentials": given, "settings": settings });
        let made =
            self.stage.client.post(&format!("/merchants/{}/integrations", self.merchant), &body).await?;
        let credentials =
            credentials.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value))).collect();
        let account = Account { credentials, settings: Settings::default() };
        Ok(Shop { provider, account, webhook_url: text(&made, "webhook_url"), id: text(&made, "id") })
    }

    /// Robokassa: a payment made through us has a link and its number comes back; the same notice twice is one event.
    async fn pay_by_link(&self, shop: &Shop) -> anyhow::Result<()> {
        let body = json!({
            "integration_id": shop.id, "amount": 149_990, "currency": "RUB", "description": "Подписка «Стандарт»",
            "order": [{ "name": "Подписка «Стандарт»", "description": "1 месяц", "amount": 1499.90 }],
            "contact": { "id": 123_456_789, "name": "Дмитрий", "messenger": "telegram", "phone": "79999999999" },
        });
        let payment =
            self.stage.client.post(&format!("/merchants/{}/payments", self.merchant), &body).await?;
        let number = payment.get("id").map(Value::to_string).unwrap_or_default();
        let link: String = text(&payment, "pay_url").chars().take(60).collect();
        self.step(&format!("robokassa      payment {number} created, pay link {link}…"));
        self.expect("pending", &[200]).await?;
        let notice = self.imitate(shop, State::Succeeded, 149_990, &number)?;
        let answer = self.send(shop, &notice).await?;
        ensure!(answer == (200, format!("OK{number}")), "answered {answer:?}");
        self.step(&format!("robokassa      Result URL, signed with password #2 → answered {}", answer.1));
        self.expect("succeeded", &[200]).await?;
        let again = self.send(shop, &notice).await?;
        ensure!(again == answer, "the duplicate was answered {again:?}");
        self.step(&format!("robokassa      the same again → answered {} again, no second event", again.1));
        Ok(())
    }

    /// YooMoney: a transfer to a wallet, with a signature of its own.
    async fn wallet(&self, shop: &Shop) -> anyhow::Result<()> {
        let notice = self.imitate(shop, State::Succeeded, 25_000, "order-7")?;
        let answer = self.send(shop, &notice).await?;
        ensure!(answer.0 == 200, "answered {answer:?}");
        self.step("yoomoney       a transfer to the wallet, signed → answered 200");
        self.expect("succeeded", &[200]).await?;
        Ok(())
    }

    /// YooKassa: nothing is signed, so its API is asked in the background before anything counts.
    async fn confirm(&self, shop: &Shop) -> anyhow::Result<()> {
        let notice = self.imitate(shop, State::WaitingForCapture, 90_000, "72")?;
        let object: Value = serde_json::from_slice(&notice.body)?;
        self.stage.bank.know(object.get("object").context("no object")?);
        let answer = self.send(shop, &notice).await?;
        ensure!(answer.0 == 200, "answered {answer:?}");
        self.step("yookassa       payment.waiting_for_capture, unsigned → answered 200, its API is asked");
        let got = self.expect("waiting_for_capture", &[200]).await?;
        ensure!(got.proof == "confirmed", "proved as {}", got.proof);
        Ok(())
    }

    /// CloudPayments: the subscriber fails twice; the third attempt gets through.
    async fn retry(&self, shop: &Shop) -> anyhow::Result<Got> {
        self.stage.subscriber.fail_next(2);
        let notice = self.imitate(shop, State::Succeeded, 39_900, "order-1042")?;
        let answer = self.send(shop, &notice).await?;
        ensure!(answer == (200, r#"{"code":0}"#.to_owned()), "answered {answer:?}");
        self.step(&format!("cloudpayments  pay, HMAC of the body → answered {}", answer.1));
        self.expect("succeeded", &[500, 500, 200]).await
    }

    async fn forge(&self, shop: &Shop) -> anyhow::Result<()> {
        let mut notice = self.imitate(shop, State::Succeeded, 100, "order-666")?;
        let forged = String::from_utf8(notice.body)?.replace("Amount=1.00", "Amount=9999.00");
        notice.body = forged.into_bytes();
        let answer = self.send(shop, &notice).await?;
        ensure!(!(200..300).contains(&answer.0), "a forged notification was answered {answer:?}");
        let path = format!("/merchants/{}/notifications?outcome=rejected", self.merchant);
        let log = self.stage.client.get(&path).await?;
        let reason = log.pointer("/data/0/reason").and_then(Value::as_str).unwrap_or("").to_owned();
        ensure!(!reason.is_empty(), "the inbound log does not show the forged notification");
        self.step(&format!("cloudpayments  pay with a changed amount → refused with {}: {reason}", answer.0));
        Ok(())
    }

    async fn replay(&self, delivered: &Got) -> anyhow::Result<Got> {
        let path = format!("/merchants/{}/deliveries/{}/replay", self.merchant, delivered.delivery);
        self.stage.client.post(&path, &json!({ "reason": "the shop lost it" })).await?;
        self.step(&format!("support        replays {}", delivered.delivery));
        let got = self.expect("succeeded", &[200]).await?;
        ensure!(got.replay && got.id == delivered.id, "the replay is not marked, or has another id");
        Ok(got)
    }

    async fn nothing_more(&self) -> anyhow::Result<()> {
        match self.stage.subscriber.unexpected().await {
            None => Ok(()),
            Some(got) => anyhow::bail!("an event came that nobody expected: {got:?}"),
        }
    }

    fn imitate(&self, shop: &Shop, state: State, minor: i64, reference: &str) -> anyhow::Result<Request> {
        let sample = Sample {
            kind: None,
            state,
            refund: false,
            amount: Money::new(minor, Currency::RUB),
            reference: reference.to_owned(),
            provider_id: None,
            description: format!("Заказ № {reference}"),
            email: None,
            metadata: Map::new(),
            now: SystemClock.now(),
        };
        shop.provider.imitate(&sample, &shop.account).map_err(anyhow::Error::msg)
    }

    /// Sends a notification as the provider would; gives status and body of the answer.
    async fn send(&self, shop: &Shop, notice: &Request) -> anyhow::Result<(u16, String)> {
        let mut url = shop.webhook_url.clone();
        if let Some(kind) = &notice.kind {
            url = format!("{url}/{kind}");
        }
        if !notice.query.is_empty() {
            url = format!("{url}?{}", notice.query);
        }
        let request = OutboundRequest {
            method: notice.method,
            url,
            headers: notice.headers.clone(),
            body: notice.body.clone(),
            timeout: Some(PATIENCE),
            response_max: 4096,
        };
        let outcome = self.wire.send(request).await;
        let status = outcome.status.context("the router did not answer")?;
        Ok((status, String::from_utf8_lossy(&outcome.body).into_owned()))
    }

    /// Waits for an event in this state, through these answers of the subscriber; gives the last request.
    async fn expect(&self, state: &str, answers: &[u16]) -> anyhow::Result<Got> {
        let mut first: Option<Got> = None;
        for (answer, attempt) in answers.iter().zip(1_u32..) {
            let got = self.stage.subscriber.next().await?;
            let event: Value = serde_json::from_str(&got.body)?;
            ensure!(
                event.get("state").and_then(Value::as_str) == Some(state),
                "expected {state}, got {}",
                got.body
            );
            ensure!(got.verified, "the signature of {} is wrong", got.id);
            ensure!(got.answered == *answer, "answered {} instead of {answer}", got.answered);
            let id = first.get_or_insert_with(|| got.clone()).id.clone();
            ensure!(got.id == id, "the attempts have different ids");
            let mark = if got.replay { ", marked as a replay" } else { "" };
            self.step(&format!(
                "  → subscriber {} {state:<19} attempt {}, signature right, proof {}{mark}: answered {answer}{}",
                got.id,
                got.attempt,
                got.proof,
                if *answer == 200 { "" } else { ", is tried again" }
            ));
            if usize::try_from(attempt) == Ok(answers.len()) {
                return Ok(got);
            }
        }
        anyhow::bail!("nothing was expected")
    }
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or("").to_owned()
}
