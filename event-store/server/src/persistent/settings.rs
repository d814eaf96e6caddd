//! What a group is told to be: settings as clients send them and as they are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::machine::{Dispatch, Rules};

/// The most that a count may be.
const MOST: u32 = 1_000_000;

/// A group's settings, in the form in which they are kept. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    #[serde(rename = "resolveLinkTos")]
    pub(crate) resolve_links: bool,
    pub(crate) extra_statistics: bool,
    /// 0 for ever.
    pub(crate) message_timeout: u32,
    pub(crate) max_retry_count: u32,
    pub(crate) live_buffer_size: u32,
    pub(crate) history_buffer_size: u32,
    pub(crate) read_batch_size: u32,
    pub(crate) check_point_after: u32,
    pub(crate) min_check_point_count: u32,
    /// 0 where there is no limit.
    pub(crate) max_check_point_count: u32,
    /// 0 where there is no limit.
    pub(crate) max_subscriber_count: u32,
    #[serde(rename = "namedConsumerStrategy")]
    pub(crate) strategy: NamedStrategy,
}

/// The strategies by the names that clients give them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NamedStrategy {
    DispatchToSingle,
    RoundRobin,
    Pinned,
    PinnedByCorrelation,
}

impl NamedStrategy {
    const ALL: [Self; 4] =
        [Self::DispatchToSingle, Self::RoundRobin, Self::Pinned, Self::PinnedByCorrelation];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DispatchToSingle => "DispatchToSingle",
            Self::RoundRobin => "RoundRobin",
            Self::Pinned => "Pinned",
            Self::PinnedByCorrelation => "PinnedByCorrelation",
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|strategy| strategy.name() == name);
        found.ok_or_else(|| format!("there is no consumer strategy {name:?}"))
    }
}

/// Settings as messages have them.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) resolve_links: bool,
    pub(crate) extra_statistics: bool,
    pub(crate) message_timeout: Time,
    pub(crate) max_retry_count: i32,
    pub(crate) live_buffer_size: i32,
    pub(crate) history_buffer_size: i32,
    pub(crate) read_batch_size: i32,
    pub(crate) checkpoint_after: Time,
    pub(crate) min_checkpoint_count: i32,
    pub(crate) max_checkpoint_count: i32,
    pub(crate) max_subscriber_count: i32,
    pub(crate) strategy: NamedStrategy,
}

/// A time in one of the protocol's two units.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Time {
    /// Of 100 ns.
    Ticks(i64),
    Millis(i32),
}

impl Time {
    fn millis(self, what: &str) -> Result<u32, String> {
        let millis = match self {
            Self::Ticks(ticks) => ticks / 10_000,
            Self::Millis(millis) => millis.into(),
        };
        let fits = |millis: &u32| i32::try_from(*millis).is_ok();
        let millis = u32::try_from(millis).ok().filter(fits);
        millis.ok_or_else(|| format!("{what} must be 0 to {} ms", i32::MAX))
    }
}

impl Settings {
    /// Settings that make sense.
    ///
    /// # Errors
    /// Says which do not.
    pub(crate) fn decode(given: &Given) -> Result<Self, String> {
        let count = |what: &str, least: u32, given: i32| {
            let count = u32::try_from(given).ok().filter(|n| (least..=MOST).contains(n));
            count.ok_or_else(|| format!("{what} must be {least} to {MOST}, not {given}"))
        };
        let retries = u32::try_from(given.max_retry_count);
        let settings = Self {
            resolve_links: given.resolve_links,
            extra_statistics: given.extra_statistics,
            message_timeout: given.message_timeout.millis("message timeout")?,
            max_retry_count: retries.map_err(|_| "max retry count must not be negative")?,
            live_buffer_size: count("live buffer size", 1, given.live_buffer_size)?,
            history_buffer_size: count("history buffer size", 1, given.history_buffer_size)?,
            read_batch_size: count("read batch size", 1, given.read_batch_size)?,
            check_point_after: given.checkpoint_after.millis("checkpoint after")?,
            min_check_point_count: count("min checkpoint count", 0, given.min_checkpoint_count)?,
            max_check_point_count: count("max checkpoint count", 0, given.max_checkpoint_count)?,
            max_subscriber_count: count("max subscriber count", 0, given.max_subscriber_count)?,
            strategy: given.strategy,
        };
        settings.check()?;
        Ok(settings)
    }

    /// Whether the settings go together.
    ///
    /// # Errors
    /// Says which do not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { live_buffer_size: live, history_buffer_size: history, .. } = *self;
        let (batch, max) = (self.read_batch_size, self.max_check_point_count);
        if batch == 0 || batch > history || batch > live {
            return Err(format!(
                "read batch size ({batch}) must be at least 1, and no more than live buffer size \
                 ({live}) and history buffer size ({history})"
            ));
        }
        if max > 0 && self.min_check_point_count > max {
            let min = self.min_check_point_count;
            return Err(format!("min checkpoint count ({min}) must not be over max ({max})"));
        }
        Ok(())
    }

    /// What the group goes by.
    pub(crate) fn rules(&self) -> Rules {
        let positive = |count: u32| (count > 0).then_some(count);
        Rules {
            strategy: match self.strategy {
                NamedStrategy::DispatchToSingle => Dispatch::Single,
                NamedStrategy::RoundRobin => Dispatch::InTurn,
                NamedStrategy::Pinned | NamedStrategy::PinnedByCorrelation => Dispatch::Pinned,
            },
            timeout: positive(self.message_timeout).map(|ms| Duration::from_millis(ms.into())),
            max_retries: self.max_retry_count,
            live_buffer: self.live_buffer_size as usize,
            history_buffer: self.history_buffer_size as usize,
            read_batch: self.read_batch_size as usize,
            min_checkpoint: self.min_check_point_count.into(),
            max_checkpoint: self.max_check_point_count.into(),
            checkpoint_after: Duration::from_millis(self.check_point_after.into()),
            max_consumers: positive(self.max_subscriber_count).map(|count| count as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn given()(
            flags in any::<(bool, bool)>(),
            times in any::<(i64, i32)>(),
            retries in any::<i32>(),
            buffers in [-2..2_000_i32, -2..2_000, -2..2_000],
            checkpoints in [-2..2_000_i32, -2..2_000],
            consumers in any::<i32>(),
            strategy in prop::sample::select(NamedStrategy::ALL.to_vec()),
        ) -> Given {
            Given {
                resolve_links: flags.0,
                extra_statistics: flags.1,
                message_timeout: Time::Ticks(times.0),
                max_retry_count: retries,
                live_buffer_size: buffers[0],
                history_buffer_size: buffers[1],
                read_batch_size: buffers[2],
                checkpoint_after: Time::Millis(times.1),
                min_checkpoint_count: checkpoints[0],
                max_checkpoint_count: checkpoints[1],
                max_subscriber_count: consumers,
                strategy,
            }
        }
    }

    proptest! {
        #[test]
        fn settings_are_refused_or_such_that_a_group_can_go_by_them(given in given()) {
            match Settings::decode(&given) {
                Ok(settings) => {
                    let rules = settings.rules();
                    prop_assert!(rules.read_batch > 0);
                    prop_assert!(rules.read_batch <= rules.history_buffer.min(rules.live_buffer));
                    prop_assert!(rules.max_consumers != Some(0));
                    let kept = serde_json::to_vec(&settings).unwrap();
                    prop_assert_eq!(serde_json::from_slice::<Settings>(&kept).unwrap(), settings);
                }
                Err(reason) => prop_assert!(!reason.is_empty()),
            }
        }
    }
}
