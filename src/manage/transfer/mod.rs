//! What is set up for a merchant as a document, and back. A document is whole for each record that it names: what a
//! record has beyond it goes. Records that it does not name stay.
//!
//! Secrets are either sealed under the master key (only who has that can use them) or marked as left out; coming
//! back they are texts, or still left out, and then what is there stays.

mod alert;
mod endpoint;
mod export;
mod import;
mod integration;
mod slot;

pub use export::export;
pub use import::{Change, Deed, Made};
pub use slot::{SlotError, each_secret, sealed};
