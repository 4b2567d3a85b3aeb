//! `/merchants/{m}/events/stream`: events oldest first, from a place on; waits for new ones. For those who fetch
//! instead of being called, such as `kassir listen`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::Context;
use super::events::EventView;
use super::problem::Result;
use super::reply::Reply;
use super::schema::{MerchantPath, StreamQuery};
use crate::domain::Event;
use crate::domain::ids::{EventId, MerchantId};
use crate::manage::replays;
use crate::manage::replays::pick::lowest;
use crate::store::list::{PAGE_DEFAULT, PAGE_MAX};
use crate::store::{After, EventFilter, Listed};

/// Longest wait for a new event, seconds: a stop of the router waits for answers under way.
const WAIT_MAX_S: u32 = 5;
/// How often a new event is looked for meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Requests that may wait at once; further ones are answered at once.
const WAITERS_MAX: usize = 64;
/// Bytes of bodies in one answer; the first event always fits.
const BYTES_MAX: usize = 4 * 1024 * 1024;

static WAITERS: AtomicUsize = AtomicUsize::new(0);

/// A place among those who wait.
struct Waiter;

impl Waiter {
    fn enter() -> Option<Waiter> {
        let before = WAITERS.fetch_add(1, Ordering::SeqCst);
        let waiter = Waiter;
        (before < WAITERS_MAX).then_some(waiter)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        WAITERS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Events, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct StreamView {
    /// The events.
    data: Vec<EventView>,
    /// `after` of the next request; null as long as there is no event at all.
    next_after: Option<String>,
    /// Whether there are more right now.
    more: bool,
}

/// Reads events oldest first, from a place on, and waits up to `wait_s` seconds when there are none yet. Order is that
/// of the ids. Events that are made at the same moment may become visible a little out of order: who must not miss any
/// reads the last minute once more and leaves out the ids it knows, as `kassir listen` does.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/events/stream", tag = "events", operation_id = "stream_events",
    params(MerchantPath, StreamQuery), responses((status = 200, body = StreamView)))]
pub async fn stream(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?.config.merchant.id;
    let mut params = context.params()?;
    let after: Option<EventId> = params.parsed("after");
    let since = params.time("since").map(|since| EventId(lowest(since)));
    let filter = EventFilter {
        state: params.word("state", &replays::states()),
        integration: params.parsed("integration_id"),
        ..EventFilter::default()
    };
    let limit = params.count("limit", 1..=PAGE_MAX).unwrap_or(PAGE_DEFAULT);
    let wait_s = params.count("wait_s", 0..=WAIT_MAX_S).unwrap_or(0);
    if after.is_some() && since.is_some() {
        params.wrong::<()>("since", "goes without after".to_owned());
    }
    params.finish()?;
    let start = after.or(since).map(|id| id.to_string());
    let mut page = After { limit, after: start.clone() };
    let waiter = if wait_s > 0 { Waiter::enter() } else { None };
    let mut looks = if waiter.is_some() { u64::from(wait_s) * 1000 / 250 } else { 0 };
    loop {
        let (found, more) = read(&context, merchant, &filter, &page).await?;
        page.after = found.next.or(page.after);
        if !found.rows.is_empty() || looks == 0 {
            let data = found.rows.into_iter().map(EventView::from).collect();
            return Ok(Reply::ok(&StreamView { data, next_after: page.after, more }));
        }
        looks = looks.saturating_sub(1);
        if !more {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// A page, cut to what an answer may hold; `next` is where the next page begins in any case. And whether there is one.
async fn read(
    context: &Context,
    merchant: MerchantId,
    filter: &EventFilter,
    page: &After,
) -> Result<(Listed<Event>, bool)> {
    let mut listed = context.store().events_after(merchant, filter, page).await?;
    let mut size = 0_usize;
    let fits = listed.rows.iter().take_while(|event| {
        let first = size == 0;
        size = size.saturating_add(event.tail.len().max(1));
        first || size <= BYTES_MAX
    });
    let fits = fits.count();
    let cut = fits < listed.rows.len();
    listed.rows.truncate(fits);
    let more = cut || listed.next.is_some();
    let last = listed.rows.last().map(|event| event.id.to_string());
    // A page that ends early without rows still says how far it looked.
    listed.next = if cut { last } else { listed.next.or(last) };
    Ok((listed, more))
}
