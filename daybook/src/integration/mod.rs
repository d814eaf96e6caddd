//! Integration events: the relay and the consumers beside `serve`, or as processes of their own.

mod report;

use std::num::NonZeroU16;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::routing::get;
use chrono::Utc;
use daybook_event_store::Store;
use daybook_integration::feed::{InProcessFeed, KafkaFeed};
use daybook_integration::notifications::{
    Channels, HttpChannel, Notifications, Sender, SenderOptions, SmtpChannel, Transport, prefer,
};
use daybook_integration::{
    Analytics, Consumer, ConsumerOptions, Kafka, Lease, Pool, Relay, RelayOptions, open, run,
};
use daybook_query_side::outcomes::{Outcomes, Step};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cli::{self, By, Wanted};
use crate::config::{Config, Secret};
use crate::platform::{self, Layout};
use crate::serve::{limits, tell};
use crate::shutdown;

/// Whom letters come from if nobody says so.
const FROM: &str = "Daybook <daybook@localhost>";

/// The pause before a cluster that does not answer is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// The running relay and consumers.
pub(crate) struct Integration {
    tasks: JoinSet<anyhow::Result<()>>,
    pool: Pool,
    stopping: CancellationToken,
}

impl Integration {
    /// Starts everything beside a server: consumers in process or, with a cluster, the relay to it
    /// and consumers of its topics.
    pub(crate) async fn start(
        store: &Store,
        config: &Config,
        stopping: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let mut this = Self::new(config, stopping).await?;
        if let Some(kafka) = kafka(config) {
            this.relay(store, kafka, config)?;
        }
        this.consumer(Analytics, Some(store), config);
        this.consumer(Notifications::default(), Some(store), config);
        this.sender(config)?;
        Ok(this)
    }

    async fn new(config: &Config, stopping: &CancellationToken) -> anyhow::Result<Self> {
        let pool = open_database(config).await?;
        Ok(Self { tasks: JoinSet::new(), pool, stopping: stopping.clone() })
    }

    fn relay(&mut self, store: &Store, kafka: Kafka, config: &Config) -> anyhow::Result<()> {
        let options = RelayOptions::new(lease(config));
        let relay = Relay::new(store.clone(), self.pool.clone(), kafka, options)?;
        let relay = relay.run(self.stopping.clone());
        self.tasks.spawn(async {
            relay.await;
            Ok(())
        });
        Ok(())
    }

    fn consumer<C: Consumer>(&mut self, consumer: C, store: Option<&Store>, config: &Config) {
        let (pool, stopping) = (self.pool.clone(), self.stopping.clone());
        let options = ConsumerOptions::default();
        match (kafka(config), store) {
            (Some(kafka), _) => {
                self.tasks.spawn(async move {
                    let Some(feed) = join::<C>(kafka, &stopping).await else { return Ok(()) };
                    Ok(run(consumer, feed, pool, options, stopping).await?)
                });
            }
            (None, Some(store)) => {
                let (store, lease) = (store.clone(), lease(config));
                let feed = InProcessFeed::new(store, pool.clone(), C::NAME, C::KINDS, lease);
                self.tasks
                    .spawn(async move { Ok(run(consumer, feed, pool, options, stopping).await?) });
            }
            (None, None) => {}
        }
    }

    fn sender(&mut self, config: &Config) -> anyhow::Result<()> {
        let options = SenderOptions { channels: channels(config)?, ..SenderOptions::default() };
        let sender = Sender::new(self.pool.clone(), options)?.run(self.stopping.clone());
        self.tasks.spawn(async {
            sender.await;
            Ok(())
        });
        Ok(())
    }

    /// Serves metrics where that is asked for.
    async fn metrics(&mut self, config: &Config) -> anyhow::Result<()> {
        let Some(address) = config.listen else { return Ok(()) };
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
        tell(&format!("metrics are on http://{}/metrics", listener.local_addr()?));
        let router = Router::new()
            .route("/metrics", get(|| async { daybook_observability::render() }))
            .route("/health/live", get(|| async {}));
        let (limits, stopping) = (limits(config), self.stopping.clone());
        self.tasks.spawn(async move {
            Ok(daybook_gateway::serve(listener, router, &limits, stopping).await?)
        });
        Ok(())
    }

    /// Waits until everything has stopped.
    pub(crate) async fn join(mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        self.pool.close().await;
        Ok(())
    }
}

/// Joins a group as soon as the cluster answers. `None`: stopped first.
async fn join<C: Consumer>(kafka: Kafka, stopping: &CancellationToken) -> Option<KafkaFeed> {
    while !stopping.is_cancelled() {
        match KafkaFeed::join(kafka.clone(), C::NAME, C::KINDS).await {
            Ok(feed) => return Some(feed),
            Err(error) => {
                tracing::warn!(%error, consumer = C::NAME, "kafka does not answer, and is tried again");
                let _ = timeout(PAUSE, stopping.cancelled()).await;
            }
        }
    }
    None
}

