//! What support staff and developers do, through the real binary and real sockets.

mod bulk_replay;
pub mod inbox;
