//! What could not be published or consumed, and notifications that could not be sent.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use daybook_event_schemas::integration::renew;
use daybook_integration::dead_letters::{
    self, DeadLetter, DeadLetterError, Redo, discard, replay, show,
};
use daybook_integration::notifications::{
    FailedNotification, Notifications, failed, give_up, retry,
};
use daybook_integration::{Again, Analytics, Consumer, DELIVERY, Pool, Publish, RELAY, discarded};
use futures::FutureExt;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Answer, Asked, Contents, Discarded, Found, Letter, LetterId, Outcome, Source, Verdict, as_json,
};
use crate::config::Config;
use crate::integration::{kafka, open_database};
use crate::platform::Layout;

const NAME: &str = "consumers";

/// The relay and the consumers of a configuration.
pub(super) struct Consumers<'c>(pub(super) &'c Config);

impl Source for Consumers<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn list<'a>(&'a self, _: Option<&'a str>) -> Found<'a, Letter> {
        Asked::one(async {
            let Some(pool) = self.find().await? else { return Ok(Vec::new()) };
            let dead = dead_letters::list(&pool).await?.into_iter().map(letter);
            Ok(dead.chain(failed(&pool).await?.into_iter().map(undelivered)).collect())
        })
        .boxed_local()
    }

    fn contents<'a>(&'a self, letter: &'a Letter) -> Answer<'a, Contents> {
        async {
            let pool = self.pool().await?;
            if letter.id.owner == DELIVERY {
                let found =
                    failed(&pool).await?.into_iter().find(|n| local(&letter.id).ok() == Some(n.id));
                let FailedNotification { channel, address, body, .. } =
                    found.with_context(|| format!("{} waits no more", letter.id))?;
                let written = json!({ "channel": channel, "address": address, "body": body });
                let (read, unreadable, metadata) = (None, None, None);
                return Ok(Contents { written: Some(written), read, unreadable, metadata });
            }
            Ok(contents(&show(&pool, local(&letter.id)?).await?))
        }
        .boxed_local()
    }

    fn replay<'a>(&'a self, letters: &'a [Letter], dry_run: bool) -> Answer<'a, Vec<Outcome>> {
        async move {
            let pool = self.pool().await?;
            // The last of each key: those before it go first in any case.
            let mut last = BTreeMap::new();
            for letter in letters {
                let name = if letter.id.owner == DELIVERY { letter.id.local.as_str() } else { "" };
                last.insert((&letter.id.owner, &letter.key, name), letter);
            }
            let mut outcomes = Vec::new();
            for letter in last.into_values() {
                outcomes.extend(self.again(&pool, letter, dry_run).await?);
            }
            Ok(outcomes)
        }
        .boxed_local()
    }

    fn discard<'a>(&'a self, letter: &'a Letter, why: &'a Verdict) -> Answer<'a, Vec<Outcome>> {
        async move {
            let (pool, id) = (self.pool().await?, local(&letter.id)?);
            if letter.id.owner == DELIVERY {
                give_up(&pool, id, &why.reason, &why.by).await?;
                return Ok(Vec::new());
            }
            discard(&pool, id, &why.reason, &why.by).await?;
            let mut waiting = self.list(None).await.all()?.into_iter();
            let behind =
                |other: &Letter| (&other.id.owner, &other.key) == (&letter.id.owner, &letter.key);
            match waiting.rfind(behind) {
                Some(last) => self.again(&pool, &last, false).await,
                None => Ok(Vec::new()),
            }
        }
        .boxed_local()
    }

    fn discarded(&self) -> Found<'_, Discarded> {
        Asked::one(async {
            let Some(pool) = self.find().await? else { return Ok(Vec::new()) };
            Ok(discarded(&pool).await?.into_iter().map(given_up).collect())
        })
        .boxed_local()
    }
}

