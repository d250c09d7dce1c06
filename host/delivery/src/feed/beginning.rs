//! The position at which a plugin begins: stored before the plugin handles anything, and logged.

use std::sync::Arc;

use gtm_source::Position;
use tokio_util::sync::CancellationToken;

use crate::batch::PluginBatch;
use crate::checkpoint::Checkpointer;
use crate::plugin_delivery::ReachedPosition;

/// Stores and logs the position at which a plugin begins, once it is known.
pub(crate) struct Beginning {
    plugin: Arc<str>,
    /// The source, in words. None: it was logged.
    source: Option<String>,
    /// Stores the position. None: it is stored, or need not be.
    checkpointer: Option<Checkpointer>,
    reached: ReachedPosition,
    shutdown: CancellationToken,
}

impl Beginning {
    /// Makes the beginning of a plugin that reads `source`, until `shutdown` is cancelled.
    pub(crate) fn new(
        source: String,
        checkpointer: Checkpointer,
        reached: ReachedPosition,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            plugin: checkpointer.key.plugin.as_str().into(),
            source: Some(source),
            checkpointer: Some(checkpointer),
            reached,
            shutdown,
        }
    }

    /// Stores `at`, where a segment begins, and logs `reads_from`, from where its reader reads.
    pub(super) async fn segment_begins(&mut self, at: Option<&Position>, reads_from: Option<&Position>) {
        if let Some(at) = at {
            self.store(at).await;
        }
        if reads_from.is_some() {
            self.log(reads_from);
        }
    }

    /// Stores and logs the position of the first batch, with which a change stream without a position receives one.
    pub(super) async fn batch_received(&mut self, batch: &PluginBatch) {
        match &batch.position {
            // Once an op is done, its own position is stored.
            _ if !batch.ops.is_empty() => {
                self.checkpointer = None;
                self.log(None);
            }
            Some(position) => {
                self.store(position).await;
                self.log(Some(position));
            }
            None => {}
        }
    }

    /// Stores the position at which a plugin without a checkpoint begins, and waits until that is stored, so that a host that ends or
    /// loses its lease resumes there. A start before the first entry of an oplog has no position to store, and the next start is the
    /// same.
    async fn store(&mut self, at: &Position) {
        if at.is_before_all() {
            return;
        }
        let Some(checkpointer) = self.checkpointer.take() else { return };
        let ops = &checkpointer.progress.ops;
        if ops.position().is_some() {
            return;
        }
        ops.pass(at.clone());
        self.reached.set(at.clone());
        checkpointer.request();
        tokio::select! {
            () = ops.until_checkpoint_exists() => {}
            () = self.shutdown.cancelled() => {}
        }
    }

    /// Logs the source, once.
    fn log(&mut self, at: Option<&Position>) {
        if let Some(source) = self.source.take() {
            let at = at.filter(|at| !at.is_before_all());
            let from = at.map(tracing::field::display);
            tracing::info!(event = "source.tail", plugin = &*self.plugin, source, from, "tailing");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use gtm_oplog::Timestamp;
    use gtm_store::{CheckpointKey, Store};

    use super::*;
    use crate::checkpoint::CheckpointContext;
    use crate::plugin_progress::PluginProgress;
    use crate::settings::DeliverySettings;
    use crate::testing::op;

    fn position(time: u32) -> Position {
        Position::Oplog(Timestamp { time, increment: 0 })
    }

    /// Returns the beginning of a plugin whose checkpoints only the test stores.
    fn beginning(from: Option<Position>) -> (Beginning, Arc<PluginProgress>, CancellationToken) {
        let from = from.map(|from| (from, None));
        let progress = PluginProgress::new(DeliverySettings::default().into(), from, true);
        let key = CheckpointKey { pipeline: "shop".to_owned(), plugin: "p".to_owned(), worker: None };
        let context = CheckpointContext::default();
        let checkpointer =
            Checkpointer::new(Store::none(), key, context, Arc::clone(&progress), Duration::from_secs(1));
        let shutdown = CancellationToken::new();
        let reached = ReachedPosition::default();
        (Beginning::new("an oplog".to_owned(), checkpointer, reached, shutdown.clone()), progress, shutdown)
    }

    #[test]
    fn a_plugin_without_a_checkpoint_waits_until_its_position_is_stored() {
        let (mut beginning, progress, _) = beginning(None);
        let at = position(1);
        {
            let mut begins = std::pin::pin!(beginning.segment_begins(Some(&at), Some(&at)));
            assert!(begins.as_mut().now_or_never().is_none());
            let due = progress.ops.due_checkpoint().unwrap();
            assert_eq!(due.position, at);
            progress.checkpoint_stored(due.position, due.number, due.done);
            assert!(begins.now_or_never().is_some());
        }
        assert_eq!(beginning.reached.position(), Some(at));
        // It begins once.
        assert!(beginning.segment_begins(Some(&position(2)), None).now_or_never().is_some());
        assert_eq!(progress.ops.position(), Some(position(1)));
    }

    #[test]
    fn it_waits_no_longer_when_the_host_stops() {
        let (mut beginning, _, shutdown) = beginning(None);
        shutdown.cancel();
        assert!(beginning.segment_begins(Some(&position(1)), None).now_or_never().is_some());
    }

    #[test]
    fn a_change_stream_begins_with_its_first_position_and_ops_need_none() {
        let (mut stream, progress, _) = beginning(None);
        let batch = PluginBatch { position: Some(position(1)), ..PluginBatch::default() };
        assert!(stream.batch_received(&batch).now_or_never().is_none());
        assert_eq!(progress.ops.position(), batch.position);

        let (mut with_ops, progress, _) = beginning(None);
        let ops = PluginBatch { ops: vec![Arc::new(op(1))], ..PluginBatch::default() };
        assert!(with_ops.batch_received(&ops).now_or_never().is_some());
        assert!(with_ops.batch_received(&batch).now_or_never().is_some());
        assert_eq!(progress.ops.position(), None, "the position is that of the ops");
    }

    #[test]
    fn a_plugin_with_a_checkpoint_keeps_it() {
        let (mut beginning, progress, _) = beginning(Some(position(1)));
        assert!(beginning.segment_begins(Some(&position(2)), None).now_or_never().is_some());
        assert_eq!(progress.ops.position(), Some(position(1)));
    }
}
