//! A hall with seats: the smallest aggregate with a rule, so that the tests of the generic path
//! depend on nobody's business. Taking a seat is deliberately not idempotent.

use daybook_domain::Decider;
use daybook_event_schemas::{Contract, DecodeError, Wire};
use thiserror::Error;

pub(crate) struct Hall;

#[derive(Debug, Clone)]
pub(crate) enum HallCommand {
    Open { seats: usize },
    Take { guest: String },
    Break,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HallEvent {
    Opened { seats: usize },
    Taken { guest: String },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HallState {
    pub(crate) seats: usize,
    pub(crate) guests: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum HallRejection {
    #[error("no seat is left")]
    Full,
}

impl Decider for Hall {
    const CATEGORY: &'static str = "hall";
    type Command = HallCommand;
    type Event = HallEvent;
    type State = HallState;
    type Rejection = HallRejection;

    fn decide(state: &HallState, command: HallCommand) -> Result<Vec<HallEvent>, HallRejection> {
        match command {
            HallCommand::Open { seats } if state.seats == seats => Ok(Vec::new()),
            HallCommand::Open { seats } => Ok(vec![HallEvent::Opened { seats }]),
            HallCommand::Take { .. } if state.guests.len() >= state.seats => {
                Err(HallRejection::Full)
            }
            HallCommand::Take { guest } => Ok(vec![HallEvent::Taken { guest }]),
            HallCommand::Break => panic!("as the test wants"),
        }
    }

    fn evolve(mut state: HallState, event: &HallEvent) -> HallState {
        match event {
            HallEvent::Opened { seats } => state.seats = *seats,
            HallEvent::Taken { guest } => state.guests.push(guest.clone()),
        }
        state
    }
}

impl Contract for HallEvent {
    const KINDS: &'static [&'static str] = &["HallOpened", "HallTaken"];

    fn encode(&self) -> Wire {
        let (kind, data) = match self {
            Self::Opened { seats } => (Self::KINDS[0], serde_json::to_vec(seats)),
            Self::Taken { guest } => (Self::KINDS[1], serde_json::to_vec(guest)),
        };
        Wire { kind, version: 1, data: data.unwrap() }
    }

    fn decode(kind: &str, version: u16, data: &[u8]) -> Result<Option<Self>, DecodeError> {
        let malformed = |source| DecodeError::Malformed { kind: kind.into(), version, source };
        match kind {
            "HallOpened" => serde_json::from_slice(data).map(|seats| Some(Self::Opened { seats })),
            "HallTaken" => serde_json::from_slice(data).map(|guest| Some(Self::Taken { guest })),
            _ => return Err(DecodeError::UnknownKind { kind: kind.into() }),
        }
        .map_err(malformed)
    }
}