/// The cluster of a configuration.
pub(crate) fn kafka(config: &Config) -> Option<Kafka> {
    let given = config.kafka.as_ref()?;
    let usual = Kafka::new(given.brokers.as_str());
    let number = |given: Option<NonZeroU16>, usual| given.map_or(usual, |n| n.get().into());
    Some(Kafka {
        prefix: given.prefix.clone().unwrap_or(usual.prefix),
        partitions: number(given.partitions, usual.partitions),
        replication: number(given.replication, usual.replication),
        ..usual
    })
}

/// Opens what the relay and the consumers keep.
pub(crate) async fn open_database(config: &Config) -> anyhow::Result<Pool> {
    if config.database.is_none() {
        std::fs::create_dir_all(&config.data_dir).with_context(|| {
            format!("cannot make the data folder {}", config.data_dir.display())
        })?;
    }
    Ok(open(&Layout(config).integration()?, &config.database_limits).await?)
}

/// One process works in a data folder: whatever lease a killed one left behind is this one's.
fn lease(config: &Config) -> Lease {
    let owner = match (&config.store, &config.database) {
        (None, None) => "embedded".into(),
        _ => Uuid::now_v7().to_string(),
    };
    Lease { owner: owner.into(), length: Duration::from_secs(15) }
}

fn channels(config: &Config) -> anyhow::Result<Channels> {
    let given = &config.notifications;
    let http = |url: &Option<Secret>| {
        Ok::<_, anyhow::Error>(match url {
            Some(url) => Transport::Http(HttpChannel::new(url.reveal())?),
            None => Transport::Sink,
        })
    };
    let email = match &given.smtp {
        Some(url) => {
            let from = given.mail_from.as_deref().unwrap_or(FROM);
            let smtp = SmtpChannel::new(url.reveal(), from);
            Transport::Smtp(Box::new(smtp.context("--smtp or --mail-from makes no sense")?))
        }
        None => Transport::Sink,
    };
    Ok(Channels { email, sms: http(&given.sms)?, push: http(&given.push)? })
}

pub(crate) async fn relay(config: &Config) -> anyhow::Result<ExitCode> {
    let stopping = shutdown::on_signal();
    let kafka = kafka(config).context("say where to publish to: --kafka BROKERS")?;
    let store = platform::open_store(config)?;
    let mut integration = Integration::new(config, &stopping).await?;
    integration.metrics(config).await?;
    tell(&format!("daybook relay publishes to {}", kafka.brokers));
    integration.relay(&store, kafka, config)?;
    integration.join().await?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn notifications(
    command: cli::Notifications,
    config: &Config,
) -> anyhow::Result<ExitCode> {
    match command {
        cli::Notifications::Run => {
            consume(Notifications::default(), config, |this| this.sender(config)).await?;
        }
        cli::Notifications::List { order, status, last, output } => {
            let order = order.map(|order| order.to_string());
            let outcomes = open_outcomes(config)?;
            let list = outcomes.notifications(order.as_deref(), status.as_deref(), last).await?;
            report::notifications(&list, output.output)?;
        }
        cli::Notifications::Prefer { customer, medium, wanted, address } => {
            let pool = open_database(config).await?;
            let wanted = wanted == Wanted::On;
            prefer(&pool, customer, medium.into(), wanted, address.as_deref()).await?;
            pool.close().await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn analytics(
    command: cli::Analytics,
    config: &Config,
) -> anyhow::Result<ExitCode> {
    match command {
        cli::Analytics::Run => consume(Analytics, config, |_| Ok(())).await?,
        cli::Analytics::Show { from, to, by, output } => {
            let to = to.unwrap_or_else(|| Utc::now().date_naive());
            let days = if by == By::Day { 29 } else { 0 };
            let from = from.unwrap_or(to - chrono::Days::new(days));
            let step = if by == By::Day { Step::Day } else { Step::Minute };
            report::figures(&open_outcomes(config)?.report(from, to, step).await?, output.output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a consumer as a process of its own, with what belongs to it.
async fn consume<C: Consumer>(
    consumer: C,
    config: &Config,
    beside: impl FnOnce(&mut Integration) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stopping = shutdown::on_signal();
    if config.kafka.is_none() {
        bail!(
            "say where to take events from: --kafka BROKERS; without it `serve` does all of this"
        );
    }
    let mut integration = Integration::new(config, &stopping).await?;
    integration.metrics(config).await?;
    integration.consumer(consumer, None, config);
    beside(&mut integration)?;
    tell(&format!("daybook {} consumes", C::NAME));
    integration.join().await
}

fn open_outcomes(config: &Config) -> anyhow::Result<Outcomes> {
    Ok(Outcomes::open(&Layout(config).integration()?, &config.database_limits)?)
}
