//! SIGINT (Ctrl-C) and SIGTERM.

use tokio_util::sync::CancellationToken;

/// Cancels `shutdown` at the first signal, and ends the program at the second.
pub(super) fn listen(shutdown: CancellationToken) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            let code = tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            };
            if std::mem::replace(&mut asked, true) {
                tracing::warn!("stopped at once");
                std::process::exit(code);
            }
            tracing::info!("stopping: what was read is still handled; a second signal stops at once");
            shutdown.cancel();
        }
    });
    Ok(())
}
