//! Reading single records and lists. Lists walk an index page by page; the filter of `list.rs` has the last word.

use std::str::FromStr;

use super::RedisStore;
use super::call::{Call, Reply};
use super::keys::{self, damaged};
use super::kinds::{Fields, HasUuid, IndexRow, Kind};
use super::path::number;
use super::record;
use super::scripts;
use crate::domain::delivery::{Attempt, Delivery};
use crate::domain::event::Event;
use crate::domain::ids::{DeliveryId, EventId, MerchantId, NotificationId};
use crate::domain::notification::Notification;
use crate::domain::payment::Payment;
use crate::store::list::PAGE_MAX;
use crate::store::{
    After, DeliveryFilter, EventFilter, Listed, NotificationFilter, Page, PaymentFilter, Result, StoreError,
};

/// Records read from Redis at once.
const SCAN_PAGE: i64 = 200;
/// Records looked at for one page of a list at the most: a filter that matches little ends a page early.
const SCAN_MAX: usize = 10_000;
/// Hours of counters read at once.
const HOURS_PAGE: usize = 500;
/// Hours of counters in one answer: over five years.
const HOURS_MAX: usize = 50_000;

/// Rows wanted.
pub(super) fn page_size(page: &Page) -> usize {
    usize::try_from(page.limit.clamp(1, PAGE_MAX)).unwrap_or(1)
}

/// A flat reply of names and values; names without a value are left out.
pub(super) fn rows_of(reply: Reply) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut rows = reply.rows()?;
    let mut pairs = Vec::with_capacity(rows.left() / 2);
    while let Some(name) = rows.next() {
        let name = name.bytes()?;
        if let Some(value) = rows.item()?.maybe_bytes()? {
            pairs.push((name, value));
        }
    }
    Ok(pairs)
}

/// Where the deliveries are that a filter wants.
enum Where {
    /// With one payment.
    Payment(u32),
    /// With any.
    Anywhere,
    /// With none.
    Nowhere,
}

/// A page that is read oldest first: what is after a row in that direction is before it in the other.
fn from_the_other_end(page: &After) -> Page {
    Page { limit: page.limit, before: page.after.clone() }
}

/// Where a list stands.
pub(super) struct Scan;

impl Scan {
    /// A page's `before` as 16 bytes, or nothing.
    pub(super) fn before<T: FromStr + HasUuid>(page: &Page) -> Result<Vec<u8>> {
        match &page.before {
            None => Ok(Vec::new()),
            Some(text) => match text.parse::<T>() {
                Ok(id) => Ok(id.uuid().as_bytes().to_vec()),
                Err(_) => Err(StoreError::NotFound("such page")),
            },
        }
    }

    /// Cuts rows to a page; one more than it was wanted says that there are more.
    pub(super) fn cut<T>(mut rows: Vec<T>, page: &Page, name: impl Fn(&T) -> String) -> Listed<T> {
        let size = page_size(page);
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| more).map(name);
        Listed { rows, next }
    }
}

impl RedisStore {
    pub(super) async fn read_payment(&self, merchant: MerchantId, number: u32) -> Result<Option<Payment>> {
        let call = Call::new(&scripts::PAYMENT_GET, keys::of_merchant(merchant))
            .arg(keys::merchant(merchant))
            .num(number);
        let bytes = self.call(call).await?.maybe_bytes()?;
        bytes.map(|bytes| record::payment(merchant, number, &bytes)).transpose()
    }

