//! A running plugin, whose current version can be replaced.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use gtm_text::sanitize::size;
use tokio::sync::watch;

use super::call::CallError;
use super::capabilities::SharedContexts;
use super::chain::{Chain, ChainedFilter, FilterStatus, PreparedChain};
use super::component::Plugin;
use super::limits::Limits;
use super::metrics::{PluginMetricStore, PluginMetrics};
use super::obstacle::HandledCounts;
use super::pool::{PoolFull, instances};
use super::services::Services;
use super::setup::ComponentKind;
use super::share::{ComponentShare, Seat};
use super::usage::{PluginUsage, UsageStatus};
use crate::audit::Actor;
use crate::throttle::{LeftOut, Throttle};

/// Calls that a new version must survive before the previous version is dropped.
const TRIAL_CALLS: u32 = 10;

/// The time over which the bytes of log lines are averaged: a plugin may log all of its bytes in a part of it.
const LOG_BURST: Duration = Duration::from_secs(10);
/// Bytes that the log adds to a line of a plugin: the time, the plugin, the op.
const LOG_LINE_OVERHEAD: usize = 100;

/// The interval between two attempts to make an instance while all places are taken.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// A running plugin. Clones share it.
///
/// [`swap`](PluginHandle::swap) replaces the current version: calls in progress end on the old version, and the next ones begin on the
/// new. The new version is on trial for its first calls: if it traps or exceeds a limit, the previous version becomes current again.
/// Both have the same setup and filters. [`replace`](PluginHandle::replace) also takes a version with others, which is never rolled back.
#[derive(Clone)]
pub struct PluginHandle(Arc<PluginHandleInner>);

struct PluginHandleInner {
    name: String,
    /// The places that are reserved for its instances.
    share: Arc<ComponentShare>,
    lanes: Mutex<Option<ReservedLanes>>,
    shared: Arc<PluginContext>,
    current: watch::Sender<Plugin>,
    trial: Mutex<Trial>,
    /// The filters before its own. Whoever changes it, or needs it together with the current version, holds the lock meanwhile.
    chain: Mutex<Chain>,
}

/// The lanes of a plugin for which places are reserved.
struct ReservedLanes {
    lanes: usize,
    seat: Seat,
}

/// What all versions and instances of a plugin share.
pub(super) struct PluginContext {
    /// The plugin's name.
    plugin: Arc<str>,
    pub(super) services: Services,
    pub(super) metrics: PluginMetricStore,
    pub(super) usage: PluginUsage,
    /// Limits the log lines of the plugin, and their bytes.
    lines: Throttle,
    bytes: Throttle,
    /// The shared contexts of its capabilities.
    pub(super) contexts: SharedContexts,
    /// Whether an instance waits for a place.
    waits: AtomicBool,
    /// The number of ops handled with each capability.
    pub(super) handled: HandledCounts,
    /// The last obstacle that the plugin worked around.
    worked_around: Mutex<Option<String>>,
}

impl PluginContext {
    pub(super) fn new(plugin: &Arc<str>, services: Services) -> Self {
        Self {
            plugin: Arc::clone(plugin),
            services,
            metrics: PluginMetricStore::default(),
            usage: PluginUsage::default(),
            lines: Throttle::new(Duration::from_secs(1)),
            bytes: Throttle::new(LOG_BURST),
            contexts: SharedContexts::default(),
            waits: AtomicBool::new(false),
            handled: HandledCounts::default(),
            worked_around: Mutex::default(),
        }
    }

