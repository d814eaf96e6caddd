//! What the server of the event store is fed with: calls, expressions of filters, and what happens
//! to a group of consumers.

use daybook_event_store_server::fuzzing;

/// What the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Calls, one after another.
    Requests,
    /// A filter's expression, a zero, and a name.
    Filter,
    /// A group's settings, and what happens to it.
    Machine,
}

impl Wire {
    /// All targets.
    pub const ALL: [Self; 3] = [Self::Requests, Self::Filter, Self::Machine];

    /// Feeds the bytes to their target; what came of them, in short.
    ///
    /// # Panics
    /// A promise was broken.
    pub fn run(self, bytes: &[u8]) -> String {
        match self {
            Self::Requests => format!("{:?}", fuzzing::requests(bytes).last()),
            Self::Filter => format!("{:?}", fuzzing::filter(bytes)),
            Self::Machine => {
                let (parked, broke_down) = fuzzing::machine(bytes);
                format!("parked {parked}, broke down {broke_down}")
            }
        }
    }

    /// What mutations begin with.
    pub fn seeds(self) -> Vec<Vec<u8>> {
        match self {
            Self::Requests => requests(),
            Self::Filter => FILTERS.iter().map(|filter| filter.as_bytes().to_vec()).collect(),
            Self::Machine => (0..64).map(steps).collect(),
        }
    }
}

const FILTERS: [&str; 8] = [
    "^(?!(\\$.+$|PersistentConfig\\d+$|Result$))\0OrderPlaced",
    "^[^\\$].*\0$metadata",
    "^(a|aa)+(?!a)b\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "(?<=a+)b(?>c*)(\\w)\\1\0aaabccdd",
    "(?<x>a\\g<x>?b)\0aabb",
    "\\w{1,20}[^a-z]{2,}\0order-1",
    "(?<!a)(?=b)(?(1)c|d)\\b\0é-b",
    "((((a?){9}){9}){9})(?=a)\0aaaaaaaaaaaaaaaaaa",
];

/// Settings of a group, and things that happen to it in an order that means nothing.
fn steps(seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let steps = (0..600).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    [seed].into_iter().chain(steps).collect()
}

/// A field of a message that has a length.
fn field(number: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let length = u8::try_from(content.len()).unwrap();
    let length = if length < 128 { vec![length] } else { vec![length, 1] };
    [&key(number, 2)[..], &length, content].concat()
}

/// A field that is a small number.
fn number(number: u8, value: u8) -> Vec<u8> {
    [key(number, 0), vec![value]].concat()
}

fn key(number: u8, kind: u8) -> Vec<u8> {
    let (low, high) = (number << 3 | kind, number >> 4);
    if high == 0 { vec![low] } else { vec![low | 128, high] }
}

fn all(fields: &[Vec<u8>]) -> Vec<u8> {
    fields.concat()
}

/// A call of this number with these messages.
fn call(which: u8, messages: &[Vec<u8>]) -> Vec<u8> {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_le_bytes();
    let framed = |message: &Vec<u8>| [&length(message)[..], message].concat();
    let body: Vec<u8> = messages.iter().flat_map(framed).collect();
    [&[which], &length(&body)[..], &body].concat()
}

fn named(stream: &str) -> Vec<u8> {
    field(3, stream)
}

fn uuid(of: u8) -> Vec<u8> {
    field(2, format!("00000000-0000-4000-8000-0000000000{of:02x}"))
}

/// An event's id and metadata as the field numbers of appends have them.
fn proposed(of: u8) -> Vec<u8> {
    let entry = |key, value| field(2, all(&[field(1, key), field(2, value)]));
    let kind = [entry("type", "Tested"), entry("content-type", "application/json")].concat();
    all(&[field(1, uuid(of)), kind, field(3, "about"), field(4, "{}")])
}

