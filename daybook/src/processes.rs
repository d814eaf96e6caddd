//! The process managers of the platform.

use daybook_command_side::Commands;
use daybook_command_side::payments::Provider;
use daybook_command_side::processes::{ProcessHandle, ProcessOptions, ProcessRuntime, Progress};
use daybook_domain::ProcessManager;
use daybook_domain::checkout::Checkout;
use daybook_domain::fulfilment::Fulfilment;
use daybook_event_store::Position;
use futures::future;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The running process managers.
pub(crate) struct Processes {
    running: [(&'static str, ProcessHandle); 2],
}

impl Processes {
    /// Starts them all.
    pub(crate) fn start(
        commands: &Commands,
        provider: &Provider,
        shutdown: &CancellationToken,
    ) -> Self {
        let options = ProcessOptions::default;
        let checkout = ProcessRuntime::<Checkout>::start(
            commands.clone(),
            provider.clone(),
            options(),
            shutdown.clone(),
        );
        let fulfilment =
            ProcessRuntime::<Fulfilment>::start(commands.clone(), (), options(), shutdown.clone());
        Self { running: [(Checkout::NAME, checkout), (Fulfilment::NAME, fulfilment)] }
    }

    /// How far each of them is.
    pub(crate) fn progress(
        &self,
    ) -> impl Iterator<Item = (&'static str, watch::Receiver<Progress>)> {
        self.running.iter().map(|(name, handle)| (*name, handle.progress()))
    }

    /// Waits until everything up to a position has been taken in and carried out.
    pub(crate) async fn reach(&self, head: Position) {
        for (_, mut progress) in self.progress() {
            // An error means that the process has ended: nothing more will come.
            let _ = progress.wait_for(|progress| progress.settled >= Some(head)).await;
        }
    }

    /// Waits until one of them has ended: it was told to, or could not go on.
    pub(crate) async fn end(&self) -> &'static str {
        let ends = self.progress().map(|(name, mut progress)| {
            Box::pin(async move {
                while progress.changed().await.is_ok() {}
                name
            })
        });
        future::select_all(ends).await.0
    }

    /// Waits until they have stopped.
    pub(crate) async fn join(self) -> anyhow::Result<()> {
        for (_, handle) in self.running {
            handle.join().await?;
        }
        Ok(())
    }
}
