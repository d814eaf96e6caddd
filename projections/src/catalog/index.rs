use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use daybook_domain::product::ProductState;
use daybook_domain::values::Sku;
use daybook_event_store::{Position, ReadError};
use serde_json::{Value, json};
use tantivy::directory::error::{LockError, OpenReadError};
use tantivy::directory::{Directory, INDEX_WRITER_LOCK, MmapDirectory};
use tantivy::{Index, IndexWriter, TantivyError, Term};
use thiserror::Error;
use tracing::warn;

use super::schema::{Fields, VERSION};

/// Bytes that the writer may hold before it starts a segment file.
const ARENA_BYTES: usize = 32 << 20;

/// Why the catalog's index cannot be kept.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// Somebody else writes to it.
    #[error(
        "the catalog index at {} is in use by another process: stop that, or use another data folder",
        path.display()
    )]
    Locked {
        /// The index's folder.
        path: PathBuf,
    },
    /// Its folder cannot be used.
    #[error("the folder {} of the catalog index cannot be used", path.display())]
    Folder {
        /// The index's folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The index cannot be read or written.
    #[error("the catalog index cannot be read or written")]
    Index(#[from] TantivyError),
    /// The events cannot be read.
    #[error("the events of the catalog cannot be read")]
    Read(#[from] ReadError),
    /// The store came to its end.
    #[error("the event store was closed")]
    Closed,
    /// The thread that wrote the index panicked.
    #[error("writing the catalog index failed unexpectedly")]
    Panicked(#[from] tokio::task::JoinError),
}

/// How far the index has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Every event up to this position is in the index.
    pub(crate) position: Option<Position>,
    /// Positions of events that could not be read and were left out.
    pub(crate) parked: Vec<Position>,
}

impl Checkpoint {
    fn to_payload(&self) -> String {
        let parked: Vec<_> = self.parked.iter().map(|position| position.0).collect();
        let position = self.position.map(|position| position.0);
        json!({ "version": VERSION, "position": position, "parked": parked }).to_string()
    }

    /// Reads a commit's payload; `None` where it is of another version.
    fn from_payload(payload: &str) -> Option<Self> {
        let payload: Value = serde_json::from_str(payload).ok()?;
        let parked = payload["parked"].as_array()?.iter();
        (payload["version"].as_u64()? == VERSION).then(|| Self {
            position: payload["position"].as_u64().map(Position),
            parked: parked.filter_map(Value::as_u64).map(Position).collect(),
        })
    }
}

/// The index, open for its one writer.
pub(crate) struct CatalogIndex {
    writer: IndexWriter,
    fields: Fields,
    checkpoint: Checkpoint,
}

impl CatalogIndex {
    /// Opens the index in a folder. Where there is none an empty one is made; one that is damaged
    /// or of another version is replaced by an empty one.
    pub(crate) fn open(path: &Path) -> Result<Self, CatalogError> {
        let folder = |source| CatalogError::Folder { path: path.into(), source };
        fs::create_dir_all(path).map_err(folder)?;
        let directory = MmapDirectory::open(path).map_err(TantivyError::from)?;
        let lock = directory.acquire_lock(&INDEX_WRITER_LOCK).map_err(|error| match error {
            LockError::LockBusy => CatalogError::Locked { path: path.into() },
            LockError::IoError(source) => folder(io::Error::new(source.kind(), source)),
        })?;
        let (index, checkpoint) = match examine(&directory)? {
            Ok(usable) => usable,
            Err(reason) => {
                warn!(path = %path.display(), reason, "rebuilding the catalog index from the events");
                clear(path).map_err(folder)?;
                (create(&directory)?, Checkpoint::default())
            }
        };
        drop(lock);
        let writer = index.writer_with_num_threads(1, ARENA_BYTES)?;
        Ok(Self { writer, fields: Fields::with_schema().1, checkpoint })
    }

    /// How far the index has come.
    pub(crate) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Replaces the documents of some products, and moves the checkpoint with them.
    pub(crate) fn commit(
        &mut self,
        products: &BTreeMap<Sku, ProductState>,
        checkpoint: Checkpoint,
    ) -> Result<(), CatalogError> {
        for (sku, state) in products {
            self.writer.delete_term(Term::from_field_text(self.fields.sku, sku.as_str()));
            if let ProductState::Listed(listing) = state {
                self.writer.add_document(self.fields.document(listing))?;
            }
        }
        let mut commit = self.writer.prepare_commit()?;
        commit.set_payload(&checkpoint.to_payload());
        commit.commit()?;
        self.checkpoint = checkpoint;
        Ok(())
    }
}

fn create(directory: &MmapDirectory) -> Result<Index, TantivyError> {
    Index::create(directory.clone(), Fields::with_schema().0, tantivy::IndexSettings::default())
}

/// Opens an index that can be gone on with; the inner error says why it must be rebuilt.
fn examine(directory: &MmapDirectory) -> Result<Result<(Index, Checkpoint), String>, TantivyError> {
    if !Index::exists(directory)? {
        return create(directory).map(|index| Ok((index, Checkpoint::default())));
    }
    match open_sound(directory) {
        Err(error) if is_damage(&error) => Ok(Err(error.to_string())),
        opened => opened,
    }
}

fn open_sound(
    directory: &MmapDirectory,
) -> Result<Result<(Index, Checkpoint), String>, TantivyError> {
    let index = Index::open(directory.clone())?;
    if index.schema() != Fields::with_schema().0 {
        return Ok(Err("it has another schema".into()));
    }
    let damaged = index.validate_checksum()?;
    if let Some(file) = damaged.iter().next() {
        return Ok(Err(format!("{} is damaged", file.display())));
    }
    index.reader()?;
    let checkpoint = match index.load_metas()?.payload {
        None => Some(Checkpoint::default()),
        Some(payload) => Checkpoint::from_payload(&payload),
    };
    Ok(checkpoint.map(|checkpoint| (index, checkpoint)).ok_or("it is of another version".into()))
}

/// Whether a failure lies in what the files hold, so that reading them again cannot help.
fn is_damage(error: &TantivyError) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let of_content = |kind| matches!(kind, InvalidData | InvalidInput | UnexpectedEof);
    match error {
        TantivyError::IoError(source) => of_content(source.kind()),
        TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) => {
            of_content(io_error.kind())
        }
        TantivyError::OpenDirectoryError(_)
        | TantivyError::LockFailure(..)
        | TantivyError::SystemError(_) => false,
        _ => true,
    }
}

/// Removes the files of an index from its folder, and nothing else.
fn clear(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_index_file) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_index_file(name: &str) -> bool {
    let is_segment = |stem: &str| stem.len() == 32 && stem.bytes().all(|b| b.is_ascii_hexdigit());
    matches!(name, "meta.json" | ".managed.json")
        || name.split_once('.').is_some_and(|(stem, _)| is_segment(stem))
}
