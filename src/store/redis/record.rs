//! The domain's records as they are kept: what the key already says is not written, or costs little.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::codec::{pack, pack_with, unpack, unpack_with};
use super::dictionary::{Body, Dictionary};
use super::keys::{ID_LEN, damaged, id};
use crate::domain::delivery::{Attempt, Delivery};
use crate::domain::event::Event;
use crate::domain::ids::{DeliveryId, EventId, MerchantId, NotificationId};
use crate::domain::job::{Job, Task};
use crate::domain::notification::Notification;
use crate::domain::payment::{Origin, Payment};
use crate::store::Result;

/// What stands behind a payment's version: of one that only its provider's notifications told of no number of ours is in
/// the provider's words, and a look-up by number passes it over.
pub(super) fn payment_mark(payment: &Payment) -> &'static str {
    if payment.origin == Origin::Api { ":" } else { ";" }
}

/// Takes the version and its mark off.
pub(super) fn versioned(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let mark =
        bytes.iter().position(|byte| matches!(byte, b':' | b';')).ok_or_else(|| damaged("a version"))?;
    let (version, rest) = bytes.split_at(mark);
    let version = std::str::from_utf8(version).ok().and_then(|text| text.parse().ok());
    Ok((version.ok_or_else(|| damaged("a version"))?, rest.get(1..).unwrap_or_default()))
}

/// Writes a payment.
pub(super) fn pack_payment(payment: &Payment) -> Result<Vec<u8>> {
    pack(payment, Dictionary::Payment, &payment.merchant.to_string())
}

/// Reads a payment with its version.
pub(super) fn payment(merchant: MerchantId, number: u32, bytes: &[u8]) -> Result<Payment> {
    let (version, bytes) = versioned(bytes)?;
    let read: Payment = unpack(bytes, &merchant.to_string())?;
    Ok(Payment { number, version, ..read })
}

/// Writes an event: its body behind the rest.
pub(super) fn pack_event(event: &Event) -> Result<Vec<u8>> {
    let context = format!("{}{}", event.merchant, event.id);
    let without = Event { tail: String::new(), ..event.clone() };
    pack_with(&without, &event.tail, Dictionary::Event(Body::of_event(&event.tail)), &context)
}

/// Reads an event.
pub(super) fn event(merchant: MerchantId, id: EventId, number: u32, bytes: &[u8]) -> Result<Event> {
    let (read, tail): (Event, String) = unpack_with(bytes, &format!("{merchant}{id}"))?;
    Ok(Event { payment: number, tail, ..read })
}

/// Writes a delivery: its event's id (16 bytes), then the rest.
pub(super) fn pack_delivery(delivery: &Delivery) -> Result<Vec<u8>> {
    let context = format!("{}{}{}", delivery.merchant, delivery.event, delivery.id);
    Ok([delivery.event.0.as_bytes().as_slice(), &pack(delivery, Dictionary::Delivery, &context)?].concat())
}

/// Reads a delivery with its version.
pub(super) fn delivery(merchant: MerchantId, own: DeliveryId, number: u32, bytes: &[u8]) -> Result<Delivery> {
    let (version, bytes) = versioned(bytes)?;
    let (event, bytes) = bytes.split_at_checked(ID_LEN).ok_or_else(|| damaged("a delivery"))?;
    let event = EventId(id(event)?);
    let read: Delivery = unpack(bytes, &format!("{merchant}{event}{own}"))?;
    Ok(Delivery { version, payment: number, ..read })
}

/// First byte of a notification's record that stands alone.
const ALONE: u8 = 0;
/// First byte of one that leans on its event: the event's id follows. The event's body has the notification's body in
/// it, so that only what is around it has to be kept.
const LEANING: u8 = 1;

