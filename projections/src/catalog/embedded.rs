use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tantivy::collector::DocSetCollector;
use tantivy::directory::error::{LockError, OpenReadError};
use tantivy::directory::{Directory, INDEX_WRITER_LOCK, MmapDirectory};
use tantivy::query::AllQuery;
use tantivy::schema::document::Value as _;
use tantivy::{Index, IndexWriter, TantivyDocument, TantivyError, Term};
use tracing::warn;

use super::CatalogError;
use super::checkpoint::{Checkpoint, Standing};
use super::document::Document;
use super::entry::Entry;
use super::schema::Fields;
use super::versions::{Contents, Roles};

/// Bytes that the writer may hold before it starts a segment file.
const ARENA_BYTES: usize = 32 << 20;

/// The file that names the version which is read in its first line; see [`Roles`].
const LIVE: &str = "live";

/// The file that is locked by whoever changes what is read.
const TURN: &str = "turn.lock";

/// The folder of all versions of the index: each has one of its own, and a file names the one
/// that is read.
#[derive(Debug, Clone)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// The folder of a version.
    pub(crate) fn version(&self, version: u32) -> PathBuf {
        self.0.join(format!("v{version}"))
    }

    /// What the versions are to queries.
    pub(crate) fn roles(&self) -> Result<Roles, CatalogError> {
        match fs::read_to_string(self.0.join(LIVE)) {
            Ok(text) => Ok(Roles::from_text(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Roles::default()),
            Err(source) => Err(self.fault(source)),
        }
    }

    /// All versions, the live one with them.
    pub(crate) fn versions(&self) -> Result<BTreeSet<u32>, CatalogError> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries.map_err(|source| self.fault(source))?,
        };
        let number = |entry: fs::DirEntry| {
            entry.file_name().to_str()?.strip_prefix('v').and_then(|number| number.parse().ok())
        };
        let versions = entries.map(|entry| entry.map(number)).filter_map(Result::transpose);
        versions.collect::<Result<_, _>>().map_err(|source| self.fault(source))
    }

    /// Changes what the versions are to queries, while nobody writes to the one that is read.
    /// Whoever reads sees all of it or nothing.
    pub(crate) fn turn(
        &self,
        change: impl FnOnce(Roles) -> Result<Roles, CatalogError>,
    ) -> Result<(), CatalogError> {
        let _alone = self.alone()?;
        let roles = change(self.roles()?)?;
        let write = || {
            let draft = self.0.join("live.draft");
            let mut file = fs::File::create(&draft)?;
            file.write_all(roles.to_text().as_bytes())?;
            file.sync_all()?;
            fs::rename(draft, self.0.join(LIVE))?;
            fs::File::open(&self.0)?.sync_all()
        };
        write().map_err(|source| self.fault(source))
    }

    /// Keeps others from changing what is read until the file is closed.
    fn alone(&self) -> Result<fs::File, CatalogError> {
        let mut options = fs::File::options();
        let opened = options.create(true).truncate(false).write(true).open(self.0.join(TURN));
        let locked = opened.and_then(|file| file.lock().map(|()| file));
        locked.map_err(|source| self.fault(source))
    }

    /// How far a version has come.
    pub(crate) fn standing(&self, version: u32) -> Result<Standing, CatalogError> {
        let path = self.version(version);
        if !path.join("meta.json").exists() {
            return Ok(Standing::from_json(&Value::Null));
        }
        let payload = Index::open_in_dir(path)?.load_metas()?.payload;
        Ok(standing(payload.as_deref()))
    }

    /// Removes the files of a version.
    pub(crate) fn drop(&self, version: u32) -> Result<(), CatalogError> {
        match fs::remove_dir_all(self.version(version)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.fault(error)),
            _ => Ok(()),
        }
    }

    /// A version as of one commit.
    pub(crate) fn contents(&self, version: u32) -> Result<Contents, CatalogError> {
        let (index, meta, searcher) = loop {
            let index = Index::open_in_dir(self.version(version))?;
            let meta = index.load_metas()?;
            let searcher = index.reader()?.searcher();
            if index.load_metas()?.opstamp == meta.opstamp {
                break (index, meta, searcher);
            }
        };
        let schema = index.schema();
        let mut documents = Vec::new();
        for at in searcher.search(&AllQuery, &DocSetCollector)? {
            let document: TantivyDocument = searcher.doc(at)?;
            let sku = document.get_first(schema.get_field("sku")?);
            let sku = sku.and_then(|sku| sku.as_str()).unwrap_or_default().to_owned();
            documents.push((sku, tantivy::Document::to_json(&document, &schema)));
        }
        documents.sort();
        Ok(Contents { standing: standing(meta.payload.as_deref()), documents })
    }

    fn fault(&self, source: io::Error) -> CatalogError {
        CatalogError::Folder { path: self.0.clone(), source }
    }
}

