//! Delivers the ticks of a plugin's timers, each timer in a task of its own.
//!
//! A tick is an op that no source has: it is retried, given up and stored as a dead letter as an op is, and the breaker and a pause stop it
//! as well. It is not part of the window, as it has no position. The store keeps for each timer up to which time its ticks are done, and
//! which tick was begun, so that the next host neither loses nor needlessly repeats one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gtm_oplog::Op;
use gtm_runtime::{Plugin, PluginHandle, Timer, seconds};
use gtm_store::{Store, StoreError, TimerKey, TimerProgress};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::lane::Lane;
use super::lane_context::{LaneContext, LaneStopped};
use super::lane_queue::QueuedOp;
use super::op_handler::PluginInstances;
use super::plugin_delivery::OwnsOp;
use super::spans::{self, in_span};
use super::status::TickOutcome;
use super::timer::{LeftOutTicks, leave_out, resume};

/// The longest sleep until the clock is read again: it may be set, or the machine may sleep.
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);
/// The interval between two attempts to read the progress of a timer.
const STORE_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The timers of a plugin, and all that they need. Clones are the same timers.
#[derive(Clone)]
pub(super) struct Timers {
    pub(super) plugin: PluginHandle,
    pub(super) store: Store,
    pub(super) pipeline: String,
    /// Which of several workers has a timer: the one that a tick belongs to.
    pub(super) owns: OwnsOp,
}

/// One timer in its task.
struct RunningTimer {
    timers: Timers,
    lanes: Arc<LaneContext>,
    stop: CancellationToken,
    key: TimerKey,
    /// Whether the last attempt to use the store failed.
    is_store_failing: bool,
}

/// The timer must stop.
struct TimerStopped;

impl Timers {
    /// Delivers the ticks of all timers until `stop` is cancelled, or the lanes must stop. A tick that is being handled ends before.
    pub(super) async fn run(self, lanes: Arc<LaneContext>, stop: CancellationToken) {
        let mut versions = self.plugin.versions();
        let mut running = BTreeSet::new();
        let mut tasks = JoinSet::new();
        loop {
            let plugin = versions.borrow_and_update().clone();
            for Timer { name, .. } in plugin.timers() {
                if running.insert(name.clone()) {
                    let timer = RunningTimer::new(&self, &lanes, &stop, name);
                    tasks.spawn(timer.run().in_current_span());
                }
            }
            tokio::select! {
                changed = versions.changed() => if changed.is_err() { break },
                Some(ended) = tasks.join_next() => {
                    running.remove(&resumed_panic(ended));
                }
                () = stopped(&lanes, &stop) => break,
            }
        }
        while let Some(ended) = tasks.join_next().await {
            resumed_panic(ended);
        }
    }
}

/// Returns the result of a task. If it panicked, this panics too: whoever waits for the lanes finds that.
fn resumed_panic(ended: Result<String, tokio::task::JoinError>) -> String {
    match ended {
        Ok(name) => name,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => String::new(),
        },
    }
}

async fn stopped(lanes: &LaneContext, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = lanes.shutdown.cancelled() => {}
        () = lanes.dropped.cancelled() => {}
    }
}

impl RunningTimer {
    fn new(timers: &Timers, lanes: &Arc<LaneContext>, stop: &CancellationToken, name: &str) -> Self {
        let key = TimerKey {
            pipeline: timers.pipeline.clone(),
            plugin: timers.plugin.name().to_owned(),
            timer: name.to_owned(),
        };
        Self {
            timers: timers.clone(),
            lanes: Arc::clone(lanes),
            stop: stop.clone(),
            key,
            is_store_failing: false,
        }
    }

    /// Delivers the ticks of the timer until the plugin no longer has it, or it must stop. Returns its name.
    async fn run(mut self) -> String {
        let mut versions = self.timers.plugin.versions();
        // Another worker has it, or this one for as long as the host is active.
        if (self.timers.owns)(&Op::from_tick(&self.key.timer, 0)) {
            let _ = self.deliver(&mut versions).await;
            self.lanes.progress.timers.remove(&self.key.timer);
        } else {
            while self.current(&mut versions).is_some() {
                tokio::select! {
                    changed = versions.changed() => if changed.is_err() { break },
                    () = stopped(&self.lanes, &self.stop) => break,
                }
            }
        }
        self.key.timer
    }

    /// Returns the timer as the current version declares it.
    fn current(&self, versions: &mut watch::Receiver<Plugin>) -> Option<Timer> {
        let plugin = versions.borrow_and_update();
        plugin.timers().iter().find(|timer| timer.name == self.key.timer).cloned()
    }

    async fn deliver(&mut self, versions: &mut watch::Receiver<Plugin>) -> Result<(), TimerStopped> {
        let mut stored = self.load().await?;
        while let Some(timer) = self.current(versions) {
            let mut progress = resume(&timer, stored.clone(), now());
            if stored.as_ref() != Some(&progress) {
                self.save(&progress).await;
            }
            let next = timer.schedule.after(progress.done);
            tracing::info!(
                event = "timer.start",
                plugin = self.key.plugin,
                timer = self.key.timer,
                schedule = timer.schedule.text(),
                missed = timer.missed.name(),
                next = next.map(|next| tracing::field::display(shown(next))),
                "the timer is ready"
            );
            while self.deliver_next(&timer, &mut progress, versions).await? {}
            stored = Some(progress);
        }
        Ok(())
    }

