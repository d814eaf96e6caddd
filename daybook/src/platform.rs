//! All roles of the platform in one process, on embedded engines in one folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use daybook_command_side::Commands;
use daybook_command_side::payments::{HttpOptions, HttpProvider, Provider, SimulatedProvider};
use daybook_event_store::{EmbeddedOptions, EventStore, Position, Store};
use daybook_gateway::ReadinessCheck;
use daybook_projections::catalog::{Catalog, CatalogOptions};
use daybook_projections::{
    Address, Database, Databases, Operator, PerModel, Progress, ProjectionOptions, Projections,
    State,
};
use daybook_query_side::{Queries, catalog};
use futures::future;
use tokio_util::sync::CancellationToken;

use crate::apart;
use crate::config::Config;
use crate::housekeeping;
use crate::processes::Processes;

/// How long the read models may stand still before nobody waits for them any more.
const PATIENCE: Duration = Duration::from_mins(2);

/// How far a read model may be behind before the platform is not ready.
const LATE: Duration = Duration::from_mins(1);

/// Where things are in the data folder.
pub(crate) struct Layout<'a>(pub(crate) &'a Config);

impl Layout<'_> {
    pub(crate) fn events(&self) -> PathBuf {
        self.0.data_dir.join("events")
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.0.data_dir.join("simulated-provider")
    }

    /// Where each read model is.
    pub(crate) fn read_models(&self) -> anyhow::Result<PerModel<Address>> {
        Ok(apart::places(self.usual_read_models()?, &self.0.database_of))
    }

    /// Where each read model is asked: those in a database of their own not at the usual replica.
    fn replicas(&self) -> anyhow::Result<PerModel<Address>> {
        let Config { database_replica, database_of, database_replica_of, .. } = self.0;
        let usual = database_replica.clone().map_or_else(|| self.usual_read_models(), Ok)?;
        Ok(apart::places(usual, database_of.iter().chain(database_replica_of)))
    }

    fn usual_read_models(&self) -> anyhow::Result<Address> {
        match &self.0.database {
            Some(address) => Ok(address.clone()),
            None => Ok(Address::from(text(&self.0.data_dir.join("read-models.sqlite"))?)),
        }
    }

    /// Where the relay and the consumers keep what is theirs: not with the read models in a file,
    /// which may be deleted.
    pub(crate) fn integration(&self) -> anyhow::Result<Address> {
        match &self.0.database {
            Some(address) => Ok(address.clone()),
            None => Ok(Address::from(text(&self.0.data_dir.join("integration.sqlite"))?)),
        }
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.0.data_dir.join("catalog")
    }
}

/// Opens the event store: that of the data folder, which no other process may be using, or the one
/// that is served elsewhere.
pub(crate) fn open_store(config: &Config) -> anyhow::Result<Store> {
    match &config.store {
        Some(address) => Ok(Store::eventstoredb(address.reveal())?),
        None => open(&Layout(config).events(), config),
    }
}

/// Opens the event store to read it only, whoever else is using it.
pub(crate) fn look_at_store(config: &Config) -> anyhow::Result<Store> {
    match &config.store {
        Some(_) => open_store(config),
        None => look_at(&Layout(config).events()),
    }
}

/// Opens the books of the simulated payment provider to read them only, whoever is using them.
pub(crate) fn look_at_ledger(config: &Config) -> anyhow::Result<Store> {
    look_at(&Layout(config).ledger())
}

fn look_at(folder: &Path) -> anyhow::Result<Store> {
    Store::embedded_read_only(folder, &EmbeddedOptions::default())
        .with_context(|| format!("cannot read the event store in {}", folder.display()))
}

/// Opens the books of the simulated payment provider.
pub(crate) fn open_ledger(config: &Config) -> anyhow::Result<Store> {
    open(&Layout(config).ledger(), config)
}

