//! The reader that is shared: it reads what its members want, and hands each batch to all of them.
//!
//! It waits for all members a little, and for the last one without end. A member that keeps it waiting is let go: it
//! reads on by a reader of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::HashMap;
use gtm_oplog::{Namespace, Op, OperationType, Selection, Skipped, Timestamp};
use gtm_source::{HistoryLost, LiveSource, Position, SourceBatch, SourceConfig, SourceError, StartAt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long members that keep up wait for one that does not.
const PATIENCE: Duration = Duration::from_millis(500);

/// Batches that a member may be behind.
const AHEAD: usize = 2;

/// What a member for which there is nothing is told at most so often: up to where was read.
const TOLD: Duration = Duration::from_millis(10);

/// Of what was read at once, that for one member.
#[derive(Debug)]
pub(crate) struct SharedBatch {
    pub(super) ops: Vec<Arc<Op>>,
    /// Everything that there is was read.
    pub(super) is_idle: bool,
    pub(super) read: Option<Position>,
    pub(super) bytes: usize,
}

/// How a plugin becomes a member.
struct SubscribeRequest {
    plugin: Arc<str>,
    selection: Selection,
    /// From where it would go on, where nobody is a member.
    start: StartAt,
    answer: oneshot::Sender<Result<Subscription, SourceError>>,
}

/// A membership. It ends when `batches` is dropped, or says that there are no more.
pub(super) struct Subscription {
    /// What comes begins after this. None: a change stream that has not said where it stands.
    pub(super) at: Option<Position>,
    /// What comes begins where it wanted to start.
    pub(super) at_start: bool,
    pub(super) batches: mpsc::Receiver<SharedBatch>,
}

/// Joins plugins to the reader that is shared.
#[derive(Clone)]
pub(crate) struct SharedReaderHandle {
    joins: mpsc::Sender<SubscribeRequest>,
    /// Up to where it has read the oplog: seconds and increment. 0: it does not read.
    position: Arc<AtomicU64>,
}

impl SharedReaderHandle {
    pub(super) async fn join(
        &self,
        plugin: &Arc<str>,
        selection: &Selection,
        start: StartAt,
    ) -> Result<Option<Subscription>, SourceError> {
        let (answer, joined) = oneshot::channel();
        let join =
            SubscribeRequest { plugin: Arc::clone(plugin), selection: selection.clone(), start, answer };
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

struct Subscriber {
    plugin: Arc<str>,
    selection: Selection,
    batches: mpsc::Sender<SharedBatch>,
    /// What is put together for it.
    ops: Vec<Arc<Op>>,
    told: Instant,
}

/// Whose an op is: worked out once for each namespace and operation type, however many members there are.
#[derive(Default)]
struct Routes(HashMap<(usize, OperationType), NamespaceRoute>);

/// Those who want ops of a namespace, which is kept so that no other takes its address.
struct NamespaceRoute {
    _namespace: Arc<Namespace>,
    members: Vec<usize>,
}

/// Routes that are remembered, before all are forgotten: bounds them where namespaces are made without end.
const ROUTES: usize = 10_000;

impl Routes {
    /// The members are others now, or stand elsewhere.
    fn forget(&mut self) {
        self.0.clear();
    }

    /// Puts an op where those find it who want it.
    fn route(&mut self, op: Op, members: &mut [Subscriber]) {
        let op = Arc::new(op);
        // It is by its new name, too.
        if op.operation_type == OperationType::Rename {
            let wanting =
                members.iter_mut().filter_map(|member| member.selection.wants(&op).then_some(member));
            return wanting.for_each(|member| member.ops.push(Arc::clone(&op)));
        }
        if self.0.len() >= ROUTES {
            self.forget();
        }
        let key = (Arc::as_ptr(&op.namespace).addr(), op.operation_type);
        let route = self.0.entry(key).or_insert_with(|| {
            let wants =
                |(index, member): (usize, &mut Subscriber)| member.selection.wants(&op).then_some(index);
            NamespaceRoute {
                _namespace: Arc::clone(&op.namespace),
                members: members.iter_mut().enumerate().filter_map(wants).collect(),
            }
        });
        for index in &route.members {
            if let Some(member) = members.get_mut(*index) {
                member.ops.push(Arc::clone(&op));
            }
        }
    }
}

/// The reader that is shared.
pub(crate) struct SharedReader {
    /// What is followed, and how.
    follow: SourceConfig,
    joins: mpsc::Receiver<SubscribeRequest>,
    /// Joins when what was read is given out.
    waiting: Option<SubscribeRequest>,
    position: Arc<AtomicU64>,
    live: Option<LiveSource>,
    /// Where the reader was opened, until it has read something.
    opened_at: Option<StartAt>,
    members: Vec<Subscriber>,
    routes: Routes,
    /// By the readers before this one.
    skipped: Skipped,
}

/// The next ops, where there is a reader.
async fn next(live: &mut Option<LiveSource>) -> Option<Result<SourceBatch, SourceError>> {
    match live {
        Some(live) => Some(live.next().await),
        None => None,
    }
}

impl SharedReader {
    /// Of `follow`, of which the start and the selection are of no account.
    pub(crate) fn new(mut follow: SourceConfig) -> (Self, SharedReaderHandle) {
        // A loss of history is for each plugin by itself.
        (follow.history_lost, follow.snapshot, follow.progress) = (HistoryLost::Stop, false, None);
        let (sender, joins) = mpsc::channel(16);
        let position = Arc::new(AtomicU64::new(0));
        let handle = SharedReaderHandle { joins: sender, position: Arc::clone(&position) };
        let hub = Self {
            follow,
            joins,
            waiting: None,
            position,
            live: None,
            opened_at: None,
            members: Vec::new(),
            routes: Routes::default(),
            skipped: Skipped::new(),
        };
        (hub, handle)
    }

    /// Reads until `shutdown` is cancelled. Gives back how much was skipped.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Skipped {
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
            match read {
                Ok(batch) => {
                    self.note(batch.position.as_ref());
                    self.hand_out(batch).await;
                }
                Err(error) => self.fail(&error),
            }
        }
    }

    /// Each member finds out for itself what is wrong, and does what it was told to do then.
    fn fail(&mut self, error: &SourceError) {
        tracing::debug!(event = "reader.end", %error, "the shared reader has ended");
        self.members.clear();
        self.routes.forget();
        self.close();
    }

    async fn join(&mut self, join: SubscribeRequest) {
        let SubscribeRequest { plugin, selection, start, answer } = join;
        let opened = match &self.live {
            Some(_) => Ok(()),
            None => {
                self.opened_at = Some(start.clone());
                let selection = selection.clone();
                let follow = SourceConfig { start: start.clone(), selection, ..self.follow.clone() };
                LiveSource::open(follow).await.map(|live| self.live = Some(live))
            }
        };
        if let Err(error) = opened {
            let _ = answer.send(Err(error));
            return;
        }
        let at_start = self.opened_at.as_ref() == Some(&start);
        let at = self.live.as_ref().and_then(LiveSource::position);
        // Positions in a change stream cannot be compared: a plugin that is elsewhere cannot wait here, and each selection
        // more opens the stream again. Without an answer, it reads on by its own reader.
        let is_comparable = at.as_ref().is_none_or(|at| at.timestamp().is_some());
        let is_here =
            at_start || start == StartAt::Now || at.clone().map(StartAt::from).as_ref() == Some(&start);
        if !is_comparable && !is_here {
            return;
        }
        let (sender, batches) = mpsc::channel(AHEAD);
        let alone = self.members.is_empty();
        let told = Instant::now();
        self.members.push(Subscriber { plugin, selection, batches: sender, ops: Vec::new(), told });
        self.routes.forget();
        if !alone {
            self.reselect().await;
        }
        let at = self.live.as_ref().and_then(LiveSource::position);
        self.note(at.as_ref());
        let _ = answer.send(Ok(Subscription { at, at_start, batches }));
    }

    /// Forgets members that have gone, and ends without any.
    async fn tidy(&mut self) {
        let before = self.members.len();
        self.members.retain(|member| !member.batches.is_closed());
        if self.members.len() < before {
            self.routes.forget();
        }
        if self.members.is_empty() {
            self.close();
            self.position.store(0, Ordering::Relaxed);
        } else if self.members.len() < before && self.live.as_ref().is_some_and(|live| live.left() == 0) {
            self.reselect().await;
        }
    }

    fn close(&mut self) {
        for (skip, count) in self.live.take().map(LiveSource::into_skipped).into_iter().flatten() {
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

    /// The ack is of no account: only a snapshot waits for it, and none is taken here.
    async fn hand_out(&mut self, batch: SourceBatch) {
        let SourceBatch { ops, position: read, bytes, is_at_end: is_idle, ack: _ } = batch;
        self.opened_at = None;
        for op in ops {
            self.routes.route(op, &mut self.members);
        }
        let now = Instant::now();
        let deadline = now + PATIENCE;
        let mut members = std::mem::take(&mut self.members);
        // Those that have room first.
        let (mut gone, mut slow) = (Vec::new(), Vec::new());
        for (index, member) in members.iter_mut().enumerate() {
            let ops = std::mem::take(&mut member.ops);
            if ops.is_empty() && now < member.told + TOLD {
                continue;
            }
            member.told = now;
            let bytes = if ops.is_empty() { 0 } else { bytes };
            match member.batches.try_send(SharedBatch { ops, is_idle, read: read.clone(), bytes }) {
                Ok(()) => {}
                Err(TrySendError::Full(batch)) => slow.push((index, batch)),
                Err(TrySendError::Closed(_)) => gone.push(index),
            }
        }
        let mut behind = gone.len() + slow.len();
        for (index, batch) in slow {
            let Some(member) = members.get(index) else { continue };
            let sent = if behind == members.len() {
                // Nobody waits for this one.
                member.batches.send(batch).await.is_ok()
            } else {
                let sent = tokio::time::timeout_at(deadline, member.batches.send(batch)).await;
                if sent.is_err() {
                    tracing::info!(
                        event = "reader.leave",
                        plugin = &*member.plugin,
                        "the plugin does not keep up with the others; it continues with a reader of its own"
                    );
                }
                sent.is_ok_and(|sent| sent.is_ok())
            };
            match sent {
                true => behind -= 1,
                false => gone.push(index),
            }
        }
        if !gone.is_empty() {
            let mut index = 0..;
            members.retain(|_| index.next().is_some_and(|index| !gone.contains(&index)));
            self.routes.forget();
        }
        self.members = members;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::keyed;

    fn member(pattern: &str) -> Subscriber {
        let mut selection = Selection::default();
        selection.add(pattern, &[]).unwrap();
        let (batches, _) = mpsc::channel(1);
        Subscriber { plugin: pattern.into(), selection, batches, ops: Vec::new(), told: Instant::now() }
    }

    /// The times of the ops that each member is given.
    fn given(members: &mut [Subscriber]) -> Vec<Vec<u32>> {
        let times = |member: &mut Subscriber| member.ops.drain(..).map(|op| op.timestamp.time).collect();
        members.iter_mut().map(times).collect()
    }

    #[test]
    fn an_op_finds_those_who_want_it() {
        let mut members = [member("a.*"), member("b.*"), member("a.x")];
        let (mut routes, mut selection) = (Routes::default(), Selection::everything());
        let mut op = |time, database: &str, collection: &str, operation| {
            let mut op = keyed(time, "a.things", 1);
            op.namespace = selection.select(database, collection, operation).unwrap();
            op.operation_type = operation;
            op
        };
        let insert = OperationType::Insert;
        for (time, database, collection) in
            [(1, "a", "x"), (2, "b", "x"), (3, "a", "y"), (4, "a", "x"), (5, "c", "x")]
        {
            routes.route(op(time, database, collection, insert), &mut members);
        }
        assert_eq!(given(&mut members), [vec![1, 3, 4], vec![2], vec![1, 4]]);
        // A rename is of both names.
        let mut rename = op(6, "b", "x", OperationType::Rename);
        let command = bson::rawdoc! { "renameCollection": "b.x", "to": "a.x" };
        (rename.document_key, rename.full_document) = (None, None);
        rename.command = Some(command.into_bytes().into());
        routes.route(rename, &mut members);
        assert_eq!(given(&mut members), [vec![6], vec![6], vec![6]]);
        // The others move up where one has gone.
        routes.forget();
        let (_, rest) = members.split_first_mut().unwrap();
        routes.route(op(7, "a", "x", insert), rest);
        assert_eq!(given(rest), [vec![], vec![7]]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut members = [member("a.*")];
        let mut routes = Routes::default();
        for time in 0..=u32::try_from(ROUTES).unwrap() {
            // Of a namespace of its own, each time, which nothing else keeps.
            routes.route(keyed(time, "a.things", 1), &mut members);
            routes.route(keyed(time, "b.things", 1), &mut members);
            assert_eq!(given(&mut members), [[time]]);
        }
        assert!(routes.0.len() <= ROUTES);
    }
}
