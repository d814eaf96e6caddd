use std::io::IsTerminal;
use std::str::FromStr;

use thiserror::Error;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// How log records look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl FromStr for LogFormat {
    type Err = InitError;

    fn from_str(input: &str) -> Result<Self, InitError> {
        match input {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(InitError::Format { input: input.into() }),
        }
    }
}

/// What to log, and how.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Levels by target, such as `info,daybook_gateway=debug`.
    pub filter: String,
    /// How records look.
    pub format: LogFormat,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Text }
    }
}

/// Why nothing will be logged.
#[derive(Debug, Error)]
pub enum InitError {
    /// The filter is not one.
    #[error("{filter:?} is not a log filter; write levels by target, such as \"info,tower=warn\"")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// There is no such format.
    #[error("{input:?} is not a log format; it must be \"text\" or \"json\"")]
    Format {
        /// As given.
        input: String,
    },
    /// Logs were set up before.
    #[error("logs can be set up once per process")]
    Twice(#[source] TryInitError),
}

/// Sends the process's log records to standard error from now on.
///
/// # Errors
/// The filter is malformed, or it was done before.
pub fn init(options: &LogOptions) -> Result<(), InitError> {
    let filter = EnvFilter::try_new(&options.filter)
        .map_err(|source| InitError::Filter { filter: options.filter.clone(), source })?;
    let colours = std::io::stderr().is_terminal();
    let records = fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let records = match options.format {
        LogFormat::Text => records.with_target(false).boxed(),
        LogFormat::Json => records.json().flatten_event(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(records).try_init().map_err(InitError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_set_up_once() {
        let json = LogOptions { format: LogFormat::Json, ..LogOptions::default() };
        init(&json).expect("the first time");
        assert!(matches!(init(&LogOptions::default()), Err(InitError::Twice(_))));
    }

    #[test]
    fn a_malformed_filter_is_named() {
        let options = LogOptions { filter: "info,=loud".into(), ..LogOptions::default() };
        let error = init(&options).expect_err("a malformed filter");
        assert!(error.to_string().starts_with("\"info,=loud\" is not a log filter"), "{error}");
    }

    #[test]
    fn a_format_is_read_from_its_name() {
        assert_eq!("json".parse::<LogFormat>().expect("a format"), LogFormat::Json);
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
