//! Where an op goes that a plugin will not handle.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use crate::op::Op;
use crate::store::{DeadLetter, DeadLetterKind, Store};

/// Between two attempts to store a letter.
const PAUSE: Duration = Duration::from_secs(1);

/// The dead letters of one plugin.
#[derive(Clone)]
pub(super) struct DeadLetters {
    pub(super) store: Store,
    pub(super) pipeline: Arc<str>,
    pub(super) plugin: Arc<str>,
}

/// An op that is given up, and why.
#[derive(Debug)]
pub(super) struct GivenUp<'a> {
    pub(super) op: &'a Op,
    /// Of the plugin.
    pub(super) version: String,
    pub(super) kind: DeadLetterKind,
    pub(super) error: String,
    pub(super) attempts: u32,
    pub(super) first_attempt: SystemTime,
    pub(super) time: SystemTime,
}

/// It could not be stored before the host stopped.
pub(super) struct Unkept;

impl DeadLetters {
    /// Says it, and stores it; tries again until it is stored, or `shutdown` is cancelled. Gives back whether it is: where
    /// nothing is stored, it is only said.
    pub(super) async fn keep(
        &self,
        given_up: GivenUp<'_>,
        shutdown: &CancellationToken,
    ) -> Result<bool, Unkept> {
        let GivenUp { op, version, kind, error, attempts, first_attempt, time } = given_up;
        let id = op.id().to_string();
        let plugin = &*self.plugin;
        match kind {
            DeadLetterKind::Rejected => tracing::error!(
                plugin, op = id, namespace = %op.namespace,
                "rejected by the plugin, the op is not handled: {error}"
            ),
            DeadLetterKind::Failed => tracing::error!(
                plugin, op = id, namespace = %op.namespace,
                "given up after attempt {attempts}, the op is not handled: {error}"
            ),
        }
        if !self.store.keeps() {
            return Ok(false);
        }
        let letter = DeadLetter {
            id: DeadLetter::id_of(&self.pipeline, plugin, op),
            pipeline: self.pipeline.to_string(),
            plugin: plugin.to_owned(),
            version,
            op: op.clone(),
            kind,
            error,
            attempts,
            first_attempt,
            time,
        };
        let mut said = false;
        while let Err(problem) = self.store.add_dead_letter(&letter).await {
            if !std::mem::replace(&mut said, true) {
                tracing::error!(
                    plugin,
                    op = id,
                    "it cannot be put among the dead letters, which is tried until it can: {problem}"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = shutdown.cancelled() => return Err(Unkept),
            }
        }
        Ok(true)
    }
}
