//! SIGINT (Ctrl-C) and SIGTERM.
//!
//! The first asks the program to end, and a second one ends it immediately. `timeout`, shells and supervisors often signal the process and
//! its group, which are two signals within milliseconds, and one wish. So a signal that follows the first within [`ONE_STOP`] is
//! the same stop.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Signals within so long are one stop. Who is in a hurry and presses Ctrl-C twice presses it a third time.
const ONE_STOP: Duration = Duration::from_secs(1);

/// Cancels `shutdown` at the first signal, and ends the program at one that comes [`ONE_STOP`] later, or after that.
pub(super) fn listen(shutdown: CancellationToken) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let mut asked: Option<Instant> = None;
        loop {
            let code = tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            };
            match asked {
                Some(asked) if asked.elapsed() < ONE_STOP => {}
                Some(_) => {
                    tracing::warn!(event = "host.abort", "stopped immediately");
                    std::process::exit(code);
                }
                None => {
                    asked = Some(Instant::now());
                    tracing::info!(
                        event = "host.stop",
                        "stopping: what was read is still handled; a second signal, a second or more later, stops immediately"
                    );
                    shutdown.cancel();
                }
            }
        }
    });
    Ok(())
}
