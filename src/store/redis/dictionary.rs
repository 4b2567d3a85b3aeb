//! Dictionaries: what records of a kind usually say, so that a record only has to say the rest.
//!
//! To take a dictionary in costs time for each of its bytes, so a short one is better: events and notifications have
//! one for each provider, since their bodies are its words.

use std::sync::LazyLock;

/// First byte of a record that is JSON as it is.
pub(super) const PLAIN: u8 = 0;
/// Deflate looks back no farther than 32 KiB less a little.
const CONTEXT_MAX: usize = 32 * 1024 - 512;
/// First bytes of records with a provider's body begin here: of events, of notifications.
const EVENTS: u8 = 0x20;
const NOTIFICATIONS: u8 = 0x60;

/// What a kind of record usually says, what is said most often last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dictionary {
    /// What has none of its own.
    Any,
    /// Events, in earlier versions: only read.
    AnyEvent,
    /// Payments.
    Payment,
    /// Notifications that stand alone, in earlier versions: only read.
    AnyNotification,
    /// Notifications whose body is known from their event.
    Leaning,
    /// Deliveries.
    Delivery,
    /// Attempts.
    Attempt,
    /// Events.
    Event(Body),
    /// Notifications that stand alone.
    Notification(Body),
}

/// Whose bodies: a place in [`BODIES`], or [`Body::OTHERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Body(u8);

/// What bodies of a provider say: for each a line with the names that bodies and records have for it, and the text. They
/// never change places: those are in the first bytes of records.
static BODIES: LazyLock<Vec<(Vec<&str>, &str)>> = LazyLock::new(|| {
    let blocks = include_str!("dictionaries/bodies.txt").split("== ").skip(1);
    let named = blocks.filter_map(|block| block.split_once('\n'));
    named.map(|(names, text)| (names.split(' ').collect(), text)).collect()
});

impl Body {
    const OTHERS: Body = Body(NOTIFICATIONS - EVENTS - 1);

    /// By the provider's name.
    pub(super) fn of(provider: &str) -> Body {
        let place = BODIES.iter().position(|(names, _)| names.contains(&provider));
        place.and_then(|place| u8::try_from(place).ok()).map_or(Body::OTHERS, Body)
    }

    /// By the body of an event without its beginning.
    pub(super) fn of_event(tail: &str) -> Body {
        let named = tail.strip_prefix(",\"provider\":\"").and_then(|rest| rest.split_once('"'));
        named.map_or(Body::OTHERS, |(provider, _)| Body::of(provider))
    }

    fn of_code(code: u8, from: u8) -> Option<Body> {
        let body = Body(code.checked_sub(from)?);
        (body == Body::OTHERS || usize::from(body.0) < BODIES.len()).then_some(body)
    }

    fn text(self) -> &'static str {
        BODIES.get(usize::from(self.0)).map_or("", |(_, text)| text)
    }
}

impl Dictionary {
    /// The one with this code.
    pub(super) fn of_code(code: u8) -> Option<Dictionary> {
        Some(match code {
            1 => Dictionary::Any,
            2 => Dictionary::AnyEvent,
            3 => Dictionary::Payment,
            4 => Dictionary::AnyNotification,
            5 => Dictionary::Leaning,
            6 => Dictionary::Delivery,
            7 => Dictionary::Attempt,
            _ => {
                let event = Body::of_code(code, EVENTS).map(Dictionary::Event);
                return event.or_else(|| Body::of_code(code, NOTIFICATIONS).map(Dictionary::Notification));
            }
        })
    }

    /// First byte of a record that is deflated with it.
    pub(super) const fn code(self) -> u8 {
        match self {
            Dictionary::Any => 1,
            Dictionary::AnyEvent => 2,
            Dictionary::Payment => 3,
            Dictionary::AnyNotification => 4,
            Dictionary::Leaning => 5,
            Dictionary::Delivery => 6,
            Dictionary::Attempt => 7,
            Dictionary::Event(body) => EVENTS + body.0,
            Dictionary::Notification(body) => NOTIFICATIONS + body.0,
        }
    }

    /// Of a provider's bodies, and of the kind.
    fn texts(self) -> [&'static str; 2] {
        const NOTIFICATION: &str = include_str!("dictionaries/notification.txt");
        const BODIES_BEFORE: &str = include_str!("dictionaries/event.txt");
        match self {
            Dictionary::Any => ["", include_str!("dictionaries/plain.txt")],
            Dictionary::AnyEvent => [BODIES_BEFORE, ""],
            Dictionary::Payment => ["", include_str!("dictionaries/payment.txt")],
            Dictionary::AnyNotification => [BODIES_BEFORE, NOTIFICATION],
            Dictionary::Leaning => ["", NOTIFICATION],
            Dictionary::Delivery => ["", include_str!("dictionaries/delivery.txt")],
            Dictionary::Attempt => ["", include_str!("dictionaries/attempt.txt")],
            Dictionary::Event(body) => [body.text(), include_str!("dictionaries/event-common.txt")],
            Dictionary::Notification(body) => [body.text(), NOTIFICATION],
        }
    }

    /// With the end of a context behind it.
    pub(super) fn with(self, context: &str) -> Vec<u8> {
        let ([bodies, kind], context) = (self.texts(), context.as_bytes());
        let room = CONTEXT_MAX.saturating_sub(bodies.len() + kind.len());
        let tail = context.len().saturating_sub(room);
        [bodies.as_bytes(), kind.as_bytes(), context.get(tail..).unwrap_or_default()].concat()
    }

    /// Every one.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Dictionary> {
        (0..=u8::MAX).filter_map(Dictionary::of_code).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_leaves_room_for_a_context_and_has_a_code_of_its_own() {
        assert_eq!(Dictionary::of_code(PLAIN), None);
        assert_eq!(Dictionary::all().len(), 7 + 2 * (BODIES.len() + 1));
        for code in 0..=u8::MAX {
            let Some(dictionary) = Dictionary::of_code(code) else { continue };
            assert_eq!(dictionary.code(), code);
            assert!(dictionary.with("").len() < CONTEXT_MAX / 2, "{dictionary:?}");
        }
    }

    /// One that changed could not read what it wrote before: a better one gets a code of its own.
    #[test]
    fn dictionaries_never_change() {
        let all = Dictionary::all().into_iter().flat_map(|one| [vec![one.code()], one.with("")].concat());
        let digest = kassir_providers::digest::Hash::Sha256.digest(&all.collect::<Vec<u8>>());
        let begins = u64::from_be_bytes(*digest.first_chunk().unwrap());
        assert_eq!(begins, 0xf7cd_a061_f63f_cc05, "{begins:#x}");
    }

    #[test]
    fn bodies_are_known_by_their_provider() {
        for provider in kassir_providers::ALL {
            let about = provider.about();
            let is_known = about.slug != "generic";
            let body = Body::of(about.slug);
            assert_eq!(
                (body != Body::OTHERS, !body.text().is_empty()),
                (is_known, is_known),
                "{}",
                about.slug
            );
            let tail = format!(",\"provider\":\"{}\",\"provider_id\":\"\"", about.event_provider);
            assert_eq!(Body::of_event(&tail), body);
        }
        for other in ["", "{}", ",\"provider\":\"", ",\"provider\":\"shop\"}"] {
            assert_eq!(Body::of_event(other), Body::OTHERS);
        }
    }
}
