//! All plugins of a host, side by side over one reader.

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::control::Control;
use super::feed::Hub;
use super::pipeline::{Ended, Pipeline, Prepared};
use crate::source::{Follow, Skipped};

/// How what runs is told to end.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Nothing more is read, and what was read is handled, each op once at most.
    pub shutdown: CancellationToken,
    /// How long that may take.
    pub grace: Duration,
    /// What is in work is not waited for, and nothing is stored: another host works now.
    pub at_once: CancellationToken,
}

impl Stop {
    /// Waits until nothing more is to be waited for.
    pub(super) async fn cut(self) {
        let late = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(self.grace).await;
        };
        tokio::select! {
            () = late => {}
            () = self.at_once.cancelled() => {}
        }
    }
}

/// Runs all pipelines, which `control` steers, until they are told to `stop` or one of them fails: a host that goes on without
/// one of its plugins would look well and lose changes.
///
/// Gives back what became of each, and how much the reader that they share skipped.
///
/// `follow` is what they share: of a change stream, it selects what all of them want.
///
/// # Errors
/// A defect of the host.
pub async fn run_all(
    pipelines: Vec<Pipeline>,
    follow: Follow,
    control: &Control,
    stop: &Stop,
) -> Result<(Vec<Ended>, Skipped), JoinError> {
    let (hub, joins) = Hub::new(follow);
    let reader = tokio::spawn(hub.run(stop.shutdown.clone()));
    let prepared: Vec<_> =
        pipelines.into_iter().map(|pipeline| Prepared::new(pipeline, joins.clone())).collect();
    drop(joins);
    control.activate(prepared.iter().map(Prepared::steered).collect());
    let mut running = JoinSet::new();
    for pipeline in prepared {
        running.spawn(pipeline.run(stop.clone()));
    }
    let mut all = Vec::new();
    while let Some(ended) = running.join_next().await {
        let ended = ended?;
        if ended.result.is_err() {
            stop.shutdown.cancel();
        }
        all.push(ended);
    }
    control.deactivate();
    stop.shutdown.cancel();
    let skipped = reader.await?;
    all.sort_by(|one, other| one.plugin.cmp(&other.plugin));
    Ok((all, skipped))
}