    /// A record by its id, with another field of the same id.
    async fn get<K: Kind>(
        &self,
        merchant: MerchantId,
        id: K::Id,
        other: &str,
    ) -> Result<Option<(K, Option<Vec<u8>>)>> {
        let call = Call::new(&scripts::RECORD_GET, keys::of_merchant(merchant))
            .arg(keys::merchant(merchant))
            .arg(K::INDEX)
            .arg(K::LETTER)
            .arg(id.uuid().as_bytes())
            .arg(other);
        let reply = self.call(call).await?;
        if reply.is_nil() {
            return Ok(None);
        }
        let mut row = reply.rows()?;
        let number = number(row.item()?)?;
        let (bytes, other) = (row.item()?.bytes()?, row.item()?.maybe_bytes()?);
        let read = K::read(merchant, id, number, &bytes, &row.item()?.bytes()?)?;
        Ok(Some((read, other)))
    }

    pub(super) async fn read_event(&self, merchant: MerchantId, id: EventId) -> Result<Option<Event>> {
        Ok(self.get::<Event>(merchant, id, "").await?.map(|(event, _)| event))
    }

    pub(super) async fn read_delivery(
        &self,
        merchant: MerchantId,
        id: DeliveryId,
    ) -> Result<Option<Delivery>> {
        Ok(self.get::<Delivery>(merchant, id, "").await?.map(|(delivery, _)| delivery))
    }

    pub(super) async fn read_attempts(&self, merchant: MerchantId, id: DeliveryId) -> Result<Vec<Attempt>> {
        let kept = self.get::<Delivery>(merchant, id, "a").await?;
        record::attempts(&kept.and_then(|(_, attempts)| attempts).unwrap_or_default())
    }

    pub(super) async fn read_notification(
        &self,
        merchant: MerchantId,
        id: NotificationId,
    ) -> Result<Option<Notification>> {
        Ok(self.get::<Notification>(merchant, id, "").await?.map(|(notification, _)| notification))
    }

    pub(super) async fn list_payments(
        &self,
        merchant: MerchantId,
        filter: &PaymentFilter,
        page: &Page,
    ) -> Result<Listed<Payment>> {
        let mut below: u32 = match &page.before {
            None => 0,
            Some(text) => text.parse().map_err(|_| StoreError::NotFound("such page"))?,
        };
        let (mut rows, mut seen) = (Vec::new(), 0_usize);
        loop {
            let call = Call::new(&scripts::PAYMENT_LIST, keys::of_merchant(merchant))
                .by_pool()
                .arg(keys::merchant(merchant))
                .num(below)
                .num(SCAN_PAGE);
            let mut reply = self.call(call).await?.rows()?;
            below = number(reply.item()?)?;
            while let Some(found) = reply.next() {
                let found = number(found)?;
                let payment = record::payment(merchant, found, &reply.item()?.bytes()?)?;
                seen += 1;
                if filter.matches(&payment) {
                    rows.push(payment);
                }
            }
            if below == 0 || rows.len() > page_size(page) {
                return Ok(Scan::cut(rows, page, |payment| payment.number.to_string()));
            }
            seen += 1;
            if seen >= SCAN_MAX {
                return Ok(Listed { rows, next: Some(below.to_string()) });
            }
        }
    }

    /// A page of an index.
    pub(super) async fn index_page<K: Kind>(
        &self,
        merchant: MerchantId,
        direction: &str,
        from: &[u8],
    ) -> Result<Vec<IndexRow>> {
        let call = Call::new(&scripts::RECORD_LIST, keys::of_merchant(merchant))
            .by_pool()
            .arg(keys::merchant(merchant))
            .arg(K::INDEX)
            .arg(K::LETTER)
            .arg(direction)
            .arg(from)
            .num(SCAN_PAGE);
        let mut page = Vec::new();
        for row in self.call(call).await?.rows()? {
            let mut row = row.rows()?;
            page.push(IndexRow {
                id: keys::id(&row.item()?.bytes()?)?,
                number: number(row.item()?)?,
                bytes: row.item()?.maybe_bytes()?,
                event: row.item()?.bytes()?,
            });
        }
        Ok(page)
    }

    async fn list<K: Kind>(
        &self,
        merchant: MerchantId,
        page: &Page,
        matches: impl Fn(&K) -> bool,
    ) -> Result<Listed<K>> {
        self.walk(merchant, "new", page, matches).await
    }