fn requests() -> Vec<Vec<u8>> {
    let any = || field(4, "");
    let options = |of| all(&[field(1, named(of)), any()]);
    let append =
        call(0, &[field(1, options("order-1")), field(2, proposed(1)), field(2, proposed(2))]);
    let deadline = field(7, number(1, 5));
    let begun = all(&[field(1, uuid(9)), field(2, [options("order-2"), deadline].concat())]);
    let ended = all(&[field(1, uuid(9)), field(3, proposed(3)), number(4, 1)]);
    let batch = call(1, &[begun, ended]);
    let record = |of| {
        let schema = field(3, all(&[number(1, 1), field(2, "Tested")]));
        let property = field(2, all(&[field(1, "a"), field(2, field(3, "b"))]));
        let id = field(1, format!("00000000-0000-4000-8000-0000000000{of:02x}"));
        field(2, all(&[id, property, schema, field(4, "{}")]))
    };
    let session = |of, id| all(&[field(1, of), record(id), number(3, 3)]);
    let session = call(5, &[session("order-3", 16), session("stock-1", 17)]);
    let of_stream = |from| field(1, all(&[field(1, named("order-1")), from]));
    let filter = all(&[field(2, field(1, "^(?!\\$)")), number(3, 2), number(5, 1)]);
    let of_all = all(&[field(2, field(2, "")), number(5, 9), field(7, filter.clone())]);
    let reads = [
        call(2, &[field(1, all(&[of_stream(field(3, "")), number(5, 9), field(8, "")]))]),
        call(2, &[field(1, all(&[of_stream(number(2, 2)), number(3, 1), number(5, 9)]))]),
        call(2, &[field(1, of_all)]),
        call(2, &[field(1, all(&[of_stream(field(3, "")), field(6, "")]))]),
    ];
    let deleted =
        [call(3, &[field(1, options("order-1"))]), call(4, &[field(1, options("order-1"))])];
    vec![
        all(&[append.clone(), batch, session, reads.concat()]),
        all(&[reads.concat(), deleted.concat()]),
        groups(&append, &filter),
    ]
}

/// A group of a stream and one of all: created, asked of, consumed, changed and deleted.
fn groups(append: &[u8], filter: &[u8]) -> Vec<u8> {
    let settings =
        [(5, 3), (7, 1), (8, 9), (9, 5), (10, 20), (11, 5), (12, 10), (14, 90), (15, 99)];
    let settings: Vec<u8> =
        settings.into_iter().flat_map(|(of, value)| number(of, value)).collect();
    let created = [settings.clone(), field(16, "RoundRobin")].concat();
    let of_stream = || field(4, all(&[field(1, named("order-1")), field(3, "")]));
    let of_all = field(5, all(&[field(2, ""), field(4, filter)]));
    let group = || field(2, "group");
    let about = || field(1, all(&[field(1, named("order-1")), group()]));
    let id = |of: u128| field(2, field(2, uuid::Uuid::from_u128(of).to_string()));
    let consumed = [
        field(1, all(&[field(1, named("order-1")), group(), number(3, 10)])),
        field(2, all(&[id(1), id(2)])),
        field(3, all(&[id(3), number(3, 1), field(4, "no stock")])),
        field(3, all(&[id(4), number(3, 2)])),
    ];
    let info = field(1, all(&[field(1, named("order-1")), field(3, "group")]));
    let replay = field(1, all(&[field(1, "group"), field(2, named("order-1")), field(5, "")]));
    all(&[
        call(6, &[field(1, all(&[of_stream(), group(), field(3, created.clone())]))]),
        call(6, &[field(1, all(&[of_all, group(), field(3, created)]))]),
        call(8, &consumed),
        append.to_vec(),
        call(10, &[info]),
        call(11, &[replay]),
        call(8, &consumed),
        call(7, &[field(1, all(&[of_stream(), group(), field(3, settings)]))]),
        call(12, &[field(1, field(1, ""))]),
        call(13, &[vec![]]),
        call(8, &consumed),
        call(9, &[about()]),
    ])
}