    /// Returns whether a line with this many bytes may be logged. A line over the limits is counted.
    pub(super) fn may_log(&self, now: Instant, limits: &Limits, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes.saturating_add(LOG_LINE_OVERHEAD)).unwrap_or(u64::MAX);
        let burst = limits.log_bytes.saturating_mul(LOG_BURST.as_secs());
        let may = self.lines.passes(now, 1, limits.log_lines.into()) && self.bytes.passes(now, bytes, burst);
        if !may {
            self.usage.left_out(bytes);
        }
        may
    }

    /// Logs how many lines were left out, if that is due, whether the plugin logs another line or not.
    fn report_left_out(&self, now: Instant) {
        self.log_left_out(|throttle| throttle.due(now));
    }

    fn log_left_out(&self, of: impl Fn(&Throttle) -> Option<LeftOut>) {
        let say = |left_out: u64, bound: &dyn Display| {
            tracing::warn!(
                event = "log.leave_out", plugin = &*self.plugin, left_out, limit_per_second = %bound,
                "left out lines of the plugin's log: it logs more than its limit"
            );
        };
        if let Some(many) = of(&self.lines) {
            say(many.count, &many.most);
        }
        if let Some(large) = of(&self.bytes) {
            say(large.count, &size(large.most / LOG_BURST.as_secs()));
        }
    }

    /// Makes an instance as soon as there is a place for it. A busy host is logged once, and is not a failure of the plugin.
    pub(super) async fn make_instance<T, F>(
        &self,
        plugin: &str,
        mut make: impl FnMut() -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        loop {
            match make().await {
                Err(CallError::Busy { .. }) => {
                    if !self.waits.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            event = "instance.wait",
                            plugin,
                            "waiting for room: all places for instances of plugins are taken"
                        );
                    }
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                made => {
                    self.waits.store(false, Ordering::Relaxed);
                    return made;
                }
            }
        }
    }

    /// Returns whether the plugin has handled an op despite this obstacle.
    pub(super) fn works_around(&self, obstacle: &str) -> bool {
        self.worked_around.lock().as_deref() == Some(obstacle)
    }

    /// Returns whether this obstacle differs from the last one, and remembers it.
    pub(super) fn is_new(&self, obstacle: &str) -> bool {
        let mut last = self.worked_around.lock();
        let is_new = last.as_deref() != Some(obstacle);
        if is_new {
            *last = Some(obstacle.to_owned());
        }
        is_new
    }
}

impl Drop for PluginContext {
    fn drop(&mut self) {
        self.log_left_out(Throttle::rest);
    }
}

/// Why a version does not become current.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwapError {
    /// It was loaded with other settings than the plugin has now.
    #[error(
        "the settings of the plugin {plugin} have changed since this version was loaded. help: swap it again"
    )]
    SetUpAnew {
        /// The name of the plugin.
        plugin: String,
    },
    /// Its instances need more places than there are.
    #[error(transparent)]
    NoRoom(#[from] PoolFull),
}

#[derive(Default)]
struct Trial {
    /// The version to return to if the new version fails, and the number of calls left on trial.
    previous: Option<(Plugin, u32)>,
    /// Why the last version failed its trial, if one did.
    failed: Option<String>,
}

/// Whether a version is on trial.
#[derive(Clone, Debug, Default)]
pub(super) struct OnTrial(Arc<AtomicBool>);

impl fmt::Debug for PluginHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PluginHandle").field(&self.0.name).finish()
    }
}

impl PluginHandle {
    /// Makes a plugin with its first version, which is not on trial.
    pub fn new(plugin: Plugin, services: Services) -> Self {
        let shared = Arc::new(PluginContext::new(&plugin.setup.name, services));
        Self(Arc::new(PluginHandleInner {
            name: plugin.name().to_owned(),
            share: ComponentShare::new(&plugin),
            lanes: Mutex::default(),
            shared,
            current: watch::Sender::new(plugin),
            trial: Mutex::default(),
            chain: Mutex::new(Arc::new([])),
        }))
    }

    /// Makes a plugin with its first version, and with a chain of these filters before its own, in their order.
    pub fn with_filters(plugin: Plugin, services: Services, filters: impl IntoIterator<Item = Self>) -> Self {
        let made = Self::new(plugin, services);
        *made.0.chain.lock() = filters.into_iter().map(ChainedFilter::unseated).collect();
        made
    }

    /// Reserves places for a chain of these filters before its own, in their order. Filters that it has already keep their counts.
    ///
    /// # Errors
    /// There are too few places.
    pub fn prepare_chain(&self, filters: impl IntoIterator<Item = Self>) -> Result<PreparedChain, PoolFull> {
        let lanes = self.0.lanes.lock().as_ref().map(|reserved| reserved.lanes);
        let before = self.chain();
        let chained = |filter: Self| match before.iter().find(|chained| chained.handle.is_same(&filter)) {
            Some(chained) => Ok(Arc::clone(chained)),
            None => ChainedFilter::new(filter, lanes),
        };
        Ok(PreparedChain(filters.into_iter().map(chained).collect::<Result<_, _>>()?))
    }

    /// Has these filters run before its own from the next call on. A version that is on trial stays: the previous one had other filters, so
    /// the host does not return to it.
    pub fn set_chain(&self, chain: PreparedChain) {
        let mut current = self.0.chain.lock();
        let mut trial = self.trial();
        if trial.previous.take().is_some() {
            self.current().on_trial.0.store(false, Ordering::Relaxed);
        }
        *current = chain.0;
        self.0.current.send_modify(|_| {});
    }