fn open(folder: &Path, config: &Config) -> anyhow::Result<Store> {
    let options = EmbeddedOptions { compress: config.store_compress, ..EmbeddedOptions::default() };
    Store::embedded(folder, &options)
        .with_context(|| format!("cannot open the event store in {}", folder.display()))
}

/// Opens the databases of the read models to write, each once something is asked of it.
pub(crate) fn open_databases(config: &Config) -> anyhow::Result<Databases> {
    let open = |address: &Address| Database::connect(address, &config.database_limits);
    Ok(Layout(config).read_models()?.try_map(open)?)
}

/// What operates the read models, beside whatever process fills them. `None`: there are none yet,
/// and none are made.
pub(crate) fn find_operator(config: &Config) -> anyhow::Result<Option<Operator>> {
    if Layout(config).read_models()?.iter().all(|(_, address)| address.is_missing()) {
        return Ok(None);
    }
    Ok(Some(operator(config)?))
}

/// What operates the read models, which are made if there are none yet.
pub(crate) fn operator(config: &Config) -> anyhow::Result<Operator> {
    let operator = Operator::new(look_at_store(config)?, open_databases(config)?);
    Ok(operator.with_catalog(catalog_options(config).place))
}

fn catalog_options(config: &Config) -> CatalogOptions {
    match &config.search {
        Some(cluster) => CatalogOptions::on(cluster.clone()),
        None => CatalogOptions::new(Layout(config).catalog()),
    }
}

/// Opens the read models, or their replicas, for questions.
pub(crate) fn open_queries(config: &Config) -> anyhow::Result<Queries> {
    Ok(Queries::open_apart(&Layout(config).replicas()?, &config.database_limits)?)
}

/// Opens the catalog's index for questions.
pub(crate) fn open_catalog(config: &Config) -> anyhow::Result<catalog::Catalog> {
    Ok(match &config.search {
        Some(cluster) => catalog::Catalog::on(cluster)?,
        None => catalog::Catalog::new(Layout(config).catalog()),
    })
}

/// The running platform.
pub(crate) struct Platform {
    pub(crate) store: Store,
    pub(crate) commands: Commands,
    pub(crate) provider: Provider,
    processes: Processes,
    projections: Projections,
    catalog: Catalog,
    databases: Databases,
    /// Stops the process managers first, since what they still do is to be projected …
    deciding: CancellationToken,
    /// … and then the projections.
    projecting: CancellationToken,
    /// How long a stop waits for the read models.
    patience: Duration,
}

