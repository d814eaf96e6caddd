//! When to stop: at the first SIGINT or SIGTERM in good order, at the second at once.

use tokio_util::sync::CancellationToken;

/// Exit code of a program that was interrupted, by the shells' convention.
const INTERRUPTED: i32 = 130;

/// A token that the first signal cancels. A second signal ends the process.
pub(crate) fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        signal().await;
        tracing::info!("stopping; interrupt again to stop at once");
        cancelled.cancel();
        signal().await;
        std::process::exit(INTERRUPTED);
    });
    token
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
