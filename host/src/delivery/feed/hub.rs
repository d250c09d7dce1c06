//! The reader that is shared: it reads what its members want, and hands each batch to all of them.
//!
//! It waits for all members a little, and for the last one without end. A member that keeps it waiting is let go: it
//! reads on by a reader of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::op::{Op, Timestamp};
use crate::selection::Selection;
use crate::source::{Choice, Follow, HistoryLost, Live, Position, Skipped, SourceError, Start};

/// How long members that keep up wait for one that does not.
const PATIENCE: Duration = Duration::from_millis(500);

/// Batches that a member may be behind.
const AHEAD: usize = 2;

/// What was read at once, for all members.
#[derive(Debug)]
pub(in crate::delivery) struct SharedBatch {
    pub(super) ops: Vec<Arc<Op>>,
    pub(super) read: Option<Position>,
    pub(super) bytes: usize,
}

/// How a plugin becomes a member.
struct Join {
    plugin: Arc<str>,
    selection: Selection,
    /// From where it would go on, where nobody is a member.
    start: Start,
    answer: oneshot::Sender<Result<Joined, SourceError>>,
}

/// A membership. It ends when `batches` is dropped, or says that there are no more.
pub(super) struct Joined {
    /// What comes begins after this. None: a change stream that has not said where it stands.
    pub(super) at: Option<Position>,
    /// What comes begins where it wanted to start.
    pub(super) at_start: bool,
    pub(super) batches: mpsc::Receiver<Arc<SharedBatch>>,
}

/// Joins plugins to the reader that is shared.
#[derive(Clone)]
pub(in crate::delivery) struct HubHandle {
    joins: mpsc::Sender<Join>,
    /// Up to where it has read the oplog: seconds and increment. 0: it does not read.
    position: Arc<AtomicU64>,
}

impl HubHandle {
    pub(super) async fn join(
        &self,
        plugin: &Arc<str>,
        selection: &Selection,
        start: Start,
    ) -> Result<Option<Joined>, SourceError> {
        let (answer, joined) = oneshot::channel();
        let join = Join { plugin: Arc::clone(plugin), selection: selection.clone(), start, answer };
        if self.joins.send(join).await.is_err() {
            return Ok(None);
        }
        match joined.await {
            Ok(Ok(joined)) => Ok(Some(joined)),
            Ok(Err(error)) => Err(error),
            // It is stopping.
            Err(_) => Ok(None),
        }
    }

    /// Up to where it has read the oplog. None: it does not, or reads a change stream.
    pub(super) fn position(&self) -> Option<Timestamp> {
        let position = self.position.load(Ordering::Relaxed);
        let (time, increment) = (u32::try_from(position >> 32).ok()?, position & u64::from(u32::MAX));
        (position != 0).then_some(Timestamp { time, increment: u32::try_from(increment).ok()? })
    }
}

struct Member {
    plugin: Arc<str>,
    selection: Selection,
    batches: mpsc::Sender<Arc<SharedBatch>>,
}

/// The reader that is shared.
pub(in crate::delivery) struct Hub {
    /// What is followed, and how.
    follow: Follow,
    joins: mpsc::Receiver<Join>,
    /// Joins when what was read is given out.
    waiting: Option<Join>,
    position: Arc<AtomicU64>,
    live: Option<Live>,
    /// Where the reader was opened, until it has read something.
    opened_at: Option<Start>,
    members: Vec<Member>,
    /// By the readers before this one.
    skipped: Skipped,
}

/// The next ops, where there is a reader.
async fn next(live: &mut Option<Live>) -> Option<Result<Vec<Op>, SourceError>> {
    match live {
        Some(live) => Some(live.next().await),
        None => None,
    }
}

impl Hub {
    /// Of `follow`, of which the start and the selection are of no account: but for a change stream, for which it selects
    /// what all plugins want.
    pub(in crate::delivery) fn new(mut follow: Follow) -> (Self, HubHandle) {
        // A loss of history is for each plugin by itself.
        (follow.history_lost, follow.snapshot, follow.progress) = (HistoryLost::Stop, false, None);
        let (sender, joins) = mpsc::channel(16);
        let position = Arc::new(AtomicU64::new(0));
        let handle = HubHandle { joins: sender, position: Arc::clone(&position) };
        let hub = Self {
            follow,
            joins,
            waiting: None,
            position,
            live: None,
            opened_at: None,
            members: Vec::new(),
            skipped: Skipped::new(),
        };
        (hub, handle)
    }

