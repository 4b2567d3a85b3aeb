//! What support staff and developers do, through the real binary and real sockets.

mod audit;
mod bulk_replay;
pub mod inbox;
mod listen;
mod transfer;
