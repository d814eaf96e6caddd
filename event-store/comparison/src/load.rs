//! What is appended: events like a shop's, 1 KiB of JSON each.

use bytes::Bytes;
use daybook_event_store::{Expected, NewEvent, StreamId};
use futures::future::try_join_all;
use uuid::Uuid;

use crate::engine::Appends;

/// Bytes of an event's payload.
pub(crate) const PAYLOAD: usize = 1_024;
/// Appends to a stream before its writer begins another.
pub(crate) const LENGTH: u64 = 50;
/// Categories that the streams of the store to be read are spread over.
pub(crate) const CATEGORIES: u64 = 16;

/// Payloads that are made beforehand, so that making them is not measured. No two of them are
/// alike, but they compress as JSON does.
#[derive(Debug)]
pub(crate) struct Payloads(Vec<Bytes>);

impl Payloads {
    pub(crate) fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(20_261_121);
        Self((0..1_024).map(|_| payload(&mut random)).collect())
    }

    /// New events; `turn` says which payloads.
    pub(crate) fn events(&self, turn: u64, count: u64) -> Vec<NewEvent> {
        let payload =
            |n: u64| self.0[usize::try_from(n).unwrap_or_default() % self.0.len()].clone();
        let event = |n| NewEvent {
            id: Uuid::now_v7(),
            kind: "LinePriced".into(),
            data: payload(turn * count + n),
            metadata: Bytes::new(),
            is_json: true,
        };
        (0..count).map(event).collect()
    }
}

fn payload(random: &mut fastrand::Rng) -> Bytes {
    let mut text = String::from(r#"{"lines":["#);
    while text.len() < PAYLOAD {
        let (sku, note) = (random.u32(10_000..100_000), random.u64(..));
        let (quantity, minor) = (random.u32(1..40), random.u32(50..90_000));
        text.extend([format!(
            r#"{{"sku":"SKU-{sku}","quantity":{quantity},"unitPrice":{{"minor":{minor},"currency":"GBP"}},"note":"{note:016x}"}},"#
        )]);
    }
    text.truncate(PAYLOAD - 2);
    (text + "]}").into()
}

/// The store that is read from: streams of [`LENGTH`] events in [`CATEGORIES`] categories,
/// `abreast` of them written side by side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeds {
    pub(crate) streams: u64,
    pub(crate) abreast: usize,
}

impl Seeds {
    pub(crate) fn events(self) -> u64 {
        self.streams * LENGTH
    }

    pub(crate) fn bytes(self) -> u64 {
        self.events() * PAYLOAD as u64
    }

    /// The streams' names, in the order in which they are begun.
    pub(crate) fn names(self) -> anyhow::Result<Vec<StreamId>> {
        let name = |n| StreamId::new(&format!("c{}", n % CATEGORIES), n);
        Ok((0..self.streams).map(name).collect::<Result<_, _>>()?)
    }

    /// Fills an empty store.
    pub(crate) async fn sow(
        self,
        engine: &impl Appends,
        payloads: &Payloads,
    ) -> anyhow::Result<()> {
        for abreast in self.names()?.chunks(self.abreast) {
            for turn in 0..LENGTH {
                let append =
                    |stream| engine.append(stream, Expected::Any, payloads.events(turn, 1));
                try_join_all(abreast.iter().map(append)).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_their_size_and_differ() {
        let payloads = Payloads::new();

        assert!(payloads.0.iter().all(|payload| payload.len() == PAYLOAD));
        assert_ne!(payloads.0[0], payloads.0[1]);
    }
}
