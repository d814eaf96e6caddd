//! What is told of a group.

use super::actor::Actor;
use super::settings::Settings;
use crate::protocol::persistent::SubscriptionInfo;
use crate::protocol::persistent::subscription_info::ConnectionInfo;

impl Actor {
    /// Everything that is known here; where the source ends is not.
    pub(super) fn info(&mut self) -> SubscriptionInfo {
        let (total_items, count_since_last_measurement, average_per_second) = self.count.measure();
        let (fresh, again) = self.machine.waiting();
        let (in_flight, outstanding) = self.machine.outstanding();
        let parked = self.parked.end.saturating_sub(self.replayed.max(self.parked.start));
        let (read, live) = if self.machine.is_live() { (0, fresh) } else { (fresh, 0) };
        let at = |place| self.source.text(place);
        SubscriptionInfo {
            status: self.status().to_owned(),
            average_per_second,
            total_items,
            count_since_last_measurement,
            last_checkpointed_event_position: self.checkpoint.map(at).unwrap_or_default(),
            read_buffer_count: signed(read),
            live_buffer_count: i64::from(signed(live)),
            retry_buffer_count: signed(again),
            total_in_flight_messages: signed(in_flight),
            outstanding_messages_count: signed(outstanding),
            parked_message_count: i64::try_from(parked).unwrap_or(i64::MAX),
            connections: self.connections(),
            start_from: self.entry.start_position.clone(),
            event_source: self.name.stream.clone(),
            group_name: self.name.group.clone(),
            ..settings(&self.entry.settings)
        }
    }

    fn status(&self) -> &'static str {
        match (self.replayed < self.replay_until, self.machine.is_live()) {
            (true, _) => "ReplayingParkedMessages",
            (false, true) => "Live",
            (false, false) => "Behind",
        }
    }

    fn connections(&mut self) -> Vec<ConnectionInfo> {
        let tells_times = self.entry.settings.extra_statistics;
        let consumers = &mut self.consumers;
        let infos = self.machine.loads().filter_map(|(id, limit, in_flight)| {
            Some(consumers.get_mut(&id)?.info(limit, in_flight, tells_times))
        });
        infos.collect()
    }
}

fn settings(settings: &Settings) -> SubscriptionInfo {
    let signed = |setting: u32| i32::try_from(setting).unwrap_or(i32::MAX);
    SubscriptionInfo {
        resolve_link_tos: settings.resolve_links,
        message_timeout_milliseconds: signed(settings.message_timeout),
        extra_statistics: settings.extra_statistics,
        max_retry_count: signed(settings.max_retry_count),
        live_buffer_size: signed(settings.live_buffer_size),
        buffer_size: signed(settings.history_buffer_size),
        read_batch_size: signed(settings.read_batch_size),
        check_point_after_milliseconds: signed(settings.check_point_after),
        min_check_point_count: signed(settings.min_check_point_count),
        max_check_point_count: signed(settings.max_check_point_count),
        named_consumer_strategy: settings.strategy.name().to_owned(),
        max_subscriber_count: signed(settings.max_subscriber_count),
        ..SubscriptionInfo::default()
    }
}

fn signed(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