    fn chain(&self) -> Chain {
        Arc::clone(&self.0.chain.lock())
    }

    /// Returns the current version and its chain, and marks the version as seen.
    pub(super) fn version_and_chain(&self, versions: &mut watch::Receiver<Plugin>) -> (Plugin, Chain) {
        let chain = self.0.chain.lock();
        (versions.borrow_and_update().clone(), Arc::clone(&chain))
    }

    /// Returns the filters before its own, in their order.
    pub fn filters(&self) -> Vec<Self> {
        self.chain().iter().map(|filter| filter.handle.clone()).collect()
    }

    /// Returns whether both are handles of one component.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns what the filters before its own did for it, in their order.
    pub fn filter_statuses(&self) -> Vec<FilterStatus> {
        self.chain().iter().map(|filter| filter.status()).collect()
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the current version.
    pub fn current(&self) -> Plugin {
        self.0.current.borrow().clone()
    }

    /// Returns a receiver of the current version and its successors.
    pub fn versions(&self) -> watch::Receiver<Plugin> {
        self.0.current.subscribe()
    }

    /// Returns the plugin's own metrics.
    pub fn metrics(&self) -> PluginMetrics {
        self.0.shared.metrics.all()
    }

    /// Returns the times and results of its calls.
    pub fn usage(&self) -> UsageStatus {
        self.0.shared.usage.status()
    }

    /// Logs how many of the plugin's lines were left out of the log, if that is due. To be called about once per second.
    pub fn report_left_out(&self) {
        self.0.shared.report_left_out(Instant::now());
        self.chain().iter().for_each(|filter| filter.handle.report_left_out());
    }

    /// Logs how many of the plugin's lines were left out of the log since the last report.
    pub fn report_rest(&self) {
        self.0.shared.log_left_out(Throttle::rest);
    }

    /// Returns why the last new version was rolled back, if it was.
    pub fn rolled_back(&self) -> Option<String> {
        self.trial().failed.clone()
    }

    /// Reserves places for the instances of a plugin with this many lanes, in place of the previous reservation. To be called while it has no
    /// instances.
    ///
    /// # Errors
    /// There are too few places. The plugin cannot run, so it has no places then.
    pub fn reserve(&self, lanes: usize) -> Result<(), PoolFull> {
        let mut reserved = self.0.lanes.lock();
        let current = self.current();
        // The previous version may become current again.
        let previous = self.trial().previous.as_ref().map(|(previous, _)| previous.clone());
        let versions = || std::iter::once(&current).chain(&previous);
        let each = versions().map(|version| version.places().0).max().unwrap_or_default();
        // Each timer has an instance of its own while it ticks.
        let timers = versions().map(|version| version.timers().len()).max().unwrap_or_default();
        let count = instances(ComponentKind::Plugin, lanes) + timers;
        let mut seat = match reserved.take() {
            Some(reserved) => reserved.seat,
            None => self.0.share.take_seat(0)?,
        };
        let chain = self.chain();
        let renewed = seat.renew(each, count);
        let renewed = renewed.and_then(|()| chain.iter().try_for_each(|filter| filter.reserve(lanes)));
        match renewed {
            Ok(()) => *reserved = Some(ReservedLanes { lanes, seat }),
            Err(_) => chain.iter().for_each(|filter| filter.release()),
        }
        renewed
    }

    /// Makes a version current from the next call on. It is on trial.
    ///
    /// # Errors
    /// The plugin has another setup than this version by now, or its instances need more places than there are. The previous version stays
    /// current.
    pub fn swap(&self, plugin: Plugin) -> Result<(), SwapError> {
        self.take_over(plugin, None, |is_tried| match is_tried {
            true => Ok(()),
            false => Err(SwapError::SetUpAnew { plugin: self.0.name.clone() }),
        })
    }

    /// Makes a version current from the next call on, with these filters before its own. None: with those that it has. A version with another
    /// setup or other filters is not on trial: the previous version has the previous grants and filters, so the host does not return to it.
    ///
    /// # Errors
    /// Its instances need more places than there are. The previous version stays current, with its filters.
    pub fn replace(&self, plugin: Plugin, chain: Option<PreparedChain>) -> Result<(), SwapError> {
        self.take_over(plugin, chain, |_| Ok(()))
    }

    /// Does the same if `check` accepts it, which is called with whether the version has the same setup as the current one.
    fn take_over(
        &self,
        plugin: Plugin,
        chain: Option<PreparedChain>,
        check: impl FnOnce(bool) -> Result<(), SwapError>,
    ) -> Result<(), SwapError> {
        let mut reserved = self.0.lanes.lock();
        let mut current_chain = self.0.chain.lock();
        let mut trial = self.trial();
        let before = self.current();
        let is_same_setup = Arc::ptr_eq(&before.setup, &plugin.setup);
        check(is_same_setup)?;
        let is_tried = is_same_setup && chain.is_none();
        // Instances of the previous version may exist for a while, and all of them may be made again.
        match &mut *reserved {
            Some(ReservedLanes { lanes, seat }) => {
                seat.fit(
                    plugin.places().0,
                    instances(ComponentKind::Plugin, *lanes) + plugin.timers().len(),
                )?;
            }
            None => self.0.share.fit(plugin.places().0)?,
        }
        tracing::info!(
            event = "plugin.swap",
            plugin = plugin.name(),
            version = plugin.version(),
            previous = before.version(),
            "another version takes over"
        );
        before.on_trial.0.store(false, Ordering::Relaxed);
        plugin.on_trial.0.store(is_tried, Ordering::Relaxed);
        // A version that is on trial itself is not one to return to.
        let previous = trial.previous.take().map_or(before, |(previous, _)| previous);
        *trial = Trial { previous: is_tried.then_some((previous, TRIAL_CALLS)), failed: None };
        chain.into_iter().for_each(|chain| *current_chain = chain.0);
        self.0.current.send_replace(plugin);
        Ok(())
    }

    /// Counts a call for the trial of its version, and ends that if the call decides it.
    pub(super) fn record_call(&self, plugin: &Plugin, error: Option<&CallError>) {
        if plugin.on_trial.0.load(Ordering::Relaxed) {
            self.record_trial_call(plugin, error);
        }
    }

    fn record_trial_call(&self, plugin: &Plugin, error: Option<&CallError>) {
        let mut trial = self.trial();
        // The trial may have ended meanwhile.
        if !plugin.on_trial.0.load(Ordering::Relaxed) {
            return;
        }
        let Some((previous, left)) = &mut trial.previous else { return };
        match error {
            None if *left > 1 => *left -= 1,
            None => {
                tracing::info!(
                    event = "plugin.keep",
                    plugin = plugin.name(),
                    version = plugin.version(),
                    "the new version passed its trial"
                );
                plugin.on_trial.0.store(false, Ordering::Relaxed);
                trial.previous = None;
            }
            Some(error) => {
                let (version, previous) = (plugin.version(), previous.clone());
                let reason =
                    format!("version {version} failed one of its first {TRIAL_CALLS} calls: {error}");
                tracing::error!(
                    event = "plugin.roll_back",
                    plugin = plugin.name(),
                    version,
                    previous = previous.version(),
                    error = reason,
                    "the new version failed its trial; the previous one continues"
                );
                plugin.on_trial.0.store(false, Ordering::Relaxed);
                let back = format!("{} (from {version})", previous.version());
                Actor::Trial.did("roll back", plugin.name(), Some(&back));
                *trial = Trial { previous: None, failed: Some(reason) };
                self.0.current.send_replace(previous);
            }
        }
    }

    pub(super) fn share(&self) -> &Arc<ComponentShare> {
        &self.0.share
    }

    pub(super) fn shared(&self) -> &Arc<PluginContext> {
        &self.0.shared
    }

    fn trial(&self) -> parking_lot::MutexGuard<'_, Trial> {
        self.0.trial.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_over_the_count_or_the_bytes_is_left_out() {
        let shared = PluginContext::new(&"p".into(), Services::default());
        let limits = Limits { log_lines: 1, log_bytes: 100, ..Limits::default() };
        let now = Instant::now();
        let next = |after: u64, bytes| shared.may_log(now + Duration::from_millis(after), &limits, bytes);
        assert!(next(0, 10));
        assert!(!next(1, 10));
        assert!(!next(1100, 5000));
        assert!(next(2200, 10));
        assert_eq!(shared.lines.rest(), Some(LeftOut { count: 1, most: 1 }));
        assert_eq!(shared.bytes.rest(), Some(LeftOut { count: 1, most: 1000 }));
        assert_eq!(shared.usage.status().log_lines_left_out, 2);
    }
}
