//! What Kassir knows and decides, pure: payments, events, deliveries, and the state machine. Times and ids come in
//! as arguments. Imports nothing of ours but the providers' vocabulary.

pub mod alert;
pub mod apply;
pub mod body;
pub mod config;
pub mod delivery;
pub mod event;
pub mod extract;
pub mod fanout;
pub mod health;
pub mod ids;
pub mod job;
pub mod latency;
pub mod notification;
pub mod payment;
pub mod people;
pub mod replay;

pub use alert::{Alert, AlertKind, AlertTo, Trouble};
pub use config::{Endpoint, Integration, Merchant, MerchantConfig, Sealed};
pub use delivery::{Attempt, Delivery, DeliveryStatus};
pub use event::{Event, EventState, Proven};
pub use health::{Health, Stage};
pub use job::{Job, Lane, Task};
pub use notification::{Notification, NotificationOutcome};
pub use payment::Payment;
