//! SIGINT (Ctrl-C) and SIGTERM.
//!
//! The first signal asks the program to stop, and a second one ends it immediately. `timeout`, shells and supervisors often signal both the
//! process and its group, which is one stop in two signals. So signals within [`REPEAT_WINDOW`] after the first are ignored.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The time after the first signal in which further signals are ignored. A person in a hurry presses Ctrl-C a third time.
const REPEAT_WINDOW: Duration = Duration::from_secs(1);

/// Cancels `shutdown` at the first signal, and ends the program at a signal that comes [`REPEAT_WINDOW`] later or after that.
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
                Some(asked) if asked.elapsed() < REPEAT_WINDOW => {}
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
