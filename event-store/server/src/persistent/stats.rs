//! What is measured of a group and of each of its consumers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::protocol::persistent::subscription_info::Measurement;

/// How many of the last times are kept.
const TIMES: usize = 1_000;

/// A count of messages, and how it grows.
#[derive(Debug)]
pub(crate) struct Counter {
    total: u64,
    measured: u64,
    at: Instant,
}

impl Counter {
    pub(crate) fn new() -> Self {
        Self { total: 0, measured: 0, at: Instant::now() }
    }

    pub(crate) fn add(&mut self, count: usize) {
        self.total += count as u64;
    }

    /// The total; what came since the last measurement, and how many that was each second.
    pub(crate) fn measure(&mut self) -> (i64, i64, i32) {
        let since = self.total - self.measured;
        let per_second = u128::from(since) * 1_000 / self.at.elapsed().as_millis().max(1);
        (self.measured, self.at) = (self.total, Instant::now());
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        (signed(self.total), signed(since), i32::try_from(per_second).unwrap_or(i32::MAX))
    }
}

/// How long a consumer took for its last messages.
#[derive(Debug, Default)]
pub(crate) struct Times(VecDeque<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        if self.0.len() == TIMES {
            self.0.pop_front();
        }
        self.0.push_back(time);
    }

    /// In milliseconds, by the names that EventStoreDB gives them.
    pub(crate) fn measurements(&self) -> Vec<Measurement> {
        let mut millis: Vec<_> = self.0.iter().map(Duration::as_millis).collect();
        millis.sort_unstable();
        let Some((fastest, highest)) = millis.first().zip(millis.last()) else { return vec![] };
        let mean = millis.iter().sum::<u128>() / millis.len() as u128;
        let at = |permille: usize| millis[(millis.len() - 1) * permille / 1_000];
        let quantiles = [
            ("Median", 500),
            ("Quintile 1", 200),
            ("Quintile 2", 400),
            ("Quintile 3", 600),
            ("Quintile 4", 800),
            ("Quintile 5", 1_000),
            ("90%", 900),
            ("95%", 950),
            ("99%", 990),
            ("99.5%", 995),
            ("99.9%", 999),
        ];
        let ends = [("Mean", mean), ("Fastest", *fastest), ("Highest", *highest)];
        let measured = quantiles.map(|(key, permille)| (key, at(permille)));
        ends.into_iter()
            .chain(measured)
            .map(|(key, millis)| Measurement {
                key: key.to_owned(),
                value: i64::try_from(millis).unwrap_or(i64::MAX),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_quantiles_of_the_last() {
        let mut times = Times::default();
        assert!(times.measurements().is_empty());
        for millis in [5_000; 10].into_iter().chain(1..=1_000) {
            times.add(Duration::from_millis(millis));
        }
        let told = times.measurements();
        let value = |key| told.iter().find(|told| told.key == key).unwrap().value;
        assert_eq!((value("Fastest"), value("Mean"), value("Highest")), (1, 500, 1_000));
        assert_eq!((value("Median"), value("90%"), value("99.9%")), (500, 900, 999));
    }

    #[test]
    fn a_count_grows_between_measurements() {
        let mut counter = Counter::new();
        counter.add(3);
        assert_eq!(counter.measure().1, 3);
        counter.add(2);
        let (total, since, _) = counter.measure();
        assert_eq!((total, since), (5, 2));
    }
}
