//! Hostile, careless and too many senders.

mod deadline;
mod floods;
mod inbound;
mod later;
mod overload;
