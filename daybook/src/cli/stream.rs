//! What can be typed about one stream of the event store.

use std::num::NonZeroU64;
use std::str::FromStr;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{AnyStoreArg, OutputArg};

/// The stream that a command is about, and where it is.
#[derive(Debug, Args)]
pub(crate) struct StreamArgs {
    /// The stream's name
    pub(crate) stream: String,
    #[command(flatten)]
    pub(crate) store: AnyStoreArg,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Stream {
    /// Tell what a stream holds and what is said of it as a whole
    ///
    /// Its first and last event that readers see, its bounds, its other metadata, and whether it was
    /// deleted or has ended. A folder may be in use by a server meanwhile.
    #[command(after_help = "\
Examples:
  daybook store stream show order-0198c1f6-5a3e-7c55-9d9e-0d6f2b1c7e11
  daybook store stream show stock-WIDGET --store 'kurrentdb://127.0.0.1:2113?tls=false' -o json")]
    Show(StreamArgs),
    /// Say which events of a stream readers see, and anything else about it
    ///
    /// What is not named stays as it is. What a bound excludes is not read any more from now on; until
    /// the next scavenge drops it for good, it comes back when the bound is taken back.
    #[command(after_help = "\
Examples:
  daybook store stream set telemetry-7 --max-age 30d --max-count 10000
  daybook store stream set telemetry-7 --truncate-before 500
  daybook store stream set telemetry-7 --max-age none
  daybook store stream set telemetry-7 --custom 'owner=\"warehouse\"' --remove reviewed")]
    Set {
        #[command(flatten)]
        of: StreamArgs,
        #[command(flatten)]
        change: Change,
    },
    /// Delete a stream, so that it reads as empty and may be begun anew
    ///
    /// Its revisions go on where they were when it is begun anew. Until the next scavenge drops its
    /// events for good, `set --truncate-before none` brings them back.
    #[command(after_help = "\
Examples:
  daybook store stream delete telemetry-7
  daybook store stream delete telemetry-7 --store 'kurrentdb://127.0.0.1:2113?tls=false'")]
    Delete(StreamArgs),
    /// End a stream for good: nobody reads it or appends to it ever again
    ///
    /// This cannot be undone, and the name cannot be used again. The next scavenge drops its events.
    #[command(after_help = "\
Examples:
  daybook store stream tombstone telemetry-7 --yes
  daybook store stream tombstone telemetry-7 --yes --store 'kurrentdb://127.0.0.1:2113?tls=false'")]
    Tombstone {
        #[command(flatten)]
        of: StreamArgs,
        /// Do it, although it cannot be undone
        #[arg(long)]
        yes: bool,
    },
}

/// What is to be said of a stream.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Change {
    /// Show only events recorded within this time, such as 90s, 30m, 12h or 7d; or `none`
    #[arg(long, value_name = "TIME")]
    pub(crate) max_age: Option<Bound<Age>>,
    /// Show only so many of the last events; or `none`
    #[arg(long, value_name = "N")]
    pub(crate) max_count: Option<Bound<NonZeroU64>>,
    /// Show only events from this revision on; or `none`
    #[arg(long, value_name = "REVISION")]
    pub(crate) truncate_before: Option<Bound<u64>>,
    /// Any other key with its value in JSON; may be repeated
    #[arg(long, value_name = "KEY=JSON", value_parser = custom)]
    pub(crate) custom: Vec<(String, Value)>,
    /// Forget another key; may be repeated
    #[arg(long, value_name = "KEY")]
    pub(crate) remove: Vec<String>,
}

/// A bound, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound<T>(pub(crate) Option<T>);

impl<T: FromStr> FromStr for Bound<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        Ok(Self(if text == "none" { None } else { Some(text.parse()?) }))
    }
}

/// An age in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) NonZeroU64);

impl FromStr for Age {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "must be a number of s, m, h or d from 1 on, such as 7d; or none";
        let (number, unit) = match text.char_indices().last() {
            Some((at, 's')) => (&text[..at], 1),
            Some((at, 'm')) => (&text[..at], 60),
            Some((at, 'h')) => (&text[..at], 3_600),
            Some((at, 'd')) => (&text[..at], 86_400),
            _ => return Err(EXPECTED),
        };
        let seconds = number.parse().ok().and_then(|number: u64| number.checked_mul(unit));
        seconds.and_then(NonZeroU64::new).map(Self).ok_or(EXPECTED)
    }
}

/// A key and its value.
fn custom(text: &str) -> Result<(String, Value), String> {
    let (key, json) = text.split_once('=').ok_or("must be KEY=JSON")?;
    let value = serde_json::from_str(json).map_err(|error| {
        format!("the value is not JSON ({error}); text needs quotes: '{key}=\"…\"'")
    })?;
    if ["$maxAge", "$maxCount", "$tb"].contains(&key) {
        return Err(format!("{key} has an option of its own"));
    }
    Ok((key.into(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(text: &str) -> Result<Option<u64>, &'static str> {
        text.parse::<Bound<Age>>().map(|bound| bound.0.map(|age| age.0.get()))
    }

    #[test]
    fn ages_have_a_unit() {
        let seconds = [("90s", 90), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800)];
        for (text, expected) in seconds {
            assert_eq!(age(text), Ok(Some(expected)), "{text}");
        }
        assert_eq!(age("none"), Ok(None));
        for wrong in ["", "7", "d", "0d", "-1d", "1.5h", "7 d", "9999999999999999999d", "7w", "é"]
        {
            assert!(age(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn other_keys_are_json_and_no_bounds() {
        assert_eq!(custom("a=[1, null]"), Ok(("a".into(), serde_json::json!([1, null]))));
        assert_eq!(custom("a=\"b=c\""), Ok(("a".into(), "b=c".into())));
        for (wrong, word) in [("a", "KEY=JSON"), ("a=b", "quotes"), ("$tb=3", "option of its own")]
        {
            assert!(custom(wrong).unwrap_err().contains(word), "{wrong}");
        }
    }
}