impl Platform {
    /// Starts every role on the data folder.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        // First, so that an address that makes no sense is told before anything is opened.
        let databases = open_databases(config)?;
        std::fs::create_dir_all(&config.data_dir).with_context(|| {
            format!("cannot make the data folder {}", config.data_dir.display())
        })?;
        let store = open_store(config)?;
        let provider = provider(config)?;
        let commands = Commands::new(store.clone());
        let (deciding, projecting) = (CancellationToken::new(), CancellationToken::new());
        let projections = Projections::start(
            store.clone(),
            databases.clone(),
            projection_options(config),
            projecting.clone(),
        )
        .await?;
        let catalog = catalog_options(config);
        let catalog = Catalog::start(store.clone(), catalog, projecting.clone()).await?;
        let processes = Processes::start(&commands, &provider, &deciding);
        housekeeping::start(&store, config.scavenge_interval, &deciding);
        Ok(Self {
            store,
            commands,
            provider,
            processes,
            projections,
            catalog,
            databases,
            deciding,
            projecting,
            patience: config.shutdown,
        })
    }

    /// Waits until nothing is left to decide or to project.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        loop {
            let Some(head) = self.store.head().await? else { return Ok(()) };
            tokio::time::timeout(PATIENCE, self.reach(head)).await.map_err(|_| {
                anyhow!("the read models or processes stay behind; the log says why")
            })?;
            if self.store.head().await? == Some(head) {
                return Ok(());
            }
        }
    }

    /// Does something that needs all roles, as long as none of them ends.
    pub(crate) async fn during<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            done = work => done,
            name = self.processes.end() => Err(anyhow!("process {name} has ended; the log says why")),
        }
    }

    async fn reach(&self, head: Position) {
        self.processes.reach(head).await;
        reach(&self.projections, &self.catalog, head).await;
    }

    /// What must hold for the platform to be of use.
    pub(crate) fn readiness(&self) -> Vec<ReadinessCheck> {
        let projections = self.projections.progress().iter().map(|(&name, progress)| {
            let progress = progress.clone();
            ReadinessCheck::new(format!("projection {name}"), move || {
                let Progress { state, lag, .. } = *progress.borrow();
                let verdict = match state {
                    State::Interrupted | State::Stopped => Err(format!("{state:?}").to_lowercase()),
                    _ if lag > LATE => Err(format!("{} s behind", lag.as_secs())),
                    _ => Ok(()),
                };
                Box::pin(future::ready(verdict))
            })
        });
        let processes = self.processes.progress().map(|(name, progress)| {
            ReadinessCheck::new(format!("process {name}"), move || {
                // The sender lives as long as the process.
                let verdict = progress.has_changed().map(drop).map_err(|_| "stopped".to_owned());
                Box::pin(future::ready(verdict))
            })
        });
        let interrupted = self.catalog.interrupted();
        let catalog = ReadinessCheck::new("projection catalog", move || {
            // The sender lives as long as the worker.
            let verdict = match interrupted.has_changed() {
                Err(_) => Err("stopped".to_owned()),
                Ok(_) if *interrupted.borrow() => Err("interrupted".to_owned()),
                Ok(_) => Ok(()),
            };
            Box::pin(future::ready(verdict))
        });
        projections.chain(processes).chain([catalog]).collect()
    }

    /// Stops every role: what is being decided is finished and projected first.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.deciding.cancel();
        let decided = match tokio::time::timeout(self.patience, self.processes.join()).await {
            Ok(decided) => decided,
            Err(_) => Err(anyhow!("the process managers did not stop in time; nothing is lost")),
        };
        if let Some(head) = self.store.head().await? {
            let projected = reach(&self.projections, &self.catalog, head);
            if tokio::time::timeout(self.patience, projected).await.is_err() {
                tracing::warn!("the read models stay behind and will catch up at the next start");
            }
        }
        self.projecting.cancel();
        self.projections.join().await;
        self.catalog.join().await?;
        for (_, database) in self.databases.iter() {
            database.close().await;
        }
        decided
    }
}

/// How projections run. The lock of the embedded store admits one process to the folder: whatever
/// lease a killed one left behind in it is this one's. Beside another store, or on another
/// database, processes are told apart, and the lease of a killed one runs out first.
fn projection_options(config: &Config) -> ProjectionOptions {
    let options = ProjectionOptions::default();
    match (&config.store, &config.database) {
        (None, None) if config.database_of.is_empty() => {
            ProjectionOptions { owner: "embedded".into(), ..options }
        }
        _ => options,
    }
}

/// Waits until the read models know everything up to a position.
async fn reach(projections: &Projections, catalog: &Catalog, head: Position) {
    for progress in projections.progress().values() {
        // An error means that the worker has ended: nothing more will come.
        let there = |progress: &Progress| {
            progress.position >= Some(head) || progress.state == State::Paused
        };
        let _ = progress.clone().wait_for(there).await;
    }
    catalog.reach(head).await;
}

pub(crate) fn provider(config: &Config) -> anyhow::Result<Provider> {
    Ok(match &config.payment_provider {
        Some(url) => Provider::Http(HttpProvider::new(url, HttpOptions::default())?),
        None => Provider::Simulated(SimulatedProvider::new(open_ledger(config)?)),
    })
}

/// A path as the text that databases are addressed by.
fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
