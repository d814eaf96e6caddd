//! What the catalog's search index lacks.

use anyhow::Context;
use daybook_projections::{Operator, catalog};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::projections::{contents, discarded, letter, outcome, position};
use super::{Answer, Contents, Discarded, Letter, Outcome, Source, Verdict};
use crate::config::Config;
use crate::platform;

const NAME: &str = "search";

/// The search index of a configuration. It goes on without what it lacks, and nothing waits behind
/// that; it is replayed by building the index anew.
pub(super) struct Search<'c>(pub(super) &'c Config);

impl Source for Search<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn list(&self) -> Answer<'_, Vec<Letter>> {
        async {
            let Some(operator) = platform::find_operator(self.0).await? else {
                return Ok(Vec::new());
            };
            let left_out = operator.left_out().await?.into_iter();
            Ok(left_out.map(|parked| letter(NAME, parked)).collect())
        }
        .boxed_local()
    }

    fn contents<'a>(&'a self, letter: &'a Letter) -> Answer<'a, Contents> {
        async {
            let at = position(&letter.id)?;
            Ok(contents(self.operator().await?.left_out_details(at).await?))
        }
        .boxed_local()
    }

    fn replay<'a>(&'a self, _: &'a [Letter], dry_run: bool) -> Answer<'a, Vec<Outcome>> {
        async move {
            let (operator, never) = (self.operator().await?, CancellationToken::new());
            let replayed = operator.replay_left_out(dry_run, &|_| {}, &never).await?;
            Ok(replayed.into_iter().map(|replayed| outcome(NAME, replayed)).collect())
        }
        .boxed_local()
    }

    fn discard<'a>(&'a self, letter: &'a Letter, why: &'a Verdict) -> Answer<'a, Vec<Outcome>> {
        async move {
            let (operator, at) = (self.operator().await?, position(&letter.id)?);
            operator.discard_left_out(at, &why.reason, &why.by).await?;
            Ok(Vec::new())
        }
        .boxed_local()
    }

    fn discarded(&self) -> Answer<'_, Vec<Discarded>> {
        discarded(NAME, self.0, |projection| projection == catalog::NAME).boxed_local()
    }
}

impl Search<'_> {
    async fn operator(&self) -> anyhow::Result<Operator> {
        platform::find_operator(self.0).await?.context("there is no search index")
    }
}
