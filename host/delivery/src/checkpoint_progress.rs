//! How far the stored checkpoint is behind what is done. Pure.

use std::time::{Duration, Instant};

use gtm_oplog::Timestamp;
use gtm_source::Position;

/// The checkpoint of one plugin as the store has it.
#[derive(Debug)]
pub(super) struct CheckpointProgress {
    /// Whether checkpoints are stored at all.
    is_stored: bool,
    position: Option<Position>,
    /// The number of the first op that was not done when the checkpoint was taken.
    number: u64,
    /// How many ops were done then.
    done: u64,
    /// When the checkpoint was last equal to the position.
    current_at: Instant,
}

/// A checkpoint that is to be stored.
#[derive(Debug)]
pub(super) struct DueCheckpoint {
    /// The position up to which everything is done.
    pub(super) position: Position,
    /// The time before which everything is done.
    pub(super) timestamp: Option<Timestamp>,
    /// The number of the first op that is not done.
    pub(super) number: u64,
    /// How many ops are done.
    pub(super) done: u64,
    /// Whether no checkpoint was stored yet, or ops were done since the last. Otherwise only the source moved on.
    pub(super) has_news: bool,
}

impl CheckpointProgress {
    /// Returns the progress of a plugin that begins at a checkpoint, if there is one.
    pub(super) fn new(position: Option<Position>, is_stored: bool) -> Self {
        Self { is_stored, position, number: 0, done: 0, current_at: Instant::now() }
    }

    /// Forgets the checkpoint, as the plugin continues elsewhere and ops are numbered from 0 again.
    pub(super) fn restart(&mut self) {
        (self.position, self.number) = (None, 0);
    }

    /// Returns the checkpoint to store. None: the stored one is up to date.
    pub(super) fn due(
        &mut self,
        position: Position,
        timestamp: Option<Timestamp>,
        number: u64,
        done: u64,
    ) -> Option<DueCheckpoint> {
        if self.position.as_ref() == Some(&position) {
            self.current_at = Instant::now();
            return None;
        }
        // Without a first checkpoint, a crash would start from the beginning.
        let has_news = number > self.number || done > self.done || self.position.is_none();
        Some(DueCheckpoint { position, timestamp, number, done, has_news })
    }

    /// Records that a checkpoint was stored.
    pub(super) fn stored(&mut self, position: Position, number: u64, done: u64) {
        (self.position, self.number, self.done) = (Some(position), number, done);
        self.current_at = Instant::now();
    }

    /// Returns whether the plugin has a checkpoint, or needs none as none are stored.
    pub(super) fn exists(&self) -> bool {
        self.position.is_some() || !self.is_stored
    }

    /// Returns how many ops were read since the checkpoint, of which `next` is the number of the next. 0 if no checkpoints are stored.
    pub(super) fn unstored_ops(&self, next: u64) -> u64 {
        if self.is_stored { next.saturating_sub(self.number) } else { 0 }
    }

    /// Returns the position of the checkpoint.
    pub(super) fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// Returns how long the checkpoint has been behind this position. None: no checkpoints are stored.
    pub(super) fn age(&self, position: Option<&Position>) -> Option<Duration> {
        let is_current = position.is_none() || position == self.position.as_ref();
        self.is_stored.then(|| if is_current { Duration::ZERO } else { self.current_at.elapsed() })
    }
}
