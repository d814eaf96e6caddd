//! Settings: flag over environment (`DAYBOOK_…`) over `daybook.toml` over default.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use daybook_projections::{Address, Limits};
use daybook_search::Address as SearchAddress;
use serde::Deserialize;
use thiserror::Error;

use crate::apart::{self, Apart, ApartError};

/// The file that is read where none is named.
const DEFAULT_FILE: &str = "daybook.toml";

/// A configuration that cannot be used.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration {path}", path = path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the configuration {path} is not valid", path = path.display())]
    Invalid { path: PathBuf, source: Box<toml::de::Error> },
    #[error(transparent)]
    Apart(#[from] ApartError),
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where an event store is, with the credentials for it, which nobody is to see.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct StoreAddress(String);

impl StoreAddress {
    /// The whole of it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The store in a folder.
    pub(crate) fn of_folder(folder: &Path) -> Self {
        Self(folder.to_string_lossy().into_owned())
    }

    /// The folder that it names, if it is none of a server.
    pub(crate) fn folder(&self) -> Option<&Path> {
        (!self.0.contains("://")).then(|| Path::new(&self.0))
    }
}

impl FromStr for StoreAddress {
    type Err = Infallible;

    fn from_str(address: &str) -> Result<Self, Infallible> {
        Ok(Self(address.into()))
    }
}

/// Without its credentials.
impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.split_once("://"), self.0.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, rest))) => write!(f, "{scheme}://{rest}"),
            _ => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreAddress(…)")
    }
}

/// An address with credentials in it, which nobody is to see.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Secret(String);

impl Secret {
    /// The whole of it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A Kafka cluster, with what is said of its topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KafkaConfig {
    pub(crate) brokers: String,
    pub(crate) prefix: Option<String>,
    pub(crate) partitions: Option<NonZeroU16>,
    pub(crate) replication: Option<NonZeroU16>,
}

/// By what notifications are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotificationConfig {
    pub(crate) smtp: Option<Secret>,
    pub(crate) mail_from: Option<String>,
    pub(crate) sms: Option<Secret>,
    pub(crate) push: Option<Secret>,
}

