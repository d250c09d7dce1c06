//! Where an op goes that a plugin will not handle.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gtm_oplog::Op;
use gtm_store::{DeadLetter, DeadLetterKind, Room, Store, StoreFull, StoredTotal};
use gtm_text::sanitize::quoted;
use tokio_util::sync::CancellationToken;

use super::settings::DeliveryPolicy;

/// Between two attempts to store a letter.
const PAUSE: Duration = Duration::from_secs(1);

/// Returns the arguments by which a command finds this pipeline in this store, but for the server, quoted for a shell.
pub fn store_arguments(store: &Store, pipeline: &str) -> String {
    let name = format!("--name {}", quoted(pipeline));
    match store.directory() {
        Some(directory) => format!("{name} --store {}", quoted(&format!("file:{}", directory.display()))),
        None => name,
    }
}

/// The dead letters of one plugin.
#[derive(Clone)]
pub(super) struct DeadLetters {
    store: Store,
    pipeline: Arc<str>,
    pub(super) plugin: Arc<str>,
    most: StoredTotal,
    room: Room,
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

/// It could not be stored before the host stopped, or the plugin was told to read elsewhere.
pub(super) struct LetterNotStored;

impl DeadLetters {
    pub(super) fn new(store: &Store, pipeline: &str, plugin: &str, policy: &DeliveryPolicy) -> Self {
        Self {
            store: store.clone(),
            pipeline: pipeline.into(),
            plugin: plugin.into(),
            most: policy.retry.most_letters(),
            room: Room::default(),
        }
    }

    /// The command that shows a letter, but for the server.
    fn command(&self, letter: &str) -> String {
        format!("gtm-host dead-letters show {letter} {}", store_arguments(&self.store, &self.pipeline))
    }

    /// Logs and stores it; retries until it is stored, or `shutdown` or `dropped` is cancelled. Returns whether it is stored: if
    /// no letters are kept, it is only logged.
    pub(super) async fn keep(
        &self,
        given_up: GivenUp<'_>,
        shutdown: &CancellationToken,
        dropped: &CancellationToken,
        on_problem: impl Fn(&str),
    ) -> Result<bool, LetterNotStored> {
        let GivenUp { op, version, kind, error, attempts, first_attempt, time } = given_up;
        let id = op.id().to_string();
        let plugin = &*self.plugin;
        let letter = self.store.keeps().then(|| DeadLetter::id_of(&self.pipeline, plugin, op));
        let show = letter.as_deref().map(|letter| self.command(letter));
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
        let mut said = false;
        while let Err(problem) = self.store(&letter).await {
            if !std::mem::replace(&mut said, true) {
                let problem = self.told(&problem);
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
                () = tokio::time::sleep(PAUSE) => {}
                () = shutdown.cancelled() => return Err(LetterNotStored),
                () = dropped.cancelled() => return Err(LetterNotStored),
            }
        }
        if said {
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

    async fn store(&self, letter: &DeadLetter) -> Result<(), StoreFull> {
        let count = self.store.dead_letters_kept(&self.pipeline, &self.plugin);
        self.room.take(self.most, letter.size(), count).await?;
        Ok(self.store.add_dead_letter(letter).await?)
    }

    fn told(&self, problem: &StoreFull) -> String {
        let StoreFull::Full(kept) = problem else {
            return format!(
                "it cannot be put among the dead letters, which is tried until it can: {problem}"
            );
        };
        let (plugin, pipeline) = (quoted(&self.plugin), quoted(&self.pipeline));
        // Its file is open here.
        let stop = self.store.directory().map_or("", |_| "stop the host, then ");
        format!(
            "the plugin pauses, since as many dead letters are kept of it as may be: {kept}. help: {stop}look at them with gtm-host dead-letters \
             list --plugin {plugin} --name {pipeline}, and retry or drop some; or raise dead_letters or dead_letter_bytes under [retry]"
        )
    }
}
