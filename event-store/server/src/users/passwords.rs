use std::collections::HashMap;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::UsersError;

/// How many passwords are hashed at a time: whoever guesses must not take all processors, nor much
/// memory (19 MiB each).
const AT_ONCE: usize = 2;
/// How many right passwords are remembered.
const REMEMBERED: usize = 1_024;

/// Hashes and checks passwords. It takes long, so what was right is remembered, as a digest.
#[derive(Debug)]
pub(crate) struct Passwords {
    turns: Semaphore,
    /// The digests of right passwords, by their hashes.
    right: Mutex<HashMap<String, [u8; 32]>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Semaphore::new(AT_ONCE), right: Mutex::default() }
    }
}

impl Passwords {
    pub(crate) async fn hash(&self, password: &str) -> Result<String, UsersError> {
        let password = password.to_owned();
        let hashed = self.slowly(move || hash(&password)).await;
        hashed.ok_or_else(|| UsersError::Unavailable("passwords cannot be hashed".into()))
    }

    /// Whether a password is the one that was hashed; where there is none, it takes as long.
    pub(crate) async fn verify(&self, hash: Option<&str>, password: &str) -> bool {
        let Some(hash) = hash else {
            let password = password.to_owned();
            self.slowly(move || self::hash(&password)).await;
            return false;
        };
        let digest = digest(hash, password);
        if self.right.lock().get(hash) == Some(&digest) {
            return true;
        }
        let (expected, password) = (hash.to_owned(), password.to_owned());
        let right = self.slowly(move || matches(&expected, &password).then_some(())).await;
        if right.is_some() {
            self.remember(hash, digest);
        }
        right.is_some()
    }

    fn remember(&self, hash: &str, digest: [u8; 32]) {
        let mut right = self.right.lock();
        if right.len() >= REMEMBERED {
            right.clear();
        }
        right.insert(hash.into(), digest);
    }

    async fn slowly<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let _turn = self.turns.acquire().await.ok()?;
        spawn_blocking(work).await.ok().flatten()
    }
}

fn hash(password: &str) -> Option<String> {
    let hash: PasswordHash = Argon2::default().hash_password(password.as_bytes()).ok()?;
    Some(hash.to_string())
}

fn matches(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// The hash has a salt, so the digest has one.
fn digest(hash: &str, password: &str) -> [u8; 32] {
    Sha256::new().chain_update(hash).chain_update([0]).chain_update(password).finalize().into()
}
