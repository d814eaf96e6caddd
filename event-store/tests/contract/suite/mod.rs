//! The rules. Each is a function of a store, which need not be empty: a rule names its own
//! streams and starts its tails at the head.
//!
//! An adapter runs them with `for_each_rule!(test_each!(make_store))`, where `make_store` is an
//! async function of a store and of what must live as long as it, and the other lists likewise,
//! where they hold for it.

pub(crate) mod appending;
pub(crate) mod atomic;
pub(crate) mod bounds;
pub(crate) mod deleting;
pub(crate) mod given;
pub(crate) mod listing;
pub(crate) mod reading;
pub(crate) mod tailing;
pub(crate) mod timed;

use daybook_event_store::Limits;

/// What the stores under test must be limited to.
pub(crate) const LIMITS: Limits =
    Limits { event_bytes: 4_096, append_bytes: 65_536, append_events: 200 };

/// Calls a macro with the names of the rules for all stores, clusters of EventStoreDB among them.
macro_rules! for_each_rule {
    ($then:ident!($($args:tt)*)) => {
        $crate::suite::$then! { [$($args)*]
            appending::any_expectation_appends_to_a_new_and_to_an_existing_stream
            appending::no_stream_refuses_an_existing_stream
            appending::stream_exists_refuses_a_new_stream
            appending::at_a_revision_holds_only_for_the_last_one
            appending::a_conflict_appends_nothing
            appending::one_of_many_concurrent_writers_wins
            appending::revisions_are_contiguous_under_concurrent_writers
            appending::an_event_is_stored_as_it_was_given
            appending::a_batch_is_all_or_nothing
            appending::a_batch_is_contiguous
            appending::concurrent_repeats_append_once
            appending::an_id_of_another_stream_is_that_of_another_event
            appending::one_id_twice_in_an_append_is_refused
            appending::empty_and_oversized_appends_are_refused
            appending::the_largest_append_is_taken
            reading::an_unknown_stream_reads_as_empty
            reading::a_stream_reads_forward_from_a_revision
            reading::a_stream_reads_backward_from_a_revision_and_from_the_end
            reading::a_long_stream_reads_whole_both_ways
            reading::streams_are_told_apart
            reading::read_all_is_every_stream_in_order
            reading::read_all_ends_at_the_head_of_its_start
            reading::read_all_filters_by_category_and_kind
            reading::a_reader_lets_others_have_their_turn
            listing::an_unknown_index_reads_as_empty
            tailing::a_tail_goes_from_history_to_live
            tailing::a_tail_starts_after_its_position
            tailing::a_tail_neither_loses_nor_repeats_under_concurrent_writers
            tailing::caught_up_follows_every_matching_event
            tailing::caught_up_passes_events_that_do_not_match
            tailing::a_tail_filters_by_category
            tailing::a_tail_filters_by_kind
            tailing::a_tail_filters_by_category_and_kind
            tailing::a_slow_tail_does_not_hold_writers_up
            tailing::every_tail_sees_the_same_order
            bounds::metadata_is_given_back_as_it_was_set
            bounds::metadata_is_set_at_the_expected_revision
            bounds::metadata_is_the_last_event_of_the_metadata_stream
            bounds::malformed_metadata_says_nothing
            bounds::a_stream_may_have_metadata_before_events
            bounds::a_truncation_hides_what_is_before_it
            bounds::a_stream_truncated_whole_goes_on
            bounds::a_count_keeps_the_last_events
            bounds::bounds_hold_over_a_long_stream
            bounds::the_longest_name_has_metadata
            deleting::a_deleted_stream_reads_as_empty
            deleting::a_deletion_is_metadata
            deleting::a_deleted_stream_begins_anew
            deleting::a_stream_is_deleted_and_begun_anew_over_and_over
            deleting::new_metadata_takes_a_deletion_back
            deleting::a_tombstoned_stream_cannot_be_read
        }
    };
}