/// Settings as given in one place: on the command line, in the environment or in the file. The
/// field names are the keys of `daybook.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Settings (also in daybook.toml)")]
pub(crate) struct Settings {
    /// Folder that holds everything: events, read models, search index [default: daybook-data]
    #[arg(long, global = true, env = "DAYBOOK_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Event store to use instead of the one in the data folder: the address of an EventStoreDB, a
    /// KurrentDB or a `daybook store serve`, such as `esdb://user:password@host:2113?tls=true`
    #[arg(long, global = true, env = "DAYBOOK_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<StoreAddress>,
    /// Database of the read models instead of the file in the data folder: a file, or a PostgreSQL
    /// database such as `postgres://user:password@host/daybook?sslmode=verify-full`
    #[arg(
        long,
        global = true,
        env = "DAYBOOK_DATABASE",
        value_name = "URL",
        hide_env_values = true
    )]
    database: Option<Address>,
    /// Replica of the database, for queries
    #[arg(
        long,
        global = true,
        env = "DAYBOOK_DATABASE_REPLICA",
        value_name = "URL",
        hide_env_values = true
    )]
    database_replica: Option<Address>,
    /// Databases of some read models alone, with spaces between them: `orders,checkouts=URL stock=URL`.
    /// In daybook.toml a table: `database_of.orders = "URL"`
    #[arg(
        long,
        global = true,
        env = "DAYBOOK_DATABASE_OF",
        value_name = "MODELS=URL",
        value_delimiter = ' ',
        hide_env_values = true
    )]
    #[serde(deserialize_with = "apart::from_table")]
    database_of: Vec<Apart>,
    /// Replicas of these databases, or of the usual one, for queries of some read models alone
    #[arg(
        long,
        global = true,
        env = "DAYBOOK_DATABASE_REPLICA_OF",
        value_name = "MODELS=URL",
        value_delimiter = ' ',
        hide_env_values = true
    )]
    #[serde(deserialize_with = "apart::from_table")]
    database_replica_of: Vec<Apart>,
    /// Most connections to PostgreSQL for queries, and as many for projections [default: 8]
    #[arg(long, global = true, env = "DAYBOOK_DATABASE_CONNECTIONS", value_name = "N")]
    database_connections: Option<NonZeroU32>,
    /// Seconds to wait for a connection to PostgreSQL [default: 5]
    #[arg(long, global = true, env = "DAYBOOK_DATABASE_CONNECT_SECONDS", value_name = "N")]
    database_connect_seconds: Option<NonZeroU32>,
    /// Seconds that a statement may take on PostgreSQL [default: 10]
    #[arg(long, global = true, env = "DAYBOOK_DATABASE_STATEMENT_SECONDS", value_name = "N")]
    database_statement_seconds: Option<NonZeroU32>,
    /// Elasticsearch or OpenSearch of the catalog's search instead of the index in the data folder, such
    /// as `https://user:password@host:9200?ca=/etc/ca.pem`
    #[arg(long, global = true, env = "DAYBOOK_SEARCH", value_name = "URL", hide_env_values = true)]
    search: Option<SearchAddress>,
    /// Address to listen on [default: 127.0.0.1:8420; for `psp` 127.0.0.1:8421, for `store serve` 127.0.0.1:2113]
    #[arg(long, global = true, env = "DAYBOOK_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Address of a payment provider's API; the simulated provider in the box if not given
    #[arg(long, global = true, env = "DAYBOOK_PAYMENT_PROVIDER", value_name = "URL")]
    payment_provider: Option<String>,
    /// Brokers of Kafka to publish events to, and to take them from: `host:port`, separated by commas
    /// [default: none; consumers follow the event store]
    #[arg(long, global = true, env = "DAYBOOK_KAFKA", value_name = "BROKERS")]
    kafka: Option<String>,
    /// What the names of topics and groups of consumers begin with [default: daybook]
    #[arg(long, global = true, env = "DAYBOOK_KAFKA_PREFIX", value_name = "NAME")]
    kafka_prefix: Option<String>,
    /// Partitions of topics that are made [default: 6]
    #[arg(long, global = true, env = "DAYBOOK_KAFKA_PARTITIONS", value_name = "N")]
    kafka_partitions: Option<NonZeroU16>,
    /// Replicas of topics that are made [default: 1]
    #[arg(long, global = true, env = "DAYBOOK_KAFKA_REPLICATION", value_name = "N")]
    kafka_replication: Option<NonZeroU16>,
    /// Mail server for notifications, such as `smtps://user:password@host`; without one they are
    /// recorded and not sent
    #[arg(long, global = true, env = "DAYBOOK_SMTP", value_name = "URL", hide_env_values = true)]
    smtp: Option<Secret>,
    /// Whom notifications come from; else `Daybook <daybook@localhost>`
    #[arg(long, global = true, env = "DAYBOOK_MAIL_FROM", value_name = "ADDRESS")]
    mail_from: Option<String>,
    /// Provider that sends texts to phones; without one they are recorded and not sent
    #[arg(long, global = true, env = "DAYBOOK_SMS", value_name = "URL", hide_env_values = true)]
    sms: Option<Secret>,
    /// Provider that sends texts to devices; without one they are recorded and not sent
    #[arg(long, global = true, env = "DAYBOOK_PUSH", value_name = "URL", hide_env_values = true)]
    push: Option<Secret>,
    /// Whether to compress segments of the event store once they are full [default: false]
    #[arg(long, global = true, env = "DAYBOOK_STORE_COMPRESS", value_name = "BOOL")]
    store_compress: Option<bool>,
    /// Address on which `serve` serves its event store to EventStoreDB's clients [default: none]
    #[arg(long, global = true, env = "DAYBOOK_STORE_LISTEN", value_name = "ADDR")]
    store_listen: Option<SocketAddr>,
    /// Hours between two scavenges of the event store by a server; 0 for none [default: 24]
    #[arg(long, global = true, env = "DAYBOOK_STORE_SCAVENGE_HOURS", value_name = "N")]
    store_scavenge_hours: Option<u32>,
    /// What to log, such as `debug` or `warn,daybook_command_side=debug` [default: info for servers, warn for tools]
    #[arg(long, global = true, env = "DAYBOOK_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look
    #[arg(long, global = true, env = "DAYBOOK_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Seconds that a shutdown waits for what is under way [default: 30]
    #[arg(long, global = true, env = "DAYBOOK_SHUTDOWN_SECONDS", value_name = "N")]
    shutdown_seconds: Option<u64>,
}

