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
        self.matching.matches(match self.of {
            Of::Streams => event.stream.as_str(),
            Of::Types => &event.kind,
        })
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

    fn matches(&self, text: &str) -> Result<bool, Status> {
        match self {
            Self::Prefixes(prefixes) => {
                Ok(prefixes.iter().any(|prefix| text.starts_with(prefix.as_str())))
            }
            Self::Expression(expression) => expression.is_match(text).map_err(|error| {
                Status::resource_exhausted(format!("the filter cannot be applied: {error}"))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tonic::Code;

    use super::*;

    impl EventFilter {
        /// Events of the types that begin like this.
        pub(crate) fn types(prefix: &str) -> Self {
            let matching = Matching::Prefixes(vec![prefix.to_owned()]);
            Self { of: Of::Types, matching, interval: 1 }
        }
    }

    fn expression(regex: &str) -> Result<Matching, Status> {
        Matching::decode(Expression { regex: regex.to_owned(), prefix: Vec::new() })
    }

    #[test]
    fn expressions_of_clients_look_ahead() {
        let default = expression(r"^(?!(\$.+$|PersistentConfig\d+$|Result$))").unwrap();
        for (kind, wanted) in
            [("OrderPlaced", true), ("Results", true), ("$metadata", false), ("Result", false)]
        {
            assert_eq!(default.matches(kind).unwrap(), wanted, "{kind}");
        }
    }

    #[test]
    fn an_expression_that_goes_back_for_ever_is_given_up() {
        let text = "a".repeat(255);
        for catastrophic in [r"^(a|aa)+(?=b)c", r"^(a|aa)+(?!a)b"] {
            let refused = expression(catastrophic).unwrap().matches(&text);
            assert_eq!(
                refused.map_err(|s| s.code()),
                Err(Code::ResourceExhausted),
                "{catastrophic}"
            );
        }
    }

    #[test]
    fn expressions_that_grow_when_they_are_compiled_are_refused() {
        for large in
            ["((a{1000}){1000}){1000}", "\\w{100000}", &"(".repeat(4_000), &"(?=a".repeat(900)]
        {
            assert_eq!(expression(large).unwrap_err().code(), Code::InvalidArgument, "{large:.40}");
        }
    }

    #[test]
    fn what_is_over_a_limit_is_refused() {
        let prefixes = |prefix: Vec<String>| {
            Matching::decode(Expression { regex: String::new(), prefix }).map(|_| ())
        };
        assert!(prefixes(vec!["a".repeat(MOST_PREFIX); MOST_PREFIXES]).is_ok());
        assert!(prefixes(vec!["a".into(); MOST_PREFIXES + 1]).is_err());
        assert!(prefixes(vec!["a".repeat(MOST_PREFIX + 1)]).is_err());
        assert!(expression(&"a".repeat(MOST_EXPRESSION)).is_ok());
        assert!(expression(&"a".repeat(MOST_EXPRESSION + 1)).is_err());
    }

    /// What looks like an expression, and is one now and then.
    fn any_expression() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec![
            "a", "b", ".", "\\w", "\\1", "\\b", "[a-c]", "[^a]", "(", ")", "(?:", "(?=", "(?!",
            "(?<=", "(?<!", "(?>", "*", "+", "?", "{2}", "{1,9}", "{999}", "|", "^", "$", "é",
            "\\",
        ]);
        prop_oneof![
            prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat()),
            any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn any_expression_is_refused_or_answers(regex in any_expression(), text in "[abcé$-]{0,255}") {
            match expression(&regex).and_then(|expression| expression.matches(&text)) {
                Ok(_) => {}
                Err(status) => prop_assert!(
                    matches!(status.code(), Code::InvalidArgument | Code::ResourceExhausted)
                ),
            }
        }
    }
}
