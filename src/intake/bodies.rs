//! Bounds the memory that bodies of requests take up together while they come and are worked on. Small bodies, which
//! nearly all notifications are, always have room; how many there can be, the connections bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits::{INBOUND_BODIES_MAX, INBOUND_BODY_MAX, INBOUND_BODY_UNCOUNTED};

/// Room for bodies, shared by all connections.
#[derive(Debug)]
pub struct Bodies {
    /// Bytes that are left.
    left: AtomicUsize,
}

impl Bodies {
    /// Room for so many bytes.
    #[must_use]
    pub const fn new(most: usize) -> Bodies {
        Bodies { left: AtomicUsize::new(most) }
    }

    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Default for Bodies {
    fn default() -> Bodies {
        Bodies::new(INBOUND_BODIES_MAX)
    }
}

/// Why a part of a body is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// The body is larger than any may be.
    TooLarge,
    /// All bodies together are too large now.
    Later,
}

/// A body as it comes. Its room is given back when this is dropped, which is to be when its request is answered.
pub struct Body {
    bytes: Vec<u8>,
    /// Bytes that it will have at the most.
    most: usize,
    /// Bytes of the room that it takes up.
    held: usize,
    bodies: Arc<Bodies>,
}

impl Body {
    /// An empty one, of which this length was told.
    #[must_use]
    pub fn new(bodies: Arc<Bodies>, told: Option<usize>) -> Body {
        let most = told.unwrap_or(INBOUND_BODY_MAX).min(INBOUND_BODY_MAX);
        Body { bytes: Vec::new(), most, held: 0, bodies }
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn add(&mut self, part: &[u8]) -> Result<(), NoRoom> {
        let length = self.bytes.len().saturating_add(part.len());
        if length > self.most {
            return Err(NoRoom::TooLarge);
        }
        if length > self.bytes.capacity() {
            self.grow(length)?;
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    /// Makes room for so many bytes, and for as many as there are, so that it need not grow for every part. What counts
    /// is the memory that is set aside: a sender who tells a length and sends nothing takes up nothing.
    fn grow(&mut self, length: usize) -> Result<(), NoRoom> {
        let capacity = length.max(self.bytes.capacity().saturating_mul(2)).min(self.most);
        let more = capacity.saturating_sub(INBOUND_BODY_UNCOUNTED).saturating_sub(self.held);
        if !self.bodies.take(more) {
            return Err(NoRoom::Later);
        }
        self.held = self.held.saturating_add(more);
        self.bytes.reserve_exact(capacity.saturating_sub(self.bytes.len()));
        Ok(())
    }

    /// The bytes. Their room stays taken up until this is dropped.
    #[must_use]
    pub fn bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.bodies.give_back(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn left(bodies: &Bodies) -> usize {
        bodies.left.load(Ordering::Relaxed)
    }

    #[test]
    fn a_body_takes_up_what_came_and_gives_it_back() {
        let bodies = Arc::new(Bodies::new(100 * KIB));
        let mut body = Body::new(Arc::clone(&bodies), Some(64 * KIB));
        assert_eq!(left(&bodies), 100 * KIB, "nothing came yet");
        for _ in 0..64 {
            body.add(&[7; KIB]).unwrap();
        }
        assert_eq!(left(&bodies), 44 * KIB);
        assert_eq!(body.add(&[7]), Err(NoRoom::TooLarge));
        let mut other = Body::new(Arc::clone(&bodies), None);
        other.add(&[7; 8 * KIB]).unwrap();
        assert_eq!(left(&bodies), 44 * KIB, "small ones are not counted");
        assert_eq!(other.add(&[7; 64 * KIB]), Err(NoRoom::Later));
        assert_eq!(body.bytes(), [7; 64 * KIB]);
        assert_eq!(left(&bodies), 44 * KIB, "it is still being worked on");
        drop(body);
        other.add(&[7; 64 * KIB]).unwrap();
        drop(other);
        assert_eq!(left(&bodies), 100 * KIB);
    }

    #[test]
    fn no_body_is_larger_than_the_limit() {
        let mut body = Body::new(Arc::default(), None);
        body.add(&[0; INBOUND_BODY_MAX]).unwrap();
        assert_eq!(body.add(&[0]), Err(NoRoom::TooLarge));
    }
}