    /// The same, oldest first.
    async fn list_after<K: Kind>(
        &self,
        merchant: MerchantId,
        page: &After,
        matches: impl Fn(&K) -> bool,
    ) -> Result<Listed<K>> {
        self.walk(merchant, "old", &from_the_other_end(page), matches).await
    }

    async fn walk<K: Kind>(
        &self,
        merchant: MerchantId,
        direction: &str,
        page: &Page,
        matches: impl Fn(&K) -> bool,
    ) -> Result<Listed<K>> {
        let mut from = Scan::before::<K::Id>(page)?;
        let (mut rows, mut seen) = (Vec::new(), 0_usize);
        loop {
            let found = self.index_page::<K>(merchant, direction, &from).await?;
            seen += found.len();
            let last = found.last().map(|row| row.id);
            for row in found {
                rows.extend(row.read::<K>(merchant)?.filter(|read| matches(read)));
            }
            let Some(last) = last else {
                return Ok(Scan::cut(rows, page, |row| row.own_id().to_string()));
            };
            if rows.len() > page_size(page) {
                return Ok(Scan::cut(rows, page, |row| row.own_id().to_string()));
            }
            if seen >= SCAN_MAX {
                return Ok(Listed { rows, next: Some(K::Id::of(last).to_string()) });
            }
            from = last.as_bytes().to_vec();
        }
    }

    /// Everything of one kind that one payment has, newest first, cut to the page.
    async fn list_of_payment<K: Kind>(
        &self,
        merchant: MerchantId,
        payment: u32,
        page: &Page,
        matches: impl Fn(&K) -> bool,
    ) -> Result<Listed<K>> {
        let before = match &page.before {
            None => None,
            Some(text) => Some(text.parse::<K::Id>().map_err(|_| StoreError::NotFound("such page"))?),
        };
        let mut rows = self.those_of(merchant, payment).await?;
        rows.retain(|row: &K| before.is_none_or(|before| row.own_id() < before) && matches(row));
        rows.sort_by_key(|row| std::cmp::Reverse(row.own_id()));
        Ok(Scan::cut(rows, page, |row| row.own_id().to_string()))
    }

    /// The same, oldest first.
    async fn list_of_payment_after<K: Kind>(
        &self,
        merchant: MerchantId,
        payment: u32,
        page: &After,
        matches: impl Fn(&K) -> bool,
    ) -> Result<Listed<K>> {
        let after = match &page.after {
            None => None,
            Some(text) => Some(text.parse::<K::Id>().map_err(|_| StoreError::NotFound("such page"))?),
        };
        let mut rows = self.those_of(merchant, payment).await?;
        rows.retain(|row: &K| after.is_none_or(|after| row.own_id() > after) && matches(row));
        rows.sort_by_key(Kind::own_id);
        Ok(Scan::cut(rows, &from_the_other_end(page), |row| row.own_id().to_string()))
    }

    /// All records of a kind of a payment. Under number 0 stand the notifications of no payment, which may be very many.
    async fn those_of<K: Kind>(&self, merchant: MerchantId, payment: u32) -> Result<Vec<K>> {
        if payment == 0 {
            return Ok(Vec::new());
        }
        self.everything_of(merchant, payment).await?.all(merchant, payment)
    }

    /// All fields of a payment.
    pub(super) async fn everything_of(&self, merchant: MerchantId, payment: u32) -> Result<Fields> {
        let call = Call::new(&scripts::PAYMENT_ALL, keys::of_merchant(merchant))
            .by_pool()
            .arg(keys::merchant(merchant))
            .num(payment);
        rows_of(self.call(call).await?).map(Fields)
    }