/// Settings in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    /// The event store, if it is not the one in the data folder.
    pub(crate) store: Option<StoreAddress>,
    /// The database of the read models, if it is not the file in the data folder.
    pub(crate) database: Option<Address>,
    /// Where queries are put, if not to the database itself.
    pub(crate) database_replica: Option<Address>,
    /// The databases of read models that have their own.
    pub(crate) database_of: Vec<(String, Address)>,
    /// Where queries of some read models are put, if not to their database or the usual replica.
    pub(crate) database_replica_of: Vec<(String, Address)>,
    pub(crate) database_limits: Limits,
    /// The cluster of the catalog's search, if it is not the index in the data folder.
    pub(crate) search: Option<SearchAddress>,
    /// The address to listen on, if it is not the command's own default.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) payment_provider: Option<String>,
    /// The cluster that events are published to, if any.
    pub(crate) kafka: Option<KafkaConfig>,
    pub(crate) notifications: NotificationConfig,
    pub(crate) store_compress: bool,
    /// The address to serve the event store on, if it is.
    pub(crate) store_listen: Option<SocketAddr>,
    /// The time between two scavenges, if there are any.
    pub(crate) scavenge_interval: Option<Duration>,
    pub(crate) log: Option<String>,
    pub(crate) log_format: LogFormat,
    pub(crate) shutdown: Duration,
}

impl Settings {
    /// Completes what flags and environment gave by the file and the defaults.
    pub(crate) fn resolve(self, file: Option<&Path>) -> Result<Config, ConfigError> {
        let file = match file {
            Some(path) => Self::read(path)?,
            None if Path::new(DEFAULT_FILE).exists() => Self::read(Path::new(DEFAULT_FILE))?,
            None => Self::default(),
        };
        let scavenge_hours = self.store_scavenge_hours.or(file.store_scavenge_hours).unwrap_or(24);
        let usual = Limits::default();
        let seconds = |given: Option<NonZeroU32>, usual| {
            given.map_or(usual, |seconds| Duration::from_secs(seconds.get().into()))
        };
        let database_limits = Limits {
            connections: self
                .database_connections
                .or(file.database_connections)
                .map_or(usual.connections, NonZeroU32::get),
            connect: seconds(
                self.database_connect_seconds.or(file.database_connect_seconds),
                usual.connect,
            ),
            statement: seconds(
                self.database_statement_seconds.or(file.database_statement_seconds),
                usual.statement,
            ),
        };
        let of = apart::resolve("database_of", either(self.database_of, file.database_of))?;
        let replica_of = either(self.database_replica_of, file.database_replica_of);
        let replica_of = apart::resolve("database_replica_of", replica_of)?;
        Ok(Config {
            data_dir: self.data_dir.or(file.data_dir).unwrap_or_else(|| "daybook-data".into()),
            store: self.store.or(file.store),
            database: self.database.or(file.database),
            database_replica: self.database_replica.or(file.database_replica),
            database_of: of,
            database_replica_of: replica_of,
            database_limits,
            search: self.search.or(file.search),
            listen: self.listen.or(file.listen),
            payment_provider: self.payment_provider.or(file.payment_provider),
            kafka: self.kafka.or(file.kafka).map(|brokers| KafkaConfig {
                brokers,
                prefix: self.kafka_prefix.or(file.kafka_prefix),
                partitions: self.kafka_partitions.or(file.kafka_partitions),
                replication: self.kafka_replication.or(file.kafka_replication),
            }),
            notifications: NotificationConfig {
                smtp: self.smtp.or(file.smtp),
                mail_from: self.mail_from.or(file.mail_from),
                sms: self.sms.or(file.sms),
                push: self.push.or(file.push),
            },
            store_compress: self.store_compress.or(file.store_compress).unwrap_or(false),
            store_listen: self.store_listen.or(file.store_listen),
            scavenge_interval: (scavenge_hours > 0)
                .then(|| Duration::from_hours(scavenge_hours.into())),
            log: self.log.or(file.log),
            log_format: self.log_format.or(file.log_format).unwrap_or_default(),
            shutdown: Duration::from_secs(
                self.shutdown_seconds.or(file.shutdown_seconds).unwrap_or(30),
            ),
        })
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
        toml::from_str(&text)
            .map_err(|source| ConfigError::Invalid { path: path.into(), source: Box::new(source) })
    }
}

