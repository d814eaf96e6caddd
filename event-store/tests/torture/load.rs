//! What the writers submit. All of it follows from a seed and an operation's number, so that
//! whoever finds an event knows what it must be, and what must be there with it.

use daybook_event_store::{NewEvent, StreamId};
use fastrand::Rng;
use uuid::Uuid;

/// The streams that all writers share.
const SHARED: u32 = 7;

/// An operation: which step of which writer, in which life of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OpId {
    pub(crate) life: u32,
    pub(crate) writer: u32,
    pub(crate) step: u32,
}

/// What its writer expects of a stream's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belief {
    /// Nothing.
    Any,
    /// That it is where the writer read it to be.
    AsRead,
    /// That the stream is new; it is one of the operation's own.
    New,
}

/// An append: its streams, each with a belief and a number of events.
#[derive(Debug, Clone)]
pub(crate) struct Op {
    pub(crate) shares: Vec<(StreamId, Belief, u32)>,
    /// Whether it is repeated after it was answered.
    pub(crate) repeated: bool,
}

impl OpId {
    /// The id of the operation's n-th event.
    pub(crate) fn event_id(self, n: u32) -> Uuid {
        let Self { life, writer, step } = self;
        let words = [life, writer, step, n].map(u128::from);
        Uuid::from_u128(words.iter().fold(0, |id, word| id << 32 | word))
    }

    /// The operation of an event's id, and the event's number in it.
    pub(crate) fn of(id: Uuid) -> (Self, u32) {
        let id = id.as_u128();
        let word = |n: u32| u32::try_from(id >> (32 * n) & 0xffff_ffff).unwrap();
        (Self { life: word(3), writer: word(2), step: word(1) }, word(0))
    }

    fn random(self, seed: u64, what: u32) -> Rng {
        let (high, low) = self.event_id(what).as_u64_pair();
        let mut rng = Rng::with_seed(seed ^ high.rotate_left(17) ^ low.wrapping_mul(0x9e37_79b9));
        rng.u64(..);
        rng
    }

    /// What the operation does.
    pub(crate) fn op(self, seed: u64) -> Op {
        let mut rng = self.random(seed, u32::MAX);
        let common = |n: u32| {
            let category = ["order", "stock", "payment"][n as usize % 3];
            StreamId::new(category, n).unwrap()
        };
        let shares = match rng.u32(..10) {
            0 => {
                let Self { life, writer, step } = self;
                let new = StreamId::new("new", format_args!("{life}-{writer}-{step}")).unwrap();
                vec![(new, Belief::New, rng.u32(1..4))]
            }
            1..4 => vec![(common(rng.u32(..SHARED)), Belief::AsRead, rng.u32(1..4))],
            4..6 => {
                let first = rng.u32(..SHARED);
                let share = |n| (common((first + n) % SHARED), Belief::Any, rng.u32(1..4));
                (0..3).map(share).collect()
            }
            _ => vec![(common(rng.u32(..SHARED)), Belief::Any, rng.u32(1..3))],
        };
        Op { shares, repeated: rng.u32(..6) == 0 }
    }

    /// The operation's events, stream by stream.
    pub(crate) fn events(self, seed: u64, op: &Op) -> Vec<Vec<NewEvent>> {
        let mut next = 0..;
        let count = op.shares.iter().map(|(.., count)| *count);
        count
            .map(|n| next.by_ref().take(n as usize).map(|n| self.event(seed, n)).collect())
            .collect()
    }

    fn event(self, seed: u64, n: u32) -> NewEvent {
        let mut rng = self.random(seed, n);
        // Now and then more than a page, and more than a small segment.
        let most = match rng.u32(..64) {
            0 => 20_000,
            1..8 => 4_000,
            _ => 300,
        };
        let mut data = vec![0; rng.usize(..most)];
        rng.fill(&mut data);
        NewEvent {
            id: self.event_id(n),
            kind: ["Placed", "Paid", "Shipped"][rng.usize(..3)].into(),
            data: data.into(),
            metadata: format!("{self:?}, event {n}").into(),
            is_json: true,
        }
    }
}