    pub(super) async fn list_events(
        &self,
        merchant: MerchantId,
        filter: &EventFilter,
        page: &Page,
    ) -> Result<Listed<Event>> {
        match filter.payment {
            Some(payment) => {
                self.list_of_payment(merchant, payment, page, |event| filter.matches(event)).await
            }
            None => self.list(merchant, page, |event| filter.matches(event)).await,
        }
    }

    pub(super) async fn list_events_after(
        &self,
        merchant: MerchantId,
        filter: &EventFilter,
        page: &After,
    ) -> Result<Listed<Event>> {
        match filter.payment {
            Some(payment) => {
                self.list_of_payment_after(merchant, payment, page, |event| filter.matches(event)).await
            }
            None => self.list_after(merchant, page, |event| filter.matches(event)).await,
        }
    }

    pub(super) async fn list_deliveries(
        &self,
        merchant: MerchantId,
        filter: &DeliveryFilter,
        page: &Page,
    ) -> Result<Listed<Delivery>> {
        let matches = |delivery: &Delivery| filter.matches(delivery);
        match self.payment_of(merchant, filter).await? {
            Where::Payment(payment) => self.list_of_payment(merchant, payment, page, matches).await,
            Where::Anywhere => self.list(merchant, page, matches).await,
            Where::Nowhere => Ok(Listed { rows: Vec::new(), next: None }),
        }
    }

    pub(super) async fn list_deliveries_after(
        &self,
        merchant: MerchantId,
        filter: &DeliveryFilter,
        page: &After,
    ) -> Result<Listed<Delivery>> {
        let matches = |delivery: &Delivery| filter.matches(delivery);
        match self.payment_of(merchant, filter).await? {
            Where::Payment(payment) => self.list_of_payment_after(merchant, payment, page, matches).await,
            Where::Anywhere => self.list_after(merchant, page, matches).await,
            Where::Nowhere => Ok(Listed { rows: Vec::new(), next: None }),
        }
    }

    /// The one payment whose deliveries a filter wants, if it names one.
    async fn payment_of(&self, merchant: MerchantId, filter: &DeliveryFilter) -> Result<Where> {
        match (filter.payment, filter.event) {
            (Some(payment), _) => Ok(Where::Payment(payment)),
            (None, Some(event)) => {
                let event = self.read_event(merchant, event).await?;
                Ok(event.map_or(Where::Nowhere, |event| Where::Payment(event.payment)))
            }
            (None, None) => Ok(Where::Anywhere),
        }
    }

    pub(super) async fn list_notifications(
        &self,
        merchant: MerchantId,
        filter: &NotificationFilter,
        page: &Page,
    ) -> Result<Listed<Notification>> {
        match filter.payment {
            Some(payment) if payment > 0 => {
                self.list_of_payment(merchant, payment, page, |notification| filter.matches(notification))
                    .await
            }
            _ => self.list(merchant, page, |notification| filter.matches(notification)).await,
        }
    }

    pub(super) async fn read_tallies(
        &self,
        merchant: MerchantId,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, String, i64)>> {
        let (mut from, mut counters, mut hours) = (from, Vec::new(), 0);
        while hours < HOURS_MAX {
            let mut call = Call::new(&scripts::TALLY_READ, keys::of_merchant(merchant))
                .by_pool()
                .arg(keys::merchant(merchant))
                .num(from)
                .num(to);
            call.push_count(HOURS_PAGE);
            let rows = self.call(call).await?.rows()?;
            let got = rows.left();
            for row in rows {
                let mut row = row.rows()?;
                let hour = row.item()?.int()?;
                for (name, value) in rows_of(row.item()?)? {
                    let by = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                    let name = String::from_utf8(name).map_err(|_| damaged("a counter"))?;
                    counters.push((hour, name, by.ok_or_else(|| damaged("a counter"))?));
                }
                from = hour + 1;
            }
            hours += got;
            if got < HOURS_PAGE {
                break;
            }
        }
        counters.sort();
        Ok(counters)
    }
}
