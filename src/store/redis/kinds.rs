//! The kinds of record: their ids, where their index is, and how they are read, one at a time or all of a payment's.

use std::fmt::Display;
use std::str::FromStr;

use uuid::Uuid;

use super::record::{self, Field};
use crate::domain::delivery::Delivery;
use crate::domain::event::Event;
use crate::domain::ids::{DeliveryId, EventId, MerchantId, NotificationId};
use crate::domain::notification::Notification;
use crate::store::Result;

/// An id of records.
pub(super) trait HasUuid: Display + Copy {
    /// It.
    fn uuid(self) -> Uuid;
    /// The kind of id that it is.
    fn of(uuid: Uuid) -> Self;
}

macro_rules! has_uuid {
    ($($name:ident),+) => {$(
        impl HasUuid for crate::domain::ids::$name {
            fn uuid(self) -> Uuid {
                self.0
            }
            fn of(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }
    )+};
}

has_uuid!(MerchantId, EventId, DeliveryId, NotificationId, TokenId, ReplayId, AuditId);

/// A kind of record that has an index.
pub(super) trait Kind: Sized {
    /// Its id.
    type Id: HasUuid + FromStr + Ord;
    /// Name of its index.
    const INDEX: &'static str;
    /// First letter of its fields.
    const LETTER: &'static str;
    /// Its own id.
    fn own_id(&self) -> Self::Id;
    /// Reads it; `event` is the record that a notification leans on.
    fn read(merchant: MerchantId, id: Self::Id, number: u32, bytes: &[u8], event: &[u8]) -> Result<Self>;
    /// The id of a field, if it is of this kind.
    fn id_of(field: &Field) -> Option<Self::Id>;
}

macro_rules! kind {
    ($record:ident $id:ident $index:literal $letter:literal |$args:pat_param| $read:expr) => {
        impl Kind for $record {
            type Id = $id;
            const INDEX: &'static str = $index;
            const LETTER: &'static str = $letter;
            fn own_id(&self) -> $id {
                self.id
            }
            fn read(
                merchant: MerchantId,
                id: $id,
                number: u32,
                bytes: &[u8],
                event: &[u8],
            ) -> Result<$record> {
                let $args = (merchant, id, number, bytes, event);
                $read
            }
            fn id_of(field: &Field) -> Option<$id> {
                match field {
                    Field::$record(id) => Some(*id),
                    _ => None,
                }
            }
        }
    };
}

kind!(Event EventId "ex" "e" |(merchant, id, number, bytes, _)| record::event(merchant, id, number, bytes));
kind!(Delivery DeliveryId "dx" "d" |(merchant, id, number, bytes, _)| record::delivery(merchant, id, number, bytes));
kind!(Notification NotificationId "nx" "n" |(merchant, id, number, bytes, event)| {
    record::notification(merchant, id, number, bytes, event)
});

/// A row of an index page.
pub(super) struct IndexRow {
    /// The record's id.
    pub id: Uuid,
    /// Its payment's number, or 0.
    pub number: u32,
    /// The record.
    pub bytes: Option<Vec<u8>>,
    /// The event that it leans on.
    pub event: Vec<u8>,
}

impl IndexRow {
    /// Reads the record, if it is there.
    pub(super) fn read<K: Kind>(&self, merchant: MerchantId) -> Result<Option<K>> {
        let read = |bytes: &Vec<u8>| K::read(merchant, K::Id::of(self.id), self.number, bytes, &self.event);
        self.bytes.as_ref().map(read).transpose()
    }
}

/// All fields of a payment.
pub(super) struct Fields(pub Vec<(Vec<u8>, Vec<u8>)>);

impl Fields {
    /// Every record of one kind.
    pub(super) fn all<K: Kind>(&self, merchant: MerchantId, number: u32) -> Result<Vec<K>> {
        let mut all = Vec::new();
        for (name, bytes) in &self.0 {
            let Some(id) = K::id_of(&record::field(name)?) else { continue };
            let event = if K::LETTER == "n" { self.leaned_on(bytes)? } else { &[] };
            all.push(K::read(merchant, id, number, bytes, event)?);
        }
        Ok(all)
    }

    fn leaned_on(&self, bytes: &[u8]) -> Result<&[u8]> {
        let Some(event) = record::leans_on(bytes)? else { return Ok(&[]) };
        let name = [b"e", event.0.as_bytes().as_slice()].concat();
        Ok(self.0.iter().find(|(field, _)| *field == name).map_or(&[], |(_, bytes)| bytes.as_slice()))
    }

    /// Records of the notifications that lean on an event, written anew so that they stand alone.
    pub(super) fn stood_up(
        &self,
        merchant: MerchantId,
        number: u32,
        event: EventId,
    ) -> Result<Vec<(NotificationId, Vec<u8>)>> {
        let mut written = Vec::new();
        for (name, bytes) in &self.0 {
            let Field::Notification(id) = record::field(name)? else { continue };
            if record::leans_on(bytes)? == Some(event) {
                let read = record::notification(merchant, id, number, bytes, self.leaned_on(bytes)?)?;
                written.push((id, record::pack_notification(&read, None)?));
            }
        }
        Ok(written)
    }
}
