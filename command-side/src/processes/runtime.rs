use std::marker::PhantomData;
use std::sync::Arc;

use futures::TryFutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::effect::Sender;
use super::worker::Worker;
use super::{Process, ProcessError, ProcessOptions, Progress};
use crate::commands::Commands;
use crate::metrics::ProcessMetrics;

/// Runs a process manager. At any time one runtime per process and store is at work: the one that
/// started last.
pub struct ProcessRuntime<P>(PhantomData<fn() -> P>);

/// A process manager at work. It goes on when the handle is dropped.
#[derive(Debug)]
pub struct ProcessHandle {
    progress: watch::Receiver<Progress>,
    task: JoinHandle<Result<(), ProcessError>>,
    process: &'static str,
}

impl ProcessHandle {
    /// How far it got, now and whenever that changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until it has stopped.
    ///
    /// # Errors
    /// It did not stop because it was told to.
    pub async fn join(self) -> Result<(), ProcessError> {
        self.task.await.unwrap_or(Err(ProcessError::Panicked { process: self.process }))
    }

    /// Stops it at once, as a crash would: nothing is finished and no checkpoint written.
    pub fn abort(&self) {
        self.task.abort();
    }
}

impl<P: Process> ProcessRuntime<P> {
    /// Starts to follow the store's events, from the last checkpoint on.
    ///
    /// Told to stop by `shutdown`, it waits for the commands that are being carried out, writes a
    /// checkpoint and ends.
    pub fn start(
        commands: Commands,
        ports: P::Ports,
        options: ProcessOptions,
        shutdown: CancellationToken,
    ) -> ProcessHandle {
        let (progress, receiver) = watch::channel(Progress::default());
        let metrics = ProcessMetrics::of(P::NAME);
        let sender = Arc::new(Sender::<P> { commands, ports, options, shutdown, metrics });
        let work = async { Worker::open(sender, progress).await?.run().await };
        let task = tokio::spawn(work.inspect_err(|error| {
            tracing::error!(process = P::NAME, %error, "process manager stopped");
        }));
        ProcessHandle { progress: receiver, task, process: P::NAME }
    }
}
