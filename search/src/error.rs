use std::io;
use std::path::PathBuf;

use serde_json::Value;
use thiserror::Error;

/// Why a cluster did not do what it was asked.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// The file of certificate authorities cannot be read.
    #[error("the certificate authorities in {} cannot be read", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The client cannot be made, or there was no answer.
    #[error("the search cluster gave no answer")]
    Unreachable(#[from] elasticsearch::Error),
    /// The client's settings do not go together.
    #[error("the client of the search cluster cannot be made")]
    Client(#[from] elasticsearch::http::transport::BuildError),
    /// The answer is not what was asked for.
    #[error("the answer of the search cluster cannot be read")]
    Answer(#[from] serde_json::Error),
    /// It said no.
    #[error("the search cluster refused, with status {status} and {kind}: {reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The cluster's name for the fault, such as `index_not_found_exception`.
        kind: String,
        /// Its reason, for people.
        reason: String,
    },
    /// Some shards could not be asked, so that the answer would have lacked what they hold.
    #[error("{failed} of {total} shards of the search index cannot be asked")]
    Shards {
        /// Shards without an answer.
        failed: u64,
        /// Shards of the index.
        total: u64,
    },
}

impl ClusterError {
    /// The refusal that an answer tells of.
    pub(crate) fn refused(status: u16, answer: &Value) -> Self {
        let error = &answer["error"];
        let cause = error["root_cause"].get(0).unwrap_or(error);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let reason = if error.is_string() { text(error) } else { text(&cause["reason"]) };
        Self::Refused { status, kind: text(&cause["type"]), reason }
    }

    /// That what was to be written to is not there, as an item of a bulk request tells.
    pub fn missing(error: &Value) -> Self {
        Self::refused(404, &serde_json::json!({ "error": error }))
    }

    /// Whether there is no such index, alias or document.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the same request may well be done later: there was no answer, too much was under
    /// way, or some shard was not there.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Shards { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::Certificates { .. } | Self::Client(_) | Self::Answer(_) => false,
        }
    }
}
