use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::compressed::Damage;
use super::format::FORMAT;
use crate::ReadError;

/// Why a store could not be opened. Nothing on disk was changed that was acknowledged.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process, or this one, has it open.
    #[error(
        "the event store in {path} is in use{holder}: stop that process, or choose another folder"
    )]
    Locked {
        /// The store's folder.
        path: PathBuf,
        /// ` by process <id>` where that is known.
        holder: String,
    },
    /// A newer build wrote it.
    #[error(
        "the event store in {path} has format {found}, and this build reads only {FORMAT}: use the newer build"
    )]
    NewerFormat {
        /// The store's folder.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// An older build wrote it, in a format that this one does not read.
    #[error(
        "the event store in {path} has format {found}, and this build reads only {FORMAT}: import its events anew, or use the build that wrote it"
    )]
    OlderFormat {
        /// The store's folder.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The folder holds something else.
    #[error("{path} is not an event store: {reason}")]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// What is on disk is not what was written, elsewhere than in an unfinished last write.
    #[error(
        "the event store is damaged in segment {segment} at offset {offset}: {reason}; restore it from a backup"
    )]
    Damaged {
        /// The segment's file.
        segment: PathBuf,
        /// The byte in it.
        offset: u64,
        /// What was found.
        reason: String,
    },
    /// An option is out of range.
    #[error("{option} must be {min} to {max}, not {actual}")]
    Option {
        /// Which.
        option: &'static str,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
        /// As given.
        actual: u64,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl OpenError {
    /// Says what was tried on what; or what is damaged, where that is why it failed.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match Damage::of(&source) {
            Some(damage) => {
                let (offset, reason) = (damage.offset, damage.to_string());
                Self::Damaged { segment: path, offset, reason }
            }
            None => Self::Io { action, path, source },
        }
    }
}

impl OpenError {
    /// As what it is to somebody who reads.
    pub(crate) fn into_read_error(self) -> ReadError {
        match self {
            Self::Damaged { segment, offset, reason } => {
                let place = format!("{}, offset {offset}", segment.display());
                ReadError::Damaged { place, reason }
            }
            Self::Io { action, path, source } => {
                let reason = format!("cannot {action} {}: {source}", path.display());
                ReadError::Unavailable { reason }
            }
            other => ReadError::Unavailable { reason: other.to_string() },
        }
    }
}

/// Why something could not be read now.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It would take I/O, which the caller did not allow.
    NotCached,
    /// It cannot be read.
    Read(ReadError),
}

impl Fault {
    pub(crate) fn damaged(file: &str, offset: u64, reason: &str) -> Self {
        let place = format!("{file}, offset {offset}");
        Self::Read(ReadError::Damaged { place, reason: reason.into() })
    }

    pub(crate) fn io(file: &str, offset: u64, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::damaged(file, offset, "the file is too short");
        }
        if let Some(damage) = Damage::of(error) {
            return Self::damaged(file, offset, &damage.to_string());
        }
        let reason = format!("cannot read {file}: {error}");
        Self::Read(ReadError::Unavailable { reason })
    }

    /// As an error, for callers that allow I/O.
    pub(crate) fn into_read_error(self) -> ReadError {
        match self {
            Self::Read(error) => error,
            Self::NotCached => ReadError::Unavailable { reason: "not cached".into() },
        }
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::other(fault.into_read_error().to_string())
    }
}

/// Whether a disk is full (or a quota, or a file's size), which may pass.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
