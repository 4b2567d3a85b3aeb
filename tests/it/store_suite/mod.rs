//! What every store promises, as one suite: `store_suite!(name, factory)` makes a test of each property below.
//!
//! A factory is an `async fn() -> Bench`: a fresh store that takes its time from the bench's clock.

pub mod audit;
pub mod claim;
pub mod commit;
pub mod conflict;
pub mod delivery;
pub mod enter;
pub mod hold;
pub mod list;
pub mod owner;
pub mod round_trip;
pub mod samples;
pub mod setup;
pub mod sweep;

use std::sync::Arc;

use async_trait::async_trait;
use kassir::clock::ManualClock;
use kassir::store::{Conflict, Hold, Idempotency, Store, StoreError};

/// When the benches' clocks start, Unix milliseconds: on an hour.
pub const START: i64 = 1_767_225_600_000;

/// What stands behind a store under test.
#[async_trait]
pub trait Backend: Send {
    /// The same store opened again after it was closed, or by another process where several may have it.
    async fn reopen(&mut self, clock: Arc<ManualClock>) -> Arc<dyn Store>;
}

/// A store under test.
pub struct Bench {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its time.
    pub clock: Arc<ManualClock>,
    backend: Box<dyn Backend>,
}

impl Bench {
    /// A bench around a fresh store whose clock stands at [`START`].
    pub fn new(store: Arc<dyn Store>, clock: Arc<ManualClock>, backend: Box<dyn Backend>) -> Bench {
        Bench { store, clock, backend }
    }

    /// Closes the store and opens it again.
    pub async fn restart(&mut self) {
        self.store.close().await;
        self.store = self.backend.reopen(Arc::clone(&self.clock)).await;
    }
}

/// The conflict that a verb met.
#[track_caller]
pub fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Conflict {
    match result {
        Err(StoreError::Conflict(conflict)) => conflict,
        other => panic!("a conflict was expected, not {other:?}"),
    }
}

/// The hold of an idempotency key that was free.
#[track_caller]
pub fn held(begun: Result<Idempotency, StoreError>) -> Hold {
    match begun {
        Ok(Idempotency::Fresh(hold)) => hold,
        other => panic!("the key should be free, not {other:?}"),
    }
}

/// Makes a test of each property for a store.
macro_rules! store_suite {
    ($name:ident, $factory:path) => {
        store_suite! { @tests $name, $factory,
            setup {
                a_merchant_lives_and_dies
                every_change_moves_the_version
                a_stale_change_is_refused
                tokens_find_their_integration
                a_token_belongs_to_one_integration
                an_expired_token_finds_nothing
                api_tokens
                what_a_deleted_merchant_leaves_goes
                it_describes_itself_and_is_ready
            }
            commit {
                a_new_payment_with_all_that_follows
                a_text_that_looks_like_a_number_stays_as_it_is
                numbers_are_given_in_order_and_never_twice
                numbers_start_where_the_merchant_says
                numbers_end
                payments_are_found_by_link_and_number
                links_are_of_one_integration
                an_update_needs_the_version_it_was_loaded_with
                further_links_find_the_payment
                a_notification_is_changed_by_its_id
                a_stale_configuration_is_refused
                nothing_for_a_merchant_that_is_not_there
                all_or_nothing
                a_job_is_finished_once
                a_job_that_is_called_off_goes
                a_job_that_is_there_stays_as_it_is
                tallies_add_up_by_the_hour
                it_is_all_there_after_a_restart
            }
            enter {
                what_is_found_is_decided_on
                what_the_api_made_is_found_by_its_number
                another_configuration_than_the_one_at_hand_is_a_conflict
                a_crowd_makes_one_payment
                a_refused_step_leaves_nothing_to_those_beside_it
            }
            conflict {
                one_of_many_makes_the_payment
                one_of_many_updates_the_payment
                one_of_many_changes_the_configuration
                no_work_is_claimed_twice
            }
            claim {
                nothing_before_its_time
                the_first_attempt_is_due_at_once
                a_lease_from_the_commit
                a_lease_runs_out
                a_late_settle_is_refused
                an_expired_lease_that_nobody_took_still_counts
                released_work_is_due_at_once
                tokens_grow
                the_longest_due_comes_first
                lanes_take_turns
                a_long_lane_hides_no_other
                no_lane_is_forgotten
                room_bounds_a_lane
                a_claim_is_bounded
                the_next_due_time_is_told
                jobs_come_back_as_they_were
                a_job_is_tried_again
                the_backlog_is_counted
                leases_outlive_a_restart
            }
            hold {
                a_held_lane_gives_nothing
                then_one_entry_and_no_second_before_it_ended
                a_hold_is_set_with_the_result
                lifting_lets_all_through_oldest_first
                new_work_of_a_held_lane_is_not_leased
                work_may_be_queued_although_there_is_a_lease
                a_probe_that_is_given_back_may_be_tried_at_once
                a_probe_that_is_lost_may_be_tried_when_its_lease_ends
                holds_outlive_a_restart
                held_lanes_cost_no_claim_anything
                only_so_many_probes
                an_empty_lane_is_held_too
                only_named_lanes
                what_is_held_is_told
                what_is_held_is_late_only_from_its_end
                a_hold_that_ended_with_nothing_behind_it_is_not_counted
                a_hold_goes_with_its_endpoint_and_its_merchant
                what_is_tried_of_a_held_lane_is_told
            }
            delivery {
                an_attempt_is_kept_and_the_next_is_queued
                a_delivered_one_leaves_the_queue
                only_the_newest_attempts_are_kept
                a_replay_queues_what_was_over
                a_cancel_takes_it_out_of_the_queue
                a_change_in_flight_meets_the_settle
                a_cancel_in_flight_holds_when_the_lease_runs_out
                a_stale_change_is_refused
                a_held_one_is_not_queued
                a_later_delivery_of_an_old_event
                settling_counts
                failures_are_noted_until_a_success
                a_deleted_endpoint_has_no_health
            }
            owner {
                the_work_of_a_silent_owner_is_taken_over
                after_an_outage_nobody_is_silent
                an_owner_that_never_spoke_keeps_its_leases
                a_lease_that_its_owner_does_not_know_of_ends
                a_lane_that_a_silent_owner_probed_may_be_tried_again
                a_lane_with_a_probe_that_its_owner_does_not_know_of_may_be_tried_again
            }
            list {
                pages_go_to_the_end
                the_same_rows_come_oldest_first
                payments_by_every_filter
                events_by_every_filter
                deliveries_by_every_filter
                notifications_by_every_filter
                lists_keep_merchants_apart
                a_replay_and_its_job_are_there_together
                replays
            }
            audit {
                the_log_is_a_chain
                logs_are_apart
                one_of_many_appends
                idempotency_keys
                an_idempotency_key_that_was_left_behind
                an_idempotency_key_that_another_took
            }
            sweep {
                what_waits_stays
                events_go_with_their_deliveries
                notifications_go_by_their_kind
                payments_go_when_bare
                replays_that_are_over_go
                counters_and_keys_go
                a_sweep_is_bounded
                nothing_under_way_goes_in_a_sweep
            }
            round_trip {
                every_field_comes_back
                odd_text_comes_back
                large_fields_come_back
                a_body_keeps_its_bytes
                any_text_comes_back
            }
        }
    };
    (@tests $name:ident, $factory:path, $($topic:ident { $($property:ident)* })*) => {
        mod $name {
            $(mod $topic {
                $(#[tokio::test]
                async fn $property() {
                    $crate::store_suite::$topic::$property($factory().await).await;
                })*
            })*
        }
    };
}
