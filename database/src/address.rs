use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;

use crate::Engine;

/// Where a database is: the path of a `SQLite` file or its `sqlite://` address, or the
/// `postgres://` address of a `PostgreSQL` database. It is shown without credentials.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Address(String);

impl Address {
    /// The whole of it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it names a server.
    pub fn is_server(&self) -> bool {
        self.engine() == Engine::Postgres
    }

    /// The same database of a server, with tables in a schema of their own.
    #[must_use]
    pub fn with_schema(&self, schema: &str) -> Self {
        let join = if self.0.contains('?') { '&' } else { '?' };
        Self(format!("{}{join}options[search_path]={schema}", self.0))
    }

    /// Whether it is a path at which there is no file: opening it would make one.
    pub fn is_missing(&self) -> bool {
        let is_path = self.engine() == Engine::Sqlite && !self.0.contains("://");
        is_path && !Path::new(&self.0).exists()
    }

    /// Which engine is there.
    pub fn engine(&self) -> Engine {
        match self.0.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Engine::Postgres,
            _ => Engine::Sqlite,
        }
    }
}

impl From<&str> for Address {
    fn from(address: &str) -> Self {
        Self(address.to_owned())
    }
}

impl FromStr for Address {
    type Err = Infallible;

    fn from_str(address: &str) -> Result<Self, Infallible> {
        Ok(address.into())
    }
}

/// Of a server's address only what tells it from others: a password may stand before the host, and
/// among the parameters, too.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.engine(), self.0.split_once("://")) {
            (Engine::Postgres, Some((scheme, rest))) => {
                let place = rest.split('?').next().unwrap_or_default();
                let place = place.rsplit('@').next().unwrap_or_default();
                write!(f, "{scheme}://{place}")
            }
            _ => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_its_engine() {
        let engine = |address: &str| Address::from(address).engine();
        assert_eq!(engine("data/read-models.sqlite"), Engine::Sqlite);
        assert_eq!(engine("sqlite://a.db"), Engine::Sqlite);
        assert_eq!(engine("postgres://db/daybook"), Engine::Postgres);
        assert_eq!(engine("postgresql://db/daybook"), Engine::Postgres);
    }

    #[test]
    fn only_a_path_can_be_missing() {
        let is_missing = |address: &str| Address::from(address).is_missing();
        assert!(is_missing("src/no-such-file.sqlite"));
        assert!(!is_missing("src/address.rs"));
        assert!(!is_missing("sqlite://src/no-such-file.sqlite"));
        assert!(!is_missing("postgres://db/daybook"));
    }

    #[test]
    fn a_schema_is_a_parameter() {
        let within = |address: &str| Address::from(address).with_schema("s").reveal().to_owned();
        assert_eq!(within("postgres://db/a"), "postgres://db/a?options[search_path]=s");
        assert_eq!(within("postgres://db/a?b=c"), "postgres://db/a?b=c&options[search_path]=s");
    }

    #[test]
    fn an_address_is_shown_without_its_credentials() {
        let shown = |address: &str| format!("{0} {0:?}", Address::from(address));
        for address in [
            "postgres://ann:secret@db:5432/shop",
            "postgres://ann:se@cret@db:5432/shop?sslmode=require",
            "postgres://db:5432/shop?user=ann&password=secret",
        ] {
            let address = shown(address);
            assert_eq!(address, "postgres://db:5432/shop Address(postgres://db:5432/shop)");
        }
        assert_eq!(shown("a@b.db"), "a@b.db Address(a@b.db)");
    }
}
