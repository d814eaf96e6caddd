//! Commands of process managers that could not be carried out.

use anyhow::Context;
use daybook_command_side::Commands;
use daybook_command_side::processes::{
    DiscardedEffect, ParkedEffect, discard, discarded, is_readable, list, retry,
};
use daybook_domain::ProcessManager;
use daybook_domain::checkout::Checkout;
use daybook_domain::fulfilment::Fulfilment;
use daybook_event_schemas::Actor;
use daybook_event_store::Store;
use futures::FutureExt;
use uuid::Uuid;

use super::{
    Answer, Asked, Contents, Discarded, Found, Letter, LetterId, Outcome, Source, Verdict,
};
use crate::config::Config;
use crate::platform;

const NAME: &str = "processes";

const PROCESSES: [&str; 2] = [Checkout::NAME, Fulfilment::NAME];

/// The process managers of a configuration. Each instance goes on by itself whatever of it is
/// parked, and its commands stand for themselves: none waits behind another.
pub(super) struct Processes<'c>(pub(super) &'c Config);

impl Source for Processes<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn list<'a>(&'a self, _: Option<&'a str>) -> Found<'a, Letter> {
        Asked::one(async {
            let effects = effects(&platform::look_at_store(self.0)?).await?;
            Ok(effects.into_iter().map(letter).collect())
        })
        .boxed_local()
    }

    fn contents<'a>(&'a self, letter: &'a Letter) -> Answer<'a, Contents> {
        async {
            let effect = find(&platform::look_at_store(self.0)?, &letter.id).await?;
            let unreadable = readable(&effect).err();
            let metadata = serde_json::json!({ "$correlationId": effect.correlation_id });
            let (written, read, metadata) = (Some(effect.command), None, Some(metadata));
            Ok(Contents { written, read, unreadable, metadata })
        }
        .boxed_local()
    }

    fn replay<'a>(&'a self, letters: &'a [Letter], dry_run: bool) -> Answer<'a, Vec<Outcome>> {
        async move {
            let store = if dry_run {
                platform::look_at_store(self.0)?
            } else {
                platform::open_store(self.0)?
            };
            let mut outcomes = Vec::new();
            for Letter { id, .. } in letters {
                let tried = if dry_run {
                    // What would come of it is known only once it is tried.
                    readable(&find(&store, id).await?)
                } else {
                    self.retry(&store, id).await.map_err(|error| format!("{error:#}"))
                };
                outcomes.push(Outcome { id: id.clone(), error: tried.err() });
            }
            Ok(outcomes)
        }
        .boxed_local()
    }

    fn discard<'a>(&'a self, letter: &'a Letter, why: &'a Verdict) -> Answer<'a, Vec<Outcome>> {
        async move {
            let store = platform::open_store(self.0)?;
            let (by, command) = (Actor(why.by.as_str().into()), command(&letter.id)?);
            discard(&store, &letter.id.owner, command, &why.reason, &by).await?;
            Ok(Vec::new())
        }
        .boxed_local()
    }

    fn discarded(&self) -> Found<'_, Discarded> {
        Asked::one(async {
            let (store, mut all) = (platform::look_at_store(self.0)?, Vec::new());
            for process in PROCESSES {
                all.extend(discarded(&store, process).await?.into_iter().map(given_up));
            }
            Ok(all)
        })
        .boxed_local()
    }
}

impl Processes<'_> {
    async fn retry(&self, store: &Store, id: &LetterId) -> anyhow::Result<()> {
        let (commands, command) = (Commands::new(store.clone()), command(id)?);
        if id.owner == Checkout::NAME {
            let provider = platform::provider(self.0)?;
            retry::<Checkout>(&commands, &provider, command, &operator()).await?;
        } else {
            retry::<Fulfilment>(&commands, &(), command, &operator()).await?;
        }
        Ok(())
    }
}

async fn effects(store: &Store) -> anyhow::Result<Vec<ParkedEffect>> {
    let mut all = Vec::new();
    for process in PROCESSES {
        all.extend(list(store, process).await?);
    }
    Ok(all)
}

async fn find(store: &Store, id: &LetterId) -> anyhow::Result<ParkedEffect> {
    let command = command(id)?;
    let mut effects = effects(store).await?.into_iter();
    let found = effects.find(|effect| effect.command_id == command);
    found.with_context(|| format!("{id} is parked no more"))
}

fn command(id: &LetterId) -> anyhow::Result<Uuid> {
    id.local.parse().with_context(|| format!("{id} names no command"))
}

fn readable(effect: &ParkedEffect) -> Result<(), String> {
    let read = if effect.process == Checkout::NAME {
        is_readable::<Checkout>(effect)
    } else {
        is_readable::<Fulfilment>(effect)
    };
    read.map_err(|error| error.to_string())
}

fn operator() -> Actor {
    Actor("operator:cli".into())
}

fn letter(effect: ParkedEffect) -> Letter {
    let (owner, local) = (effect.process, effect.command_id.to_string());
    Letter {
        key: format!("{owner}-{}", effect.instance),
        id: LetterId { source: NAME.into(), owner, local },
        kind: "command".into(),
        position: None,
        error: effect.error,
        attempts: effect.attempts.into(),
        parked_at: effect.parked_at,
    }
}

fn given_up(DiscardedEffect { effect, reason, by, at }: DiscardedEffect) -> Discarded {
    let Letter { id, key, kind, error, .. } = letter(effect);
    Discarded { id, key, kind, error, reason, by: by.0.to_string(), at }
}