fn standing(payload: Option<&str>) -> Standing {
    let written = payload.and_then(|payload| serde_json::from_str(payload).ok());
    Standing::from_json(&written.unwrap_or_default())
}

/// A version of the index in a folder, open for its one writer.
pub(crate) struct EmbeddedIndex {
    folder: Folder,
    version: u32,
    /// Whether it is written only as long as it is read.
    follows: bool,
    writer: IndexWriter,
    fields: Fields,
    checkpoint: Checkpoint,
}

impl EmbeddedIndex {
    /// Opens a version, or the live one, which is made live if none is. Where there is none an
    /// empty one is made; one that is damaged or of another version is replaced by an empty one.
    pub(crate) fn open(folder: &Folder, version: Option<u32>) -> Result<Self, CatalogError> {
        let (live, follows) = (folder.roles()?.live, version.is_none());
        let version = version.or(live).unwrap_or(1);
        let (writer, checkpoint) = open_folder(&folder.version(version))?;
        if live.is_none() && follows {
            // The files of a release that had no versions yet.
            clear(&folder.0).map_err(|source| folder.fault(source))?;
            folder.turn(|roles| Ok(roles.with_live(version)))?;
        }
        let (folder, fields) = (folder.clone(), Fields::with_schema().1);
        Ok(Self { folder, version, follows, writer, fields, checkpoint })
    }

    /// How far the index has come.
    pub(crate) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Replaces the documents of some products, and moves the checkpoint with them.
    pub(crate) fn commit(
        &mut self,
        entries: &[Entry],
        checkpoint: Checkpoint,
    ) -> Result<(), CatalogError> {
        for entry in entries {
            let Some(sku) = entry.sku() else { continue };
            self.writer.delete_term(Term::from_field_text(self.fields.sku, sku.as_str()));
            if let Some(product) = Document::of(entry) {
                self.writer.add_document(self.fields.document(&product))?;
            }
        }
        let _alone = self.folder.alone()?;
        self.must_be_read()?;
        let mut commit = self.writer.prepare_commit()?;
        commit.set_payload(&checkpoint.to_json().to_string());
        commit.commit()?;
        self.checkpoint = checkpoint;
        Ok(())
    }

    /// Whether its files are still there.
    pub(crate) fn check(&self) -> Result<(), CatalogError> {
        self.must_be_read()?;
        let is_there = self.folder.version(self.version).join("meta.json").exists();
        if is_there { Ok(()) } else { Err(CatalogError::Lost) }
    }

    fn must_be_read(&self) -> Result<(), CatalogError> {
        let Roles { live, paused, .. } = self.folder.roles()?;
        let turned = self.follows && (paused || live != Some(self.version));
        if turned { Err(CatalogError::Turned) } else { Ok(()) }
    }
}

/// Opens the files of a version for its one writer.
fn open_folder(path: &Path) -> Result<(IndexWriter, Checkpoint), CatalogError> {
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
    Ok((writer, checkpoint))
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
        Some(payload) => {
            serde_json::from_str(&payload).ok().and_then(|written| Checkpoint::from_json(&written))
        }
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
