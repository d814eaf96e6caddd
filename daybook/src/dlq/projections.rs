//! What read models could not read or apply, and what is held back behind it.

use std::collections::BTreeMap;

use anyhow::Context;
use daybook_event_store::{Position, Recorded};
use daybook_projections::{Operator, Parked, ParkedDetails, Replayed, catalog};
use futures::FutureExt;

use super::{Answer, Contents, Discarded, Letter, LetterId, Outcome, Source, Verdict, as_json};
use crate::config::Config;
use crate::platform;

const NAME: &str = "projections";

/// The read models of a configuration.
pub(super) struct Projections<'c>(pub(super) &'c Config);

impl Source for Projections<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn list(&self) -> Answer<'_, Vec<Letter>> {
        async {
            let Some(operator) = platform::find_operator(self.0).await? else {
                return Ok(Vec::new());
            };
            let parked = operator.parked().await?.into_iter();
            Ok(parked.map(|parked| letter(NAME, parked)).collect())
        }
        .boxed_local()
    }

    fn contents<'a>(&'a self, letter: &'a Letter) -> Answer<'a, Contents> {
        async {
            let operator = self.operator().await?;
            Ok(contents(operator.details(&letter.id.owner, position(&letter.id)?).await?))
        }
        .boxed_local()
    }

    fn replay<'a>(&'a self, letters: &'a [Letter], dry_run: bool) -> Answer<'a, Vec<Outcome>> {
        async move {
            let operator = self.operator().await?;
            // The last of each stream: those before it go first in any case.
            let mut streams = BTreeMap::new();
            for Letter { id, key, .. } in letters {
                let last = streams.entry((&id.owner, key)).or_insert(Position(0));
                *last = position(id)?.max(*last);
            }
            let mut outcomes = Vec::new();
            for ((name, stream), last) in streams {
                let replayed = operator.replay(name, stream, Some(last), dry_run).await?;
                outcomes.extend(replayed.into_iter().map(|replayed| outcome(NAME, replayed)));
            }
            Ok(outcomes)
        }
        .boxed_local()
    }

    fn discard<'a>(&'a self, letter: &'a Letter, why: &'a Verdict) -> Answer<'a, Vec<Outcome>> {
        async move {
            let (operator, at) = (self.operator().await?, position(&letter.id)?);
            let replayed = operator.discard(&letter.id.owner, at, &why.reason, &why.by).await?;
            Ok(replayed.into_iter().map(|replayed| outcome(NAME, replayed)).collect())
        }
        .boxed_local()
    }

    fn discarded(&self) -> Answer<'_, Vec<Discarded>> {
        discarded(NAME, self.0, |projection| projection != catalog::NAME).boxed_local()
    }
}

impl Projections<'_> {
    async fn operator(&self) -> anyhow::Result<Operator> {
        platform::find_operator(self.0).await?.context("there are no read models")
    }
}

fn id(source: &str, parked: &Parked) -> LetterId {
    let (owner, local) = (parked.projection.clone(), parked.position.to_string());
    LetterId { source: source.into(), owner, local }
}

pub(super) fn position(id: &LetterId) -> anyhow::Result<Position> {
    let position = id.local.parse().with_context(|| format!("{id} names no position"))?;
    Ok(Position(position))
}

pub(super) fn letter(source: &str, parked: Parked) -> Letter {
    Letter {
        id: id(source, &parked),
        key: parked.stream,
        kind: parked.kind,
        position: Some(parked.position.0),
        error: parked.error,
        attempts: parked.attempts,
        parked_at: parked.parked_at,
    }
}

pub(super) fn contents(ParkedDetails { recorded, decoded, .. }: ParkedDetails) -> Contents {
    let of = |part: fn(&Recorded) -> &[u8]| recorded.as_ref().map(|event| as_json(part(event)));
    let (read, unreadable) = match decoded {
        Ok(wire) => (wire.map(|wire| as_json(&wire.data)), None),
        Err(error) => (None, Some(error)),
    };
    Contents { written: of(|event| &event.data), read, unreadable, metadata: of(|e| &e.metadata) }
}

/// What was given up of some read models.
pub(super) async fn discarded(
    source: &str,
    config: &Config,
    of: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<Discarded>> {
    let Some(operator) = platform::find_operator(config).await? else { return Ok(Vec::new()) };
    let all = operator.discarded().await?.into_iter().filter(|one| of(&one.projection));
    let discarded = |one: daybook_projections::Discarded| {
        let (owner, local) = (one.projection, one.position.to_string());
        Discarded {
            id: LetterId { source: source.into(), owner, local },
            key: one.stream,
            kind: one.kind,
            error: one.error,
            reason: one.reason,
            by: one.by,
            at: one.at,
        }
    };
    Ok(all.map(discarded).collect())
}

pub(super) fn outcome(source: &str, Replayed { parked, error }: Replayed) -> Outcome {
    Outcome { id: id(source, &parked), error }
}
