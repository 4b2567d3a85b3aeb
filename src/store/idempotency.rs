//! Idempotency keys: what became of one, and who holds it.

use uuid::Uuid;

/// A hold of an idempotency key, told from every other hold of it. A process that was frozen for longer than it held the
/// key finds another's hold there, and can neither note nor answer anything under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hold(Uuid);

impl Hold {
    /// A new one.
    #[must_use]
    pub fn fresh() -> Hold {
        Hold(Uuid::new_v4())
    }

    /// As it is written down.
    #[must_use]
    pub fn text(self) -> String {
        self.0.simple().to_string()
    }
}

/// What became of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idempotency {
    /// It is new, and now held for us.
    Fresh(Hold),
    /// The first request with it is still under way.
    Running,
    /// It was used for another request.
    Mismatch,
    /// It is done: the first answer.
    Done {
        /// HTTP status.
        status: u16,
        /// Body.
        body: String,
    },
    /// Its first request left this note and never came to an end: part of it may have been done.
    BrokenOff {
        /// The note.
        note: String,
    },
}
