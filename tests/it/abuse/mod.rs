//! Hostile, careless and too many senders.

mod deadline;
mod floods;
mod inbound;
mod overload;
