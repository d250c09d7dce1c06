//! Stores the ops that a plugin does not handle as dead letters.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gtm_oplog::Op;
use gtm_store::{DeadLetter, DeadLetterKind, Room, Store, StoreFull, StoredTotal};
use tokio_util::sync::CancellationToken;

use super::settings::DeliveryPolicy;

/// The interval between two attempts to store a dead letter.
const STORE_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Helps a user with dead letters, in terms of the program that runs the delivery.
#[derive(Clone)]
pub struct DeadLetterHelp {
    /// Returns the command that shows the dead letter with this id.
    pub show: Arc<dyn Fn(&str) -> String + Send + Sync>,
    /// Tells how to make room when a plugin has the maximum of dead letters, without a full stop.
    pub make_room: String,
}

impl fmt::Debug for DeadLetterHelp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterHelp").field("make_room", &self.make_room).finish_non_exhaustive()
    }
}

/// The dead letters of one plugin.
#[derive(Clone)]
pub(super) struct DeadLetters {
    store: Store,
    pipeline: Arc<str>,
    pub(super) plugin: Arc<str>,
    max: StoredTotal,
    room: Room,
    help: Option<DeadLetterHelp>,
}

/// An op that is given up, and why.
#[derive(Debug)]
pub(super) struct GivenUpOp<'a> {
    pub(super) op: &'a Op,
    /// The version of the plugin.
    pub(super) version: String,
    pub(super) kind: DeadLetterKind,
    pub(super) error: String,
    pub(super) attempts: u32,
    pub(super) first_attempt: SystemTime,
    pub(super) time: SystemTime,
}

/// The host stopped, or the queued ops were dropped, before the dead letter could be stored.
pub(super) struct LetterNotStored;

impl DeadLetters {
    /// Returns the dead letters of a plugin in `store`.
    pub(super) fn new(
        store: &Store,
        pipeline: &str,
        plugin: &str,
        policy: &DeliveryPolicy,
        help: Option<DeadLetterHelp>,
    ) -> Self {
        Self {
            store: store.clone(),
            pipeline: pipeline.into(),
            plugin: plugin.into(),
            max: policy.retry.max_letters(),
            room: Room::default(),
            help,
        }
    }

    /// Logs an op that is given up, and stores it as a dead letter. Retries until it is stored, or `shutdown` or `dropped` is
    /// cancelled. Returns whether it is stored: if the store keeps nothing, it is only logged. `on_problem` is called with the first
    /// reason why it cannot be stored.
    ///
    /// # Errors
    /// It was cancelled before.
    pub(super) async fn store(
        &self,
        given_up: GivenUpOp<'_>,
        shutdown: &CancellationToken,
        dropped: &CancellationToken,
        on_problem: impl Fn(&str),
    ) -> Result<bool, LetterNotStored> {
        let GivenUpOp { op, version, kind, error, attempts, first_attempt, time } = given_up;
        let id = op.id().to_string();
        let plugin = &*self.plugin;
        let letter = self.store.keeps().then(|| DeadLetter::id_of(&self.pipeline, plugin, op));
        let show = letter.as_deref().zip(self.help.as_ref()).map(|(letter, help)| (help.show)(letter));
        match kind {
            DeadLetterKind::Rejected => tracing::error!(
                event = "op.reject", plugin, op = id, namespace = %op.namespace, attempts, error,
                dead_letter = letter, show, "the plugin rejected the op; it is not handled"
            ),
            DeadLetterKind::Failed => tracing::error!(
                event = "op.give_up", plugin, op = id, namespace = %op.namespace, attempts, error,
                dead_letter = letter, show, "no attempt succeeded; the op is not handled"
            ),
        }
        let Some(letter) = letter else { return Ok(false) };
        let letter = DeadLetter {
            id: letter,
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
        let mut has_failed = false;
        while let Err(problem) = self.try_store(&letter).await {
            if !std::mem::replace(&mut has_failed, true) {
                let problem = self.explain(&problem);
                on_problem(&problem);
                tracing::error!(
                    event = "dead_letter.store_failed",
                    plugin,
                    op = id,
                    dead_letter = letter.id,
                    error = problem,
                    "the dead letter cannot be stored; the op waits, and the host retries"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(STORE_RETRY_INTERVAL) => {}
                () = shutdown.cancelled() => return Err(LetterNotStored),
                () = dropped.cancelled() => return Err(LetterNotStored),
            }
        }
        if has_failed {
            tracing::info!(
                event = "dead_letter.store",
                plugin,
                op = id,
                dead_letter = letter.id,
                "the dead letter is stored"
            );
        }
        Ok(true)
    }

    async fn try_store(&self, letter: &DeadLetter) -> Result<(), StoreFull> {
        let count = self.store.dead_letters_kept(&self.pipeline, &self.plugin);
        self.room.take(self.max, letter.size(), count).await?;
        Ok(self.store.add_dead_letter(letter).await?)
    }

    fn explain(&self, problem: &StoreFull) -> String {
        match (problem, &self.help) {
            (StoreFull::Full(stored), Some(DeadLetterHelp { make_room, .. })) => {
                format!(
                    "the plugin waits, as it has the maximum of dead letters: {stored}. help: {make_room}"
                )
            }
            (StoreFull::Full(stored), None) => {
                format!("the plugin waits, as it has the maximum of dead letters: {stored}")
            }
            (StoreFull::Store(error), _) => {
                format!("the dead letter cannot be stored: {error}")
            }
        }
    }
}
