//! A marked sample event, sent once on a person's wish.

use super::{found, host_of};
use crate::delivery::send;
use crate::domain::event::{EventState, Proven};
use crate::domain::ids::{DeliveryId, EndpointId, EventId, IntegrationId, MerchantId};
use crate::domain::job::Lane;
use crate::domain::{Attempt, Delivery, Event};
use crate::manage::{Actor, ManageError, Manager, Result};
use crate::registry::MerchantView;
use crate::store::Holding;

/// The payment's number in a test event.
const TEST_PAYMENT: u32 = 1;

impl Manager {
    /// Sends a marked sample event to an endpoint now, once, whether it is on or off.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn test_endpoint(&self, actor: &Actor, view: &MerchantView, id: EndpointId) -> Result<Attempt> {
        let endpoint = found(view, id)?;
        let merchant = view.config.merchant.id;
        self.note(actor, Some(merchant), "endpoint.test", id, host_of(&endpoint.url)).await?;
        let gone = || ManageError::no("endpoint", id);
        let opened = self.endpoints.get(merchant, id).await;
        let opened = opened.map_err(|error| ManageError::NotNow(format!("{error}.")))?.ok_or_else(gone)?;
        let now = self.clock.now();
        let event = sample(EventId(self.clock.id()), merchant, now);
        // It is not kept.
        let delivery = Delivery::of(&event, endpoint.id, DeliveryId(self.clock.id()), "");
        let verdict = send::attempt(&self.outbound, &opened, &delivery, &event, now).await;
        if verdict.success {
            // It works: what waits for it need not wait any longer.
            self.store.hold(merchant, Lane::Endpoint(id), Holding::Lift).await?;
        }
        Ok(Attempt {
            number: send::number_of_next(&delivery),
            at: verdict.at,
            duration_ms: verdict.duration_ms,
            status: verdict.status,
            error: verdict.error,
            response_excerpt: verdict.excerpt,
            remote_ip: verdict.remote_ip,
            replay: false,
            excused: verdict.excused,
            sent_again: verdict.sent_again,
        })
    }
}

/// A sample event in the shape of a real one.
fn sample(id: EventId, merchant: MerchantId, now: i64) -> Event {
    let tail = format!(
        r#","provider":"yandex_kassa","provider_id":"00000000-0000-0000-0000-000000000000","currency":"RUB","amount":90000,"state":"succeeded","created_at":{},"payload":{{"test":true}},"order":[{{"name":"Test","description":"A test event of Kassir","amount":900}}],"contact":{{"id":1,"name":"Test","messenger":"telegram","phone":"79999999999"}}}}"#,
        now.div_euclid(1000)
    );
    Event {
        id,
        merchant,
        integration: IntegrationId(uuid::Uuid::nil()),
        payment: TEST_PAYMENT,
        state: EventState::Succeeded,
        proven: Proven::Confirmed,
        test: true,
        notification: None,
        created_at: now,
        tail,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_sample_is_json_in_the_documented_order() {
        let event = sample(EventId(uuid::Uuid::nil()), MerchantId(uuid::Uuid::nil()), 1_554_717_099_000);
        let body: Value = serde_json::from_str(&event.body()).unwrap();
        let names: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            names,
            [
                "id",
                "provider",
                "provider_id",
                "currency",
                "amount",
                "state",
                "created_at",
                "payload",
                "order",
                "contact"
            ]
        );
    }
}