/// Writes a notification, its body behind the rest; with the event that came of it, if that is written with it.
pub(super) fn pack_notification(notification: &Notification, event: Option<&Event>) -> Result<Vec<u8>> {
    let context = format!("{}{}", notification.merchant, notification.id);
    let without = Notification { body: String::new(), ..notification.clone() };
    let body = &notification.body;
    match event {
        None => {
            let dictionary = Dictionary::Notification(Body::of(&notification.provider));
            let packed = pack_with(&without, body, dictionary, &context)?;
            Ok([&[ALONE], packed.as_slice()].concat())
        }
        Some(event) => {
            let packed = pack_with(&without, body, Dictionary::Leaning, &leaning(&context, event))?;
            Ok([&[LEANING], event.id.0.as_bytes().as_slice(), &packed].concat())
        }
    }
}

/// The event that a notification's record leans on.
pub(super) fn leans_on(bytes: &[u8]) -> Result<Option<EventId>> {
    match bytes.split_first() {
        Some((&LEANING, rest)) => {
            let (event, _) = rest.split_at_checked(ID_LEN).ok_or_else(|| damaged("a notification"))?;
            Ok(Some(EventId(id(event)?)))
        }
        _ => Ok(None),
    }
}

/// Reads a notification; `event` is the record that it leans on, if it does.
pub(super) fn notification(
    merchant: MerchantId,
    own: NotificationId,
    number: u32,
    bytes: &[u8],
    event: &[u8],
) -> Result<Notification> {
    let mut context = format!("{merchant}{own}");
    let mut skip = 1;
    if let Some(id) = leans_on(bytes)? {
        context = leaning(&context, &self::event(merchant, id, number, event)?);
        skip += ID_LEN;
    }
    let packed = bytes.get(skip..).unwrap_or_default();
    let (read, body): (Notification, String) = unpack_with(packed, &context)?;
    Ok(Notification { payment: (number > 0).then_some(number), body, ..read })
}

fn leaning(context: &str, event: &Event) -> String {
    format!("{}{context}{}{}", event.tail, event.id, event.integration)
}

/// Writes an attempt.
pub(super) fn pack_attempt(attempt: &Attempt) -> Result<Vec<u8>> {
    pack(attempt, Dictionary::Attempt, "")
}

/// Reads a delivery's attempts: each has its length before it.
pub(super) fn attempts(mut bytes: &[u8]) -> Result<Vec<Attempt>> {
    let mut read = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (one, rest) = rest.split_at_checked(length).ok_or_else(|| damaged("an attempt"))?;
        read.push(unpack(one, "")?);
        bytes = rest;
    }
    Ok(read)
}

/// Writes a job.
pub(super) fn pack_job(job: &Job) -> Result<Vec<u8>> {
    pack(job, Dictionary::Any, "")
}

/// Reads a job; `number` is the payment that its commit made, if it made one.
pub(super) fn job(number: u32, bytes: &[u8]) -> Result<Job> {
    let mut read: Job = unpack(bytes, "")?;
    if let Task::Poll { payment: payment @ 0 } | Task::Refund { payment: payment @ 0, .. } = &mut read.task {
        *payment = number;
    }
    Ok(read)
}

/// A field of a payment's hash.
pub(super) enum Field {
    /// The payment.
    Payment,
    /// What finds it.
    Links,
    /// An event.
    Event(EventId),
    /// A delivery.
    Delivery(DeliveryId),
    /// A delivery's attempts.
    Attempts,
    /// A notification.
    Notification(NotificationId),
}

/// Reads a field's name.
pub(super) fn field(name: &[u8]) -> Result<Field> {
    let known = |bytes: &[u8]| -> Result<Uuid> { id(bytes) };
    match name.split_first() {
        Some((b'p', [])) => Ok(Field::Payment),
        Some((b'l', [])) => Ok(Field::Links),
        Some((b'e', own)) => Ok(Field::Event(EventId(known(own)?))),
        Some((b'd', own)) => Ok(Field::Delivery(DeliveryId(known(own)?))),
        Some((b'a', own)) => known(own).map(|_| Field::Attempts),
        Some((b'n', own)) => Ok(Field::Notification(NotificationId(known(own)?))),
        _ => Err(damaged("a field's name")),
    }
}

/// A record without context of its own: configuration, replays, the audit log, API tokens.
pub(super) fn pack_plain<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    pack(record, Dictionary::Any, "")
}

/// Reads what [`pack_plain`] wrote.
pub(super) fn plain<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T> {
    unpack(bytes, "")
}