/// Calls a macro with the names of the rules that a cluster of EventStoreDB does not keep to in all
/// points: those that [`EventStore`](daybook_event_store::EventStore) excepts, and those whose test
/// wants the store to itself, where a cluster writes events of its own. This store's server keeps
/// to them over EventStoreDB's protocol.
macro_rules! for_each_exact_rule {
    ($then:ident!($($args:tt)*)) => {
        $crate::suite::$then! { [$($args)*]
            appending::a_repeated_append_returns_the_first_result
            appending::a_repeated_append_ignores_its_stale_expectation
            appending::partly_reused_ids_are_refused
            appending::reordered_ids_are_refused
            appending::recorded_at_never_decreases
            reading::a_read_stands_still_while_events_come
            reading::all_events_read_backward_from_a_position_and_from_the_end
            reading::the_head_is_the_last_position
            listing::an_index_is_its_events_in_the_order_of_the_store
            listing::an_index_reads_both_ways_from_an_ordinal
            listing::a_long_index_reads_whole_both_ways
            listing::an_index_read_stands_still_while_events_come
            listing::indexes_are_told_apart_from_each_other_and_from_streams
            tailing::a_tail_at_the_head_is_caught_up_at_once
            bounds::repeated_metadata_changes_nothing
            bounds::a_repeat_of_hidden_events_returns_the_first_result
            bounds::the_stores_own_names_are_refused
            deleting::a_deleted_stream_does_not_exist
            deleting::a_stream_is_deleted_as_expected_or_not_at_all
            deleting::what_never_was_cannot_be_deleted
            deleting::deleting_twice_changes_nothing
            deleting::a_repeat_finds_its_events_in_a_deleted_stream
            deleting::a_reader_never_sees_a_mixture
            deleting::a_tombstoned_stream_takes_nothing
            deleting::a_tombstone_is_the_streams_last_event
            deleting::a_stream_is_tombstoned_as_expected_or_not_at_all
            deleting::a_stream_can_be_tombstoned_in_any_state
        }
    };
}

/// Calls a macro with the names of the rules that EventStoreDB's protocol leaves no room for.
macro_rules! for_each_local_rule {
    ($then:ident!($($args:tt)*)) => {
        $crate::suite::$then! { [$($args)*]
            deleting::a_tombstone_has_the_next_revision
        }
    };
}

/// Calls a macro with the names of the rules for atomic appends.
macro_rules! for_each_atomic_rule {
    ($then:ident!($($args:tt)*)) => {
        $crate::suite::$then! { [$($args)*]
            atomic::several_streams_are_appended_at_once
            atomic::one_conflict_appends_nothing_to_any_stream
            atomic::a_repeated_whole_returns_the_first_results
            atomic::a_whole_with_some_writes_repeated_is_refused
            atomic::one_id_in_two_streams_is_that_of_two_events
            atomic::an_id_twice_in_one_of_several_streams_is_refused
            atomic::one_stream_named_twice_is_refused
            atomic::an_append_to_no_stream_is_refused
            atomic::limits_hold_over_all_streams
            atomic::events_of_several_streams_come_in_their_order
            atomic::a_stream_that_is_not_written_to_can_be_checked
            atomic::all_checks_that_do_not_hold_are_told
            atomic::a_repeat_is_one_whatever_is_checked
            atomic::the_checks_of_one_transaction_are_bounded
            bounds::metadata_and_events_take_effect_at_once
            deleting::an_append_over_streams_begins_deleted_ones_anew
            deleting::one_tombstoned_stream_refuses_the_whole
        }
    };
}

/// Calls a macro with the names of the rules about time, each a function of a
/// [`Timed`](timed::Timed) store.
macro_rules! for_each_timed_rule {
    ($then:ident!($($args:tt)*)) => {
        $crate::suite::$then! { [$($args)*]
            bounds::an_age_hides_what_is_older
            bounds::a_long_stream_ages_from_its_start
            bounds::metadata_does_not_age
        }
    };
}

/// A test for each rule.
macro_rules! test_each {
    ([$make:ident] $($area:ident::$rule:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $rule() {
            let (store, _keep) = $make().await;
            $crate::suite::$area::$rule(store).await;
        }
    )* };
}

/// A list of each rule's name and of a function that runs it on a store.
macro_rules! list_each {
    ([$store:ty] $($area:ident::$rule:ident)*) => {
        vec![$((
            stringify!($rule),
            Box::new(|store: $store| -> futures::future::BoxFuture<'static, ()> {
                Box::pin($crate::suite::$area::$rule(store))
            }) as Box<dyn Fn($store) -> futures::future::BoxFuture<'static, ()>>,
        )),*]
    };
}

pub(crate) use {
    for_each_atomic_rule, for_each_exact_rule, for_each_local_rule, for_each_rule,
    for_each_timed_rule, list_each, test_each,
};
