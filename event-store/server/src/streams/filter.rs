use daybook_event_store::Recorded;
use fancy_regex::{Regex, RegexBuilder};
use tonic::Status;

use crate::protocol::streams::read_req::options::FilterOptions;
use crate::protocol::streams::read_req::options::filter_options::{Expression, Filter, Window};

/// The most bytes of an expression.
const MOST_EXPRESSION: usize = 4 << 10;
/// The most prefixes, and bytes of one.
const MOST_PREFIXES: usize = 1_000;
const MOST_PREFIX: usize = 1 << 10;
/// How often the search for an expression may go back in one text.
const MOST_BACKTRACKING: usize = 10_000;
/// How many events are looked at between two checkpoints, where the client leaves it open.
const WINDOW: u32 = 32;

/// Which events of `$all` a client wants.
#[derive(Debug)]
pub(crate) struct EventFilter {
    of: Of,
    matching: Matching,
    /// How many events are looked at between two checkpoints.
    pub(crate) interval: u64,
}

#[derive(Debug)]
enum Of {
    Streams,
    Types,
}

#[derive(Debug)]
enum Matching {
    Prefixes(Vec<String>),
    Expression(Box<Regex>),
}

impl EventFilter {
    /// The filter of a message. Expressions may look ahead and behind, as those of .NET do.
    ///
    /// # Errors
    /// It cannot be understood, or is over a limit.
    pub(crate) fn decode(options: FilterOptions) -> Result<Self, Status> {
        let (of, expression) = match options.filter {
            Some(Filter::StreamIdentifier(expression)) => (Of::Streams, expression),
            Some(Filter::EventType(expression)) => (Of::Types, expression),
            None => return Err(Status::invalid_argument("a filter must say what it is for")),
        };
        let window = match options.window {
            Some(Window::Max(0)) => {
                return Err(Status::invalid_argument("the window of a filter must not be 0"));
            }
            Some(Window::Max(window)) => window,
            Some(Window::Count(_)) | None => WINDOW,
        };
        let times = options.checkpoint_interval_multiplier.max(1);
        let interval = u64::from(window) * u64::from(times);
        Ok(Self { of, matching: Matching::decode(expression)?, interval })
    }

    /// Whether an event is wanted.
    ///
    /// # Errors
    /// The expression takes too long to tell.
    pub(crate) fn matches(&self, event: &Recorded) -> Result<bool, Status> {
        let text = match self.of {
            Of::Streams => event.stream.as_str(),
            Of::Types => &event.kind,
        };
        match &self.matching {
            Matching::Prefixes(prefixes) => {
                Ok(prefixes.iter().any(|prefix| text.starts_with(prefix.as_str())))
            }
            Matching::Expression(expression) => expression.is_match(text).map_err(|error| {
                Status::resource_exhausted(format!("the filter cannot be applied: {error}"))
            }),
        }
    }
}

impl Matching {
    fn decode(Expression { regex, prefix }: Expression) -> Result<Self, Status> {
        if regex.is_empty() {
            let fits = prefix.len() <= MOST_PREFIXES
                && prefix.iter().all(|prefix| prefix.len() <= MOST_PREFIX);
            let error = "a filter has at most 1,000 prefixes of at most 1,024 bytes";
            return fits.then_some(Self::Prefixes(prefix)).ok_or(Status::invalid_argument(error));
        }
        if regex.len() > MOST_EXPRESSION {
            return Err(Status::invalid_argument("a filter's expression has at most 4,096 bytes"));
        }
        let expression = RegexBuilder::new(&regex).backtrack_limit(MOST_BACKTRACKING).build();
        let expression = expression.map_err(|error| {
            Status::invalid_argument(format!("the filter's expression is invalid: {error}"))
        })?;
        Ok(Self::Expression(Box::new(expression)))
    }
}
