//! The server's users: kept in the store itself, an event for each change, in a stream each.

mod passwords;
mod service;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use daybook_event_store::{
    AppendError, Direction, EventStore, Expected, IndexStream, NewEvent, ReadError, Revision,
    Store, StreamId,
};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use self::passwords::Passwords;
pub(crate) use self::service::UsersService;

/// Users' streams are of it.
const CATEGORY: &str = "$user";
/// The type of a user's first event.
const CREATED: &str = "$UserCreated";
/// The type of a user's other events. Each says everything of the user.
const UPDATED: &str = "$UserUpdated";
/// The user that may do everything.
const ADMIN: &str = "admin";
/// The group of those who may do everything.
pub(crate) const ADMINS: &str = "$admins";
/// The group of those who may look after the server.
pub(crate) const OPS: &str = "$ops";
/// A password is hashed as a whole, so it must end somewhere.
const PASSWORD_BYTES: usize = 1_024;

/// Who may use a server.
#[derive(Debug, Clone)]
pub struct Users {
    store: Store,
    passwords: Arc<Passwords>,
}

/// Why a user could not be made, changed or found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UsersError {
    /// There is none of this name.
    #[error("there is no user {0:?}")]
    NotFound(String),
    /// There is one of this name already.
    #[error("there is a user {0:?} already")]
    Exists(String),
    /// Somebody else changed the user at the same time.
    #[error("user {0:?} was changed by somebody else at the same time")]
    Conflict(String),
    /// The password is not the user's, or the user is disabled.
    #[error("the password of user {0:?} is wrong, or the user is disabled")]
    Denied(String),
    /// A name or a password that none can have.
    #[error("{0}")]
    Invalid(&'static str),
    /// What is in the store is no user.
    #[error("what the store has of user {0:?} cannot be read")]
    Damaged(String),
    /// The store does not read or write.
    #[error("{0}")]
    Unavailable(String),
}

/// A user as the store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) login_name: String,
    pub(crate) full_name: String,
    pub(crate) groups: Vec<String>,
    pub(crate) disabled: bool,
    /// Argon2id in the PHC format.
    password_hash: String,
}

/// A user, and when it was said.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) user: User,
    revision: Revision,
    /// Microseconds since 1970.
    pub(crate) recorded_at: i64,
}

impl Users {
    /// The users of a store.
    pub fn new(store: Store) -> Self {
        Self { store, passwords: Arc::default() }
    }

