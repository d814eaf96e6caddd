use daybook_database::Error;
use daybook_event_store::{Position, ReadError};
use thiserror::Error;

use crate::DatabaseError;
use crate::catalog::CatalogError;

/// What came of something that was to be done about a read model.
pub(crate) type Done<T = ()> = Result<T, OperateError>;

/// Why nothing was done about a read model.
#[derive(Debug, Error)]
pub enum OperateError {
    /// There is none of this name.
    #[error("there is no read model {name}; there are {known}")]
    Unknown {
        /// As given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The rows were filled by another release.
    #[error(
        "these rows of {name} are of version {theirs}, and this release fills version {ours}: use \
         the release that filled them"
    )]
    OtherVersion {
        /// The read model.
        name: &'static str,
        /// The version that filled them.
        theirs: u32,
        /// The version of this code.
        ours: u32,
    },
    /// The tables were made by a release that declared them otherwise.
    #[error(
        "the tables of {name}, generation {generation}, were declared otherwise under the same \
         version: drop them with --discard, and build them again"
    )]
    Changed {
        /// The read model.
        name: &'static str,
        /// The generation.
        generation: u32,
    },
    /// It has no rows yet.
    #[error("the read model {name} has no rows yet: `daybook serve` or a rebuild makes them")]
    Absent {
        /// The read model.
        name: &'static str,
    },
    /// Nothing is built beside what queries read.
    #[error(
        "no other generation of {name} is built: `daybook projection rebuild {name}` builds one"
    )]
    NothingBuilt {
        /// The read model.
        name: &'static str,
    },
    /// Nothing was live before.
    #[error("there is no earlier generation of {name} to go back to")]
    NothingRetired {
        /// The read model.
        name: &'static str,
    },
    /// Another process works on the generation.
    #[error("generation {generation} of {name} is worked on by {owner}: let it end, or stop it")]
    InUse {
        /// The read model.
        name: &'static str,
        /// The generation.
        generation: u32,
        /// Who works on it.
        owner: String,
    },
    /// Another process has taken the generation over meanwhile.
    #[error(
        "another process has taken {name} over, or its database was set back; nothing was lost"
    )]
    TakenOver {
        /// The read model.
        name: &'static str,
    },
    /// What was built is far behind what queries read.
    #[error(
        "generation {generation} of {name} is {behind} positions behind the live one: bring it on \
         with `daybook projection rebuild {name} --cutover`"
    )]
    Behind {
        /// The read model.
        name: &'static str,
        /// The generation that was built.
        generation: u32,
        /// How far it is behind.
        behind: u64,
    },
    /// What queries read does not come as far as what was built.
    #[error(
        "the live generation of {name} is paused or does not go on, and is behind the one that was \
         built: resume it, or see to its worker"
    )]
    LiveBehind {
        /// The read model.
        name: &'static str,
    },
    /// The live generation goes on faster than the built one follows.
    #[error(
        "the live generation of {name} goes on too fast to be overtaken: pause it, and try again"
    )]
    Outrun {
        /// The read model.
        name: &'static str,
    },
    /// It was stopped before it was done.
    #[error("stopped before it was done; the next rebuild goes on where this one was")]
    Interrupted,
    /// No such event is parked.
    #[error("{name} has parked no event at position {position}")]
    NotParked {
        /// The read model.
        name: &'static str,
        /// Where it should stand.
        position: Position,
    },
    /// A parked event is not in the store any more.
    #[error("the event at position {position} is not in the event store any more: discard it")]
    Gone {
        /// Where it stood.
        position: Position,
    },
    /// Its database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database failed.
    #[error("the database of the read models failed")]
    Sql(#[from] Error),
    /// The catalog's index failed.
    #[error("the search index of the catalog failed")]
    Catalog(#[from] CatalogError),
    /// The store could not be read.
    #[error("the event store could not be read")]
    Store(#[from] ReadError),
}