    /// Delivers the tick that was begun, or waits for the next one and delivers it. Returns false if another version became current before.
    async fn deliver_next(
        &mut self,
        timer: &Timer,
        progress: &mut TimerProgress,
        versions: &mut watch::Receiver<Plugin>,
    ) -> Result<bool, TimerStopped> {
        let due = match progress.begun {
            Some(begun) => begun,
            None => {
                let Some(due) = self.wait(timer, progress, versions).await? else { return Ok(false) };
                progress.begun = Some(due);
                self.save(progress).await;
                due
            }
        };
        let (status, name) = (&self.lanes.progress.timers, &self.key.timer);
        status.next(name, timer.schedule.text(), Some(due));
        let outcome = self.tick(due).await?;
        self.lanes.progress.timers.done(&self.key.timer, due, outcome);
        (progress.done, progress.begun) = (progress.done.max(due), None);
        self.save(progress).await;
        Ok(true)
    }

    /// Leaves out ticks that were missed, and waits until the next one is due. Returns its time. None: another version became current before.
    async fn wait(
        &mut self,
        timer: &Timer,
        progress: &mut TimerProgress,
        versions: &mut watch::Receiver<Plugin>,
    ) -> Result<Option<u32>, TimerStopped> {
        if let Some(LeftOutTicks { first, last }) = leave_out(timer, progress, now()) {
            tracing::warn!(
                event = "timer.skip", plugin = self.key.plugin, timer = self.key.timer,
                first = %shown(first), last = %shown(last),
                "skipping missed ticks: no host could deliver them at their time"
            );
            self.save(progress).await;
        }
        let next = timer.schedule.after(progress.done);
        self.lanes.progress.timers.next(&self.key.timer, timer.schedule.text(), next);
        let due = async {
            match next {
                Some(next) => until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = &mut due => return Ok(next),
                changed = versions.changed() => return changed.map(|()| None).map_err(|_| TimerStopped),
                () = stopped(&self.lanes, &self.stop) => return Err(TimerStopped),
                () = tokio::time::sleep(STORE_RETRY_INTERVAL), if self.is_store_failing => {}
            }
            self.save(progress).await;
        }
    }

    /// Has the plugin do the work of a tick, in an instance that exists no longer than that: most timers are due rarely.
    async fn tick(&self, at: u32) -> Result<TickOutcome, TimerStopped> {
        let tick =
            QueuedOp { number: None, op: Arc::new(Op::from_tick(&self.key.timer, at)), filter_error: None };
        let mut lane = Lane::new(Arc::clone(&self.lanes), PluginInstances::new(&self.timers.plugin));
        let handled = in_span!(spans::op(&tick.op), lane.handle_op(&tick, None));
        let outcome = TickOutcome::from(handled.map_err(|LaneStopped| TimerStopped)?);
        tracing::debug!(
            event = "timer.tick", plugin = self.key.plugin, timer = self.key.timer, op = %tick.op.id(),
            outcome = outcome.name(), "the tick is done"
        );
        Ok(outcome)
    }

    /// Reads the progress, and tries again until that works.
    async fn load(&mut self) -> Result<Option<TimerProgress>, TimerStopped> {
        loop {
            match self.timers.store.timer(&self.key).await {
                Ok(stored) => {
                    self.store_works();
                    return Ok(stored);
                }
                Err(error) => self.store_failed(&error),
            }
            tokio::select! {
                () = tokio::time::sleep(STORE_RETRY_INTERVAL) => {}
                () = stopped(&self.lanes, &self.stop) => return Err(TimerStopped),
            }
        }
    }

    /// Stores the progress. If that fails, the timer continues, and tries again while it waits for its next tick: after a crash, the next
    /// host repeats what is not stored.
    async fn save(&mut self, progress: &TimerProgress) {
        match self.timers.store.save_timer(&self.key, progress).await {
            Ok(()) => self.store_works(),
            Err(error) => self.store_failed(&error),
        }
    }

    fn store_works(&mut self) {
        if std::mem::take(&mut self.is_store_failing) {
            tracing::info!(
                event = "timer.recover",
                plugin = self.key.plugin,
                timer = self.key.timer,
                "the progress of the timer is read and stored again"
            );
        }
    }

    fn store_failed(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.is_store_failing, true) {
            tracing::error!(
                event = "timer.store_failed",
                plugin = self.key.plugin,
                timer = self.key.timer,
                error = error as &(dyn std::error::Error + 'static),
                "the progress of the timer cannot be read or stored; retrying"
            );
        }
    }
}

/// Waits until this time, by the clock of the machine.
async fn until(second: u32) {
    let at = UNIX_EPOCH + Duration::from_secs(second.into());
    while let Ok(left) = at.duration_since(SystemTime::now())
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(CLOCK_INTERVAL)).await;
    }
}

fn now() -> u32 {
    seconds(SystemTime::now())
}

/// Returns a time as the log shows it.
fn shown(second: u32) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(second.into()))
}