    /// Whether there is the user `admin`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn have_admin(&self) -> Result<bool, UsersError> {
        Ok(self.find(ADMIN).await?.is_some())
    }

    /// Makes the user `admin`, who may do everything.
    ///
    /// # Errors
    /// There is one already, or the password is none.
    pub async fn create_admin(&self, password: &str) -> Result<(), UsersError> {
        self.create(ADMIN, password, "Administrator", vec![ADMINS.into()]).await
    }

    pub(crate) async fn create(
        &self,
        login: &str,
        password: &str,
        full_name: &str,
        groups: Vec<String>,
    ) -> Result<(), UsersError> {
        let password_hash = self.hash(password).await?;
        let (login_name, full_name) = (login.to_owned(), full_name.to_owned());
        let user = User { login_name, full_name, groups, disabled: false, password_hash };
        match self.write(&user, Expected::NoStream, CREATED).await {
            Err(UsersError::Conflict(login)) => Err(UsersError::Exists(login)),
            written => written,
        }
    }

    pub(crate) async fn update(
        &self,
        login: &str,
        change: impl FnOnce(&mut User),
    ) -> Result<(), UsersError> {
        let Found { mut user, revision, .. } = self.get(login).await?;
        change(&mut user);
        self.write(&user, Expected::At(revision), UPDATED).await
    }

    pub(crate) async fn delete(&self, login: &str) -> Result<(), UsersError> {
        let Found { revision, .. } = self.get(login).await?;
        let deleted = self.store.delete(&stream(login)?, Expected::At(revision)).await;
        deleted.map(drop).map_err(|error| unwritten(login, &error))
    }

    pub(crate) async fn set_password(&self, login: &str, password: &str) -> Result<(), UsersError> {
        let password_hash = self.hash(password).await?;
        self.update(login, |user| user.password_hash = password_hash).await
    }

    /// The user whose password this is.
    pub(crate) async fn verify(&self, login: &str, password: &str) -> Result<User, UsersError> {
        let denied = || UsersError::Denied(login.chars().take(80).collect());
        if password.len() > PASSWORD_BYTES {
            return Err(denied());
        }
        let found = self.find(login).await?.map(|found| found.user);
        let hash = found.as_ref().map(|user| user.password_hash.as_str());
        let right = self.passwords.verify(hash, password).await;
        found.filter(|user| right && !user.disabled).ok_or_else(denied)
    }

    pub(crate) async fn get(&self, login: &str) -> Result<Found, UsersError> {
        self.find(login).await?.ok_or_else(|| UsersError::NotFound(login.into()))
    }

    /// All users, by name.
    pub(crate) async fn all(&self) -> Result<Vec<Found>, UsersError> {
        let created = IndexStream::EventType(CREATED.into());
        let mut created =
            pin!(self.store.read_index(&created, Revision::START, Direction::Forward));
        let mut logins = BTreeSet::new();
        while let Some(listed) = created.try_next().await.map_err(|error| unread(&error))? {
            let stream = &listed.event.stream;
            if stream.category() == CATEGORY {
                logins.insert(stream.id().to_owned());
            }
        }
        let mut all = Vec::new();
        for login in logins {
            all.extend(self.find(&login).await?);
        }
        Ok(all)
    }

    async fn find(&self, login: &str) -> Result<Option<Found>, UsersError> {
        let Ok(stream) = stream(login) else { return Ok(None) };
        let last = match self.store.read_last(&stream).await {
            Ok(last) => last,
            Err(ReadError::Deleted { .. }) => None,
            Err(error) => return Err(unread(&error)),
        };
        let Some(last) = last else { return Ok(None) };
        let user = serde_json::from_slice(&last.data);
        let user = user.map_err(|_| UsersError::Damaged(login.into()))?;
        Ok(Some(Found { user, revision: last.revision, recorded_at: last.recorded_at }))
    }

    async fn write(&self, user: &User, expected: Expected, kind: &str) -> Result<(), UsersError> {
        let login = &*user.login_name;
        let data = serde_json::to_vec(user).map_err(|_| UsersError::Damaged(login.into()))?;
        let (id, metadata) = (Uuid::now_v7(), Bytes::new());
        let event = NewEvent { id, kind: kind.into(), data: data.into(), metadata, is_json: true };
        let written = self.store.append(&stream(login)?, expected, vec![event]).await;
        written.map(drop).map_err(|error| unwritten(login, &error))
    }

    async fn hash(&self, password: &str) -> Result<String, UsersError> {
        if password.is_empty() || password.len() > PASSWORD_BYTES {
            return Err(UsersError::Invalid("a password must be 1 to 1024 bytes"));
        }
        self.passwords.hash(password).await
    }
}

fn stream(login: &str) -> Result<StreamId, UsersError> {
    let invalid = || UsersError::Invalid("a user's name must be 1 to 128 bytes without colons");
    if login.is_empty() || login.len() > 128 || login.contains(':') {
        return Err(invalid());
    }
    StreamId::new(CATEGORY, login).map_err(|_| invalid())
}

fn unread(error: &ReadError) -> UsersError {
    UsersError::Unavailable(error.to_string())
}

fn unwritten(login: &str, error: &AppendError) -> UsersError {
    match error {
        AppendError::Conflict { .. } => UsersError::Conflict(login.into()),
        AppendError::Deleted { .. } => UsersError::NotFound(login.into()),
        error => UsersError::Unavailable(error.to_string()),
    }
}