impl Consumers<'_> {
    /// The database, unless nothing was ever put there.
    async fn find(&self) -> anyhow::Result<Option<Pool>> {
        if Layout(self.0).integration()?.is_missing() {
            return Ok(None);
        }
        Ok(Some(open_database(self.0).await?))
    }

    async fn pool(&self) -> anyhow::Result<Pool> {
        self.find().await?.context("nothing was ever consumed here")
    }

    /// Has a letter processed by whoever put it aside.
    async fn again(
        &self,
        pool: &Pool,
        letter: &Letter,
        dry_run: bool,
    ) -> anyhow::Result<Vec<Outcome>> {
        let id = local(&letter.id)?;
        match letter.id.owner.as_str() {
            DELIVERY => {
                if !dry_run {
                    retry(pool, id).await?;
                }
                Ok(vec![Outcome { id: letter.id.clone(), error: None }])
            }
            RELAY => {
                let kafka = kafka(self.0).context("say where to publish to: --kafka BROKERS")?;
                redo(pool, letter, dry_run, Publish::new(kafka, dry_run).await?).await
            }
            Analytics::NAME => redo(pool, letter, dry_run, Again(Analytics)).await,
            Notifications::NAME => {
                redo(pool, letter, dry_run, Again(Notifications::default())).await
            }
            other => bail!("{other} is no consumer of this release"),
        }
    }
}

async fn redo(
    pool: &Pool,
    letter: &Letter,
    dry_run: bool,
    mut by: impl Redo,
) -> anyhow::Result<Vec<Outcome>> {
    let outcome = |id: Uuid, error| {
        let id = LetterId { local: id.to_string(), ..letter.id.clone() };
        Outcome { id, error }
    };
    match replay(pool, local(&letter.id)?, dry_run, &mut by).await {
        Ok(done) => Ok(done.into_iter().map(|done| outcome(done.id, None)).collect()),
        Err(DeadLetterError::Again { id, source }) => {
            Ok(vec![outcome(id, Some(format!("{:#}", anyhow::anyhow!(source))))])
        }
        Err(error) => Err(error.into()),
    }
}

fn local(id: &LetterId) -> anyhow::Result<Uuid> {
    id.local.parse().with_context(|| format!("{id} names no letter"))
}

fn letter(dead: DeadLetter) -> Letter {
    let (key, kind) = (dead.stream(), dead.kind().to_owned());
    let DeadLetter { id, consumer, message, error, attempts, died_at } = dead;
    Letter {
        id: LetterId { source: NAME.into(), owner: consumer, local: id.to_string() },
        key,
        kind,
        position: message.header("ce_position").and_then(|position| position.parse().ok()),
        error: error.unwrap_or_else(|| "it waits for those before it on its key".into()),
        attempts,
        parked_at: died_at,
    }
}

fn given_up(one: daybook_integration::Discarded) -> Discarded {
    let daybook_integration::Discarded { id, owner, key, kind, error, reason, by, at } = one;
    let id = LetterId { source: NAME.into(), owner, local: id.to_string() };
    Discarded { id, key, kind, error, reason, by, at }
}

fn undelivered(notification: FailedNotification) -> Letter {
    let FailedNotification { id, order, kind, error, attempts, failed_at, .. } = notification;
    Letter {
        id: LetterId { source: NAME.into(), owner: DELIVERY.into(), local: id.to_string() },
        key: format!("order-{order}"),
        kind,
        position: None,
        error,
        attempts,
        parked_at: failed_at,
    }
}

fn contents(DeadLetter { message, .. }: &DeadLetter) -> Contents {
    let (read, unreadable) = match renew(message.topic, &message.headers, &message.payload) {
        Ok(renewed) => (renewed.map(|(_, payload)| as_json(&payload)), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let headers = message.headers.iter();
    let metadata: Value =
        headers.map(|(name, value)| (name.clone().into_owned(), value.clone())).collect();
    Contents {
        written: Some(as_json(&message.payload)),
        read,
        unreadable,
        metadata: Some(metadata),
    }
}
