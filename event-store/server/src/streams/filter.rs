use std::panic::{AssertUnwindSafe, catch_unwind};

use daybook_event_store::Recorded;
use fancy_regex::{Regex, RegexBuilder};
use tonic::Status;

use crate::budget::{Held, Share};
use crate::protocol::streams::read_req::options::FilterOptions;
use crate::protocol::streams::read_req::options::filter_options::{Expression, Filter, Window};

/// The most bytes of an expression.
const MOST_EXPRESSION: usize = 4 << 10;
/// The most prefixes, and bytes of one.
const MOST_PREFIXES: usize = 1_000;
const MOST_PREFIX: usize = 1 << 10;
/// How often the search for an expression may go back in one text.
const MOST_BACKTRACKING: usize = 10_000;
/// The bytes that an expression may take when it is compiled. The smallest that suffices counts.
const SIZES: [usize; 3] = [16 << 10, 256 << 10, 4 << 20];
/// About what a step of a compiled expression takes.
const STEP: usize = 64;
/// How many events are looked at between two checkpoints, where the client leaves it open.
const WINDOW: u32 = 32;

/// Which events of `$all` a client wants.
#[derive(Debug)]
pub(crate) struct EventFilter {
    of: Of,
    matching: Matching,
    /// How many events are looked at between two checkpoints.
    pub(crate) interval: u64,
    /// The memory that it takes, and what was taken for it.
    bytes: usize,
    held: Option<Held>,
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
        let (matching, bytes) = Matching::decode(expression)?;
        Ok(Self { of, matching, interval, bytes, held: None })
    }

    /// Counts its memory to a call for as long as it is there.
    ///
    /// # Errors
    /// Calls hold too much memory.
    pub(crate) fn hold(&mut self, share: &Share) -> Result<(), Status> {
        self.held.insert(share.nothing()).grow(self.bytes)
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

    /// Whether a name is.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn matches_text(&self, text: &str) -> Result<bool, Status> {
        self.matching.matches(text)
    }
}

impl Matching {
    /// What it is, and the memory that it takes.
    fn decode(Expression { regex, prefix }: Expression) -> Result<(Self, usize), Status> {
        if regex.is_empty() {
            let fits = prefix.len() <= MOST_PREFIXES
                && prefix.iter().all(|prefix| prefix.len() <= MOST_PREFIX);
            let error = "a filter has at most 1,000 prefixes of at most 1,024 bytes";
            let bytes = prefix.iter().map(|prefix| size_of::<String>() + prefix.len()).sum();
            let decoded = fits.then_some((Self::Prefixes(prefix), bytes));
            return decoded.ok_or(Status::invalid_argument(error));
        }
        if regex.len() > MOST_EXPRESSION {
            return Err(Status::invalid_argument("a filter's expression has at most 4,096 bytes"));
        }
        let mut why = None;
        for size in SIZES {
            match guarded(|| compile(&regex, size))? {
                // Once for the expression, once for what searches with it remember.
                Ok(expression) => return Ok((Self::Expression(Box::new(expression)), 2 * size)),
                Err(error) => why = Some(error),
            }
        }
        let why = why.map(|error| error.to_string()).unwrap_or_default();
        Err(Status::invalid_argument(format!("the filter's expression is invalid: {why}")))
    }

    fn matches(&self, text: &str) -> Result<bool, Status> {
        match self {
            Self::Prefixes(prefixes) => {
                Ok(prefixes.iter().any(|prefix| text.starts_with(prefix.as_str())))
            }
            Self::Expression(expression) => {
                let matches = guarded(|| expression.is_match(text))?;
                matches.map_err(|error| {
                    Status::resource_exhausted(format!("the filter cannot be applied: {error}"))
                })
            }
        }
    }
}

/// There are expressions on which their engine panics. A group must not end by its filter.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Status> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| Status::invalid_argument("the filter's expression cannot be dealt with"))
}

/// Compiles an expression to so many bytes at most. Its parts have limits of their own: what looks
/// around, refers back or repeats a group may be one.
fn compile(regex: &str, size: usize) -> Result<Regex, fancy_regex::Error> {
    let parts = 1 + regex.bytes().filter(|byte| matches!(byte, b'(' | b'\\')).count();
    RegexBuilder::new(regex)
        .backtrack_limit(MOST_BACKTRACKING)
        .max_prog_size(size / STEP)
        .delegate_size_limit(size / parts)
        .delegate_dfa_size_limit(size / parts)
        .delegate_dfa_skip_cache_capacity_check(false)
        .build()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tonic::Code;

    use super::*;
    use crate::budget::Budget;

    impl EventFilter {
        /// Events of the types that begin like this.
        pub(crate) fn types(prefix: &str) -> Self {
            let matching = Matching::Prefixes(vec![prefix.to_owned()]);
            Self { of: Of::Types, matching, interval: 1, bytes: prefix.len(), held: None }
        }
    }

    fn expression(regex: &str) -> Result<Matching, Status> {
        decoded(regex).map(|(matching, _)| matching)
    }

    fn decoded(regex: &str) -> Result<(Matching, usize), Status> {
        Matching::decode(Expression { regex: regex.to_owned(), prefix: Vec::new() })
    }

    #[test]
    fn an_expression_counts_for_what_it_takes() {
        let size = |regex| decoded(regex).unwrap().1 / 2;
        for small in [r"^(?!\$)", r"^[^\$].*", r"^order-\d+$", r"(?<=a+)b", "^(order|stock)-"] {
            assert_eq!(size(small), SIZES[0], "{small}");
        }
        for middling in [r"\w+", r"^[A-Z]\w*(Placed|Shipped)$"] {
            assert_eq!(size(middling), SIZES[1], "{middling}");
        }
        assert_eq!(size(r"^\w{32}$"), SIZES[2]);
        let call = Budget::new(0).share();
        let filter = |regex| {
            let (matching, bytes) = decoded(regex).unwrap();
            EventFilter { of: Of::Types, matching, interval: 1, bytes, held: None }
        };
        let (mut first, mut second) = (filter("^a"), filter("^b"));
        first.hold(&call).unwrap();
        second.hold(&call).unwrap();
        assert_eq!(filter("^c").hold(&call).unwrap_err().code(), Code::ResourceExhausted);
    }

    #[test]
    fn an_expression_that_its_engine_cannot_deal_with_is_an_error() {
        let asks_for_no_group = expression(r"(?=b)(?(5)c|d)").unwrap();
        let refused = asks_for_no_group.matches("-b").unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }

    #[test]
    fn expressions_that_contain_themselves_are_refused() {
        for regex in [r"(?<x>a\g<x>?\g<x>?b)", r"(a|\g<1>\g<1>)"] {
            assert_eq!(expression(regex).unwrap_err().code(), Code::InvalidArgument, "{regex}");
        }
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
