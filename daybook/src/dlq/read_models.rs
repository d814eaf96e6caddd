//! What read models could not read or apply, and what the catalog's search index lacks.

use std::collections::BTreeMap;

use anyhow::Context;
use daybook_event_store::{Position, Recorded};
use daybook_projections::{OperateError, Operator, Parked, ParkedDetails, Replayed, catalog};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::{
    Answer, Asked, Contents, Discarded, Found, Letter, LetterId, Outcome, Source, Verdict, as_json,
};
use crate::config::Config;
use crate::platform;

/// Some of the read models of a configuration.
pub(super) struct ReadModels<'c> {
    which: Which,
    config: &'c Config,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Those in SQL. An event that is parked holds back those behind it in its stream.
    Tables,
    /// The search index. It goes on without what it lacks, and nothing waits behind that; it is
    /// replayed by building the index anew.
    SearchIndex,
}

impl<'c> ReadModels<'c> {
    /// Those in SQL.
    pub(super) fn in_tables(config: &'c Config) -> Self {
        Self { which: Which::Tables, config }
    }

    /// The search index.
    pub(super) fn search_index(config: &'c Config) -> Self {
        Self { which: Which::SearchIndex, config }
    }

    /// What operates them, unless there are none yet.
    fn find(&self) -> anyhow::Result<Option<Operator>> {
        platform::find_operator(self.config)
    }

    fn operator(&self) -> anyhow::Result<Operator> {
        self.find()?.context("there are no read models")
    }

    /// What each place of theirs says, unless there are none yet.
    async fn places<T, U>(
        &self,
        ask: impl AsyncFnOnce(Operator) -> Vec<Result<Vec<T>, OperateError>>,
        told: impl Fn(T) -> U,
    ) -> Asked<U> {
        let answers = match self.find() {
            Ok(Some(operator)) => ask(operator).await,
            Ok(None) => Vec::new(),
            Err(error) => return std::iter::once(Err(error)).collect(),
        };
        let all = |found: Vec<T>| found.into_iter().map(&told).collect();
        answers.into_iter().map(|answer| answer.map(all)).collect()
    }

    fn id(&self, owner: String, position: Position) -> LetterId {
        LetterId { source: self.name().into(), owner, local: position.to_string() }
    }

    fn letter(&self, parked: Parked) -> Letter {
        Letter {
            id: self.id(parked.projection, parked.position),
            key: parked.stream,
            kind: parked.kind,
            position: Some(parked.position.0),
            error: parked.error,
            attempts: parked.attempts,
            parked_at: parked.parked_at,
        }
    }

    fn outcomes(&self, replayed: Vec<Replayed>) -> Vec<Outcome> {
        let outcome = |Replayed { parked, error }| {
            let id = self.id(parked.projection, parked.position);
            Outcome { id, error }
        };
        replayed.into_iter().map(outcome).collect()
    }

    fn given_up(&self, one: daybook_projections::Discarded) -> Discarded {
        Discarded {
            id: self.id(one.projection, one.position),
            key: one.stream,
            kind: one.kind,
            error: one.error,
            reason: one.reason,
            by: one.by,
            at: one.at,
        }
    }
}

impl Source for ReadModels<'_> {
    fn name(&self) -> &'static str {
        match self.which {
            Which::Tables => "projections",
            Which::SearchIndex => "search",
        }
    }

    fn list<'a>(&'a self, owner: Option<&'a str>) -> Found<'a, Letter> {
        async move {
            let ask = async |operator: Operator| match self.which {
                Which::Tables => operator.parked(owner).await,
                Which::SearchIndex => vec![operator.left_out().await],
            };
            let mut asked = self.places(ask, |parked| self.letter(parked)).await;
            let place = |letter: &Letter| (letter.id.owner.clone(), letter.position);
            asked.found.sort_by_key(place);
            asked
        }
        .boxed_local()
    }

    fn contents<'a>(&'a self, letter: &'a Letter) -> Answer<'a, Contents> {
        async {
            let (operator, at) = (self.operator()?, position(&letter.id)?);
            Ok(contents(match self.which {
                Which::Tables => operator.details(&letter.id.owner, at).await?,
                Which::SearchIndex => operator.left_out_details(at).await?,
            }))
        }
        .boxed_local()
    }

    fn replay<'a>(&'a self, letters: &'a [Letter], dry_run: bool) -> Answer<'a, Vec<Outcome>> {
        async move {
            let operator = self.operator()?;
            let replayed = match self.which {
                Which::Tables => by_stream(&operator, letters, dry_run).await?,
                Which::SearchIndex => {
                    let never = CancellationToken::new();
                    operator.replay_left_out(dry_run, &|_| {}, &never).await?
                }
            };
            Ok(self.outcomes(replayed))
        }
        .boxed_local()
    }

    fn discard<'a>(&'a self, letter: &'a Letter, why: &'a Verdict) -> Answer<'a, Vec<Outcome>> {
        async move {
            let (operator, at) = (self.operator()?, position(&letter.id)?);
            let Verdict { reason, by } = why;
            let replayed = match self.which {
                Which::Tables => operator.discard(&letter.id.owner, at, reason, by).await?,
                Which::SearchIndex => {
                    operator.discard_left_out(at, reason, by).await?;
                    Vec::new()
                }
            };
            Ok(self.outcomes(replayed))
        }
        .boxed_local()
    }

    fn discarded(&self) -> Found<'_, Discarded> {
        async {
            let of_index = self.which == Which::SearchIndex;
            let owner = of_index.then_some(catalog::NAME);
            let ask = async |operator: Operator| operator.discarded(owner).await;
            let mut asked = self.places(ask, |one| self.given_up(one)).await;
            asked.found.retain(|one| (one.id.owner == catalog::NAME) == of_index);
            asked.found.sort_by_key(|one| one.at);
            asked
        }
        .boxed_local()
    }
}

/// Replays letters stream by stream: up to the last of each, as those before it go first in any
/// case.
async fn by_stream(
    operator: &Operator,
    letters: &[Letter],
    dry_run: bool,
) -> anyhow::Result<Vec<Replayed>> {
    let mut streams = BTreeMap::new();
    for Letter { id, key, .. } in letters {
        let last = streams.entry((&id.owner, key)).or_insert(Position(0));
        *last = position(id)?.max(*last);
    }
    let mut replayed = Vec::new();
    for ((name, stream), last) in streams {
        replayed.extend(operator.replay(name, stream, Some(last), dry_run).await?);
    }
    Ok(replayed)
}

fn position(id: &LetterId) -> anyhow::Result<Position> {
    let position = id.local.parse().with_context(|| format!("{id} names no position"))?;
    Ok(Position(position))
}

fn contents(ParkedDetails { recorded, decoded, .. }: ParkedDetails) -> Contents {
    let of = |part: fn(&Recorded) -> &[u8]| recorded.as_ref().map(|event| as_json(part(event)));
    let (read, unreadable) = match decoded {
        Ok(wire) => (wire.map(|wire| as_json(&wire.data)), None),
        Err(error) => (None, Some(error)),
    };
    Contents { written: of(|event| &event.data), read, unreadable, metadata: of(|e| &e.metadata) }
}