    /// Reads until `shutdown` is cancelled. Gives back how much was skipped.
    pub(in crate::delivery) async fn run(mut self, shutdown: CancellationToken) -> Skipped {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.serve() => {}
        }
        self.close();
        self.skipped
    }

    async fn serve(&mut self) {
        loop {
            self.tidy().await;
            // What was read is given out before another joins, who is told where it stands.
            let may_join = self.live.as_ref().is_none_or(|live| live.left() == 0);
            if may_join && let Some(join) = self.waiting.take() {
                self.join(join).await;
                continue;
            }
            let read = tokio::select! {
                biased;
                join = self.joins.recv(), if may_join => match join {
                    Some(join) => {
                        self.waiting = Some(join);
                        continue;
                    }
                    // There are no plugins any more.
                    None => return,
                },
                Some(read) = next(&mut self.live) => read,
            };
            let Some(live) = &mut self.live else { continue };
            match read {
                Ok(ops) => {
                    let read = if live.left() == 0 { live.position() } else { None };
                    let bytes = live.take_bytes();
                    self.note(read.as_ref());
                    let ops = ops.into_iter().map(Arc::new).collect();
                    self.hand_out(SharedBatch { ops, read, bytes }).await;
                }
                Err(error) => self.fail(&error),
            }
        }
    }

    /// Each member finds out for itself what is wrong, and does what it was told to do then.
    fn fail(&mut self, error: &SourceError) {
        tracing::debug!("the shared reader has ended: {error}");
        self.members.clear();
        self.close();
    }

    async fn join(&mut self, join: Join) {
        let Join { plugin, selection, start, answer } = join;
        let opened = match &self.live {
            Some(_) => Ok(()),
            None => {
                let mut follow = Follow { start: start.clone(), ..self.follow.clone() };
                self.opened_at = Some(start.clone());
                if matches!(follow.choice, Choice::Oplog(_)) {
                    follow.selection = selection.clone();
                }
                Live::open(follow).await.map(|live| self.live = Some(live))
            }
        };
        if let Err(error) = opened {
            let _ = answer.send(Err(error));
            return;
        }
        let (sender, batches) = mpsc::channel(AHEAD);
        let alone = self.members.is_empty();
        self.members.push(Member { plugin, selection, batches: sender });
        if !alone {
            self.reselect().await;
        }
        let at = self.live.as_ref().and_then(Live::position);
        self.note(at.as_ref());
        let at_start = self.opened_at.as_ref() == Some(&start);
        let _ = answer.send(Ok(Joined { at, at_start, batches }));
    }

    /// Forgets members that have gone, and ends without any.
    async fn tidy(&mut self) {
        let before = self.members.len();
        self.members.retain(|member| !member.batches.is_closed());
        if self.members.is_empty() {
            self.close();
            self.position.store(0, Ordering::Relaxed);
        } else if self.members.len() < before && self.live.as_ref().is_some_and(|live| live.left() == 0) {
            self.reselect().await;
        }
    }

    fn close(&mut self) {
        for (skip, count) in self.live.take().map(Live::into_skipped).into_iter().flatten() {
            *self.skipped.entry(skip).or_default() += count;
        }
    }

    async fn reselect(&mut self) {
        let mut all = Selection::default();
        self.members.iter().for_each(|member| all.add_all(&member.selection));
        let Some(live) = &mut self.live else { return };
        if let Err(error) = live.reselect(all).await {
            self.fail(&error);
        }
    }

    fn note(&self, read: Option<&Position>) {
        if let Some(Timestamp { time, increment }) = read.and_then(Position::timestamp) {
            self.position.store(u64::from(time) << 32 | u64::from(increment), Ordering::Relaxed);
        }
    }

    async fn hand_out(&mut self, batch: SharedBatch) {
        self.opened_at = None;
        let batch = Arc::new(batch);
        let deadline = Instant::now() + PATIENCE;
        let mut members = std::mem::take(&mut self.members);
        // Those that have room first.
        let mut slow = Vec::new();
        for member in members.drain(..) {
            match member.batches.try_send(Arc::clone(&batch)) {
                Ok(()) => self.members.push(member),
                Err(TrySendError::Full(_)) => slow.push(member),
                Err(TrySendError::Closed(_)) => {}
            }
        }
        for member in slow {
            let sent = if self.members.is_empty() {
                // Nobody waits for this one.
                member.batches.send(Arc::clone(&batch)).await.is_ok()
            } else {
                let sent = tokio::time::timeout_at(deadline, member.batches.send(Arc::clone(&batch))).await;
                if sent.is_err() {
                    tracing::info!(
                        plugin = &*member.plugin,
                        "does not keep up with the others: it reads on by a reader of its own"
                    );
                }
                sent.is_ok_and(|sent| sent.is_ok())
            };
            if sent {
                self.members.push(member);
            }
        }
    }
}