/// What was given first, if anything was.
fn either<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    if first.is_empty() { second } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given_file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("daybook.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn an_address_is_shown_without_its_credentials() {
        let shown = |address: &str| StoreAddress(address.into()).to_string();
        assert_eq!(shown("esdb://admin:changeit@db:2113?tls=true"), "esdb://db:2113?tls=true");
        assert_eq!(shown("kurrentdb://db:2113"), "kurrentdb://db:2113");
        assert_eq!(shown("backups/events"), "backups/events");
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let (_folder, path) = given_file("data_dir = \"from-file\"\nlisten = \"127.0.0.1:1\"\n");
        let flags = Settings { data_dir: Some("from-flag".into()), ..Settings::default() };

        let config = flags.resolve(Some(&path)).unwrap();

        assert_eq!(config.data_dir, Path::new("from-flag"));
        assert_eq!(config.listen.map(|address| address.port()), Some(1));
        assert_eq!(config.log_format, LogFormat::Text);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place_and_the_known_ones() {
        let (_folder, path) = given_file("data_dri = \"x\"\n");

        let error = anyhow::Error::from(Settings::default().resolve(Some(&path)).unwrap_err());

        let told = format!("{error:#}");
        assert!(told.contains("data_dri") && told.contains("data_dir"), "{told}");
        assert!(told.contains("line 1"), "{told}");
    }

    #[test]
    fn the_address_of_the_store_is_not_shown() {
        let (_folder, path) = given_file("store = \"esdb://admin:secret@host\"\n");

        let config = Settings::default().resolve(Some(&path)).unwrap();

        assert_eq!(config.store.as_ref().unwrap().reveal(), "esdb://admin:secret@host");
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn the_password_of_the_database_is_not_shown() {
        let text = "database = \"postgres://ann:secret@db/shop\"\n\
                    database_replica = \"postgres://replica/shop?password=secret\"\n\
                    database_connections = 3\n";
        let (_folder, path) = given_file(text);
        let flags =
            Settings { database_statement_seconds: NonZeroU32::new(2), ..Settings::default() };

        let config = flags.resolve(Some(&path)).unwrap();

        let database = config.database.as_ref().unwrap();
        assert_eq!(database.reveal(), "postgres://ann:secret@db/shop");
        assert!(!format!("{config:?}").contains("secret"));
        let (connections, statement) = (3, Duration::from_secs(2));
        let limits = Limits { connections, statement, ..Limits::default() };
        assert_eq!(config.database_limits, limits);
    }

    #[test]
    fn read_models_have_databases_of_their_own() {
        let text = "database_replica = \"postgres://replica/shop\"\n\
                    [database_of]\n\"orders, checkouts\" = \"postgres://ann:secret@db/orders\"\n\
                    [database_replica_of]\nstock = \"b.sqlite\"\n";
        let (_folder, path) = given_file(text);

        let config = Settings::default().resolve(Some(&path)).unwrap();

        let orders = Address::from("postgres://ann:secret@db/orders");
        let own = ["orders", "checkouts"].map(|name| (name.to_owned(), orders.clone()));
        assert_eq!(config.database_of, own);
        assert_eq!(config.database_replica_of, [("stock".to_owned(), Address::from("b.sqlite"))]);
        assert!(!format!("{config:?}").contains("secret"));
        // What is given nearer takes the place of the whole table.
        let database_of = vec!["stock=c.sqlite".parse().unwrap()];
        let flags = Settings { database_of, ..Settings::default() };
        let config = flags.resolve(Some(&path)).unwrap();
        assert_eq!(config.database_of, [("stock".to_owned(), Address::from("c.sqlite"))]);
    }

    #[test]
    fn the_guides_example_of_databases_is_as_it_says() {
        let page = include_str!("../../docs/guide/postgresql.md");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let (_folder, path) = given_file(example.unwrap());

        let config = Settings::default().resolve(Some(&path)).unwrap();

        let names = |own: &[(String, Address)]| {
            own.iter().map(|(name, address)| format!("{name} {address}")).collect::<Vec<_>>()
        };
        let own = [
            "orders postgres://db2/orders",
            "checkouts postgres://db2/orders",
            "payments postgres://db3/payments",
            "stock inventory.sqlite",
        ];
        assert_eq!(names(&config.database_of), own);
        let replicas = ["orders postgres://db2-replica/orders"];
        assert_eq!(names(&config.database_replica_of), replicas);
        assert_eq!(config.database.unwrap().to_string(), "postgres://db1/daybook");
    }

    #[test]
    fn the_password_of_the_search_is_not_shown() {
        let (_folder, path) = given_file("search = \"https://ann:secret@es:9200\"\n");

        let config = Settings::default().resolve(Some(&path)).unwrap();

        assert_eq!(config.search.as_ref().unwrap().to_string(), "https://es:9200");
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn what_is_no_address_of_a_search_is_refused() {
        let (_folder, path) = given_file("search = \"es:9200\"\n");

        let error = anyhow::Error::from(Settings::default().resolve(Some(&path)).unwrap_err());

        assert!(format!("{error:#}").contains("https://user:password@host:9200"), "{error:#}");
    }

    #[test]
    fn credentials_for_notifications_are_not_shown() {
        let text =
            "smtp = \"smtps://ann:secret@mail\"\nkafka = \"a:1,b:2\"\nkafka_replication = 3\n";
        let (_folder, path) = given_file(text);

        let config = Settings::default().resolve(Some(&path)).unwrap();

        let smtp = config.notifications.smtp.as_ref().unwrap();
        assert_eq!(smtp.reveal(), "smtps://ann:secret@mail");
        assert!(!format!("{config:?}").contains("secret"));
        let kafka = config.kafka.unwrap();
        assert_eq!((&*kafka.brokers, kafka.replication), ("a:1,b:2", NonZeroU16::new(3)));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused() {
        let (_folder, path) = given_file("listen = \"everywhere\"\n");

        let error = Settings::default().resolve(Some(&path)).unwrap_err();

        assert!(matches!(error, ConfigError::Invalid { .. }));
    }

    #[test]
    fn a_named_file_must_be_there() {
        let error = Settings::default().resolve(Some(Path::new("no-such.toml"))).unwrap_err();

        assert!(matches!(error, ConfigError::Unreadable { .. }));
    }
}
