//! The read models in SQL, whichever they are.

use std::marker::PhantomData;

use daybook_database::{chain, now};
use daybook_event_schemas::{Contract, DecodeError, Wire, open};
use daybook_event_store::Recorded;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::OperateError;
use crate::ceiling::{Loaded, load_copy};
use crate::error::Done;
use crate::models::{Checkouts, Customers, Orders, Payments, Products, Sales, StockLevels};
use crate::projection::Projection;
use crate::rebuild::{self, Job, Outcome, Task};
use crate::registry;
use crate::replay::{Replay, Replayed, replay};
use crate::runner::{Start, StartError};

/// Every read model.
pub(crate) const MODELS: [&dyn Model; 7] = [
    &Of::<Orders>(PhantomData),
    &Of::<StockLevels>(PhantomData),
    &Of::<Payments>(PhantomData),
    &Of::<Customers>(PhantomData),
    &Of::<Products>(PhantomData),
    &Of::<Sales>(PhantomData),
    &Of::<Checkouts>(PhantomData),
];

/// The read model of this name.
pub(crate) fn model(name: &str) -> Done<&'static dyn Model> {
    let unknown = || OperateError::Unknown {
        name: name.to_owned(),
        known: MODELS.map(Model::name).join(", "),
    };
    MODELS.into_iter().find(|model| model.name() == name).ok_or_else(unknown)
}

/// What can be built anew beside what queries read.
pub(crate) trait Rebuilt: Send + Sync {
    /// Builds, compares or makes live a generation of it.
    fn run<'a>(&'a self, job: Job<'a>, task: Task<'a>) -> BoxFuture<'a, Done<Outcome>>;
    /// Drops a generation that was begun.
    fn discard<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Done<u32>>;
    /// Keeps what queries read where it is, or lets it go on. `false`: that was so already.
    fn pause<'a>(&'a self, job: Job<'a>, paused: bool) -> BoxFuture<'a, Done<bool>>;
}

/// A [`Projection`] without its type.
pub(crate) trait Model: Rebuilt {
    fn name(&self) -> &'static str;
    /// Starts its worker.
    fn start<'a>(&self, start: &'a mut Start) -> BoxFuture<'a, Result<(), StartError>>;
    /// Reads an event as it does, in the newest form.
    fn decode(&self, recorded: &Recorded) -> Result<Option<Wire>, String>;
    /// Loads its rows once more, by the engine's own means.
    fn load_copy<'a>(&self, job: Job<'a>) -> BoxFuture<'a, Done<Loaded>>;
    /// Applies parked events.
    fn replay<'a>(&self, replay: Replay<'a>) -> BoxFuture<'a, Done<Vec<Replayed>>>;
}

struct Of<P>(PhantomData<fn() -> P>);

impl<P: Projection> Rebuilt for Of<P> {
    fn run<'a>(&'a self, job: Job<'a>, task: Task<'a>) -> BoxFuture<'a, Done<Outcome>> {
        rebuild::run::<P>(job, task).boxed()
    }

    fn discard<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Done<u32>> {
        rebuild::discard::<P>(job).boxed()
    }

    fn pause<'a>(&'a self, job: Job<'a>, paused: bool) -> BoxFuture<'a, Done<bool>> {
        async move { Ok(registry::pause(job.database, P::NAME, paused, now()).await?) }.boxed()
    }
}

impl<P: Projection> Model for Of<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn start<'a>(&self, start: &'a mut Start) -> BoxFuture<'a, Result<(), StartError>> {
        start.worker::<P>().boxed()
    }

    fn decode(&self, recorded: &Recorded) -> Result<Option<Wire>, String> {
        match open::<P::Event>(recorded) {
            Ok(event) => Ok(event.map(|envelope| envelope.event.encode())),
            Err(DecodeError::UnknownKind { .. }) => Ok(None),
            Err(error) => Err(chain(&error)),
        }
    }

    fn load_copy<'a>(&self, job: Job<'a>) -> BoxFuture<'a, Done<Loaded>> {
        load_copy::<P>(job).boxed()
    }

    fn replay<'a>(&self, request: Replay<'a>) -> BoxFuture<'a, Done<Vec<Replayed>>> {
        replay::<P>(request).boxed()
    }
}
