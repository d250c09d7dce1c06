//! A plugin at work, of which one version after the other may be current.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use gtm_text::sanitize::size;
use tokio::sync::watch;

use super::call::CallError;
use super::capabilities::SharedContexts;
use super::component::Plugin;
use super::limits::Limits;
use super::metrics::{PluginMetricStore, PluginMetrics};
use super::obstacle::HandledCounts;
use super::pool::{PoolFull, Reserved, instances};
use super::services::Services;
use super::usage::{PluginUsage, UsageStatus};
use crate::audit::Actor;
use crate::throttle::{LeftOut, Throttle};

/// Calls that a new version has to survive before the one before it is let go.
const TRIAL_CALLS: u32 = 10;

/// The time for which the bytes of log lines are bounded: in a part of it, a plugin may log what it may log in all of it.
const LOG_BURST: Duration = Duration::from_secs(10);
/// Bytes of a line of the log around what the plugin says: the time, the plugin, the op.
const LOG_LINE_OVERHEAD: usize = 100;

/// How long an instance for which there is no room waits before it is made again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// A plugin at work. Clones are of the same one.
///
/// A new version takes the place of the current one by [`swap`](PluginHandle::swap): calls that are under way end on the old one, and
/// the next begins on the new. Until it has survived its first calls it is on trial: if it traps, or goes beyond a limit, the
/// version before it is current again. All versions from which one is chosen are set up in the same way: what is set up in another
/// way takes its place by [`set_up`](PluginHandle::set_up), and nothing that comes later returns to how it was set up before.
#[derive(Clone)]
pub struct PluginHandle(Arc<PluginHandleInner>);

struct PluginHandleInner {
    name: String,
    /// What its instances take, and how many there are.
    share: Mutex<Option<(Reserved, usize)>>,
    shared: Arc<PluginContext>,
    current: watch::Sender<Plugin>,
    trial: Mutex<Trial>,
}

/// What all versions and instances of a plugin have in common.
pub(super) struct PluginContext {
    /// The plugin's name.
    plugin: Arc<str>,
    pub(super) services: Services,
    pub(super) metrics: PluginMetricStore,
    pub(super) usage: PluginUsage,
    /// For the lines that are logged for it, and for their bytes.
    lines: Throttle,
    bytes: Throttle,
    /// What its capabilities share.
    pub(super) contexts: SharedContexts,
    /// An instance of it waits for room.
    waits: AtomicBool,
    /// Ops that were handled by a capability.
    pub(super) handled: HandledCounts,
    /// The last obstacle that the plugin got round by itself.
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

    /// Returns whether a line with so many bytes of the plugin's may be logged. One that may not is counted.
    pub(super) fn may_log(&self, now: Instant, limits: &Limits, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes.saturating_add(LOG_LINE_OVERHEAD)).unwrap_or(u64::MAX);
        let burst = limits.log_bytes.saturating_mul(LOG_BURST.as_secs());
        let may = self.lines.passes(now, 1, limits.log_lines.into()) && self.bytes.passes(now, bytes, burst);
        if !may {
            self.usage.left_out(bytes);
        }
        may
    }

    /// Logs how many lines were left out, if that is due. Whether the plugin logs another line does not matter.
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

    /// Makes an instance, as soon as there is room for one. That the host is busy is logged once, and is no failure of the plugin.
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

    /// Returns whether the plugin has handled an op in spite of this obstacle.
    pub(super) fn works_around(&self, obstacle: &str) -> bool {
        self.worked_around.lock().as_deref() == Some(obstacle)
    }

    /// Returns whether this is another obstacle than the last time.
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
    /// It was loaded with other settings than those that the plugin has by now.
    #[error(
        "the settings of the plugin {plugin} have changed since this version was loaded. help: swap it again"
    )]
    SetUpAnew {
        /// Its name.
        plugin: String,
    },
    /// There is too little room.
    #[error(transparent)]
    NoRoom(#[from] PoolFull),
}

#[derive(Default)]
struct Trial {
    /// What is current again if the new version fails, and calls until it is not needed any more.
    previous: Option<(Plugin, u32)>,
    /// Why the last version that failed its trial did.
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
    /// Makes a plugin with its first version, which is not on trial: there is no version to return to.
    pub fn new(plugin: Plugin, services: Services) -> Self {
        let shared = Arc::new(PluginContext::new(&plugin.setup.name, services));
        Self(Arc::new(PluginHandleInner {
            name: plugin.name().to_owned(),
            share: Mutex::default(),
            shared,
            current: watch::Sender::new(plugin),
            trial: Mutex::default(),
        }))
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the version that is current.
    pub fn current(&self) -> Plugin {
        self.0.current.borrow().clone()
    }

    /// Returns the version that is current, and those that come after it.
    pub fn versions(&self) -> watch::Receiver<Plugin> {
        self.0.current.subscribe()
    }

    /// Returns the plugin's own metrics.
    pub fn metrics(&self) -> PluginMetrics {
        self.0.shared.metrics.all()
    }

    /// Returns what its calls took, and what it reached by them.
    pub fn usage(&self) -> UsageStatus {
        self.0.shared.usage.status()
    }

    /// Logs how many of the plugin's lines were left out of the log, if that is due. To be called each second or so.
    pub fn report_left_out(&self) {
        self.0.shared.report_left_out(Instant::now());
    }

    /// Logs how many of the plugin's lines were left out of the log since it was last reported.
    pub fn report_rest(&self) {
        self.0.shared.log_left_out(Throttle::rest);
    }

    /// Returns why the last new version was not kept, if the current one came back for it.
    pub fn rolled_back(&self) -> Option<String> {
        self.trial().failed.clone()
    }

    /// Reserves room for the instances of a plugin with so many lanes: in place of what was reserved before.
    ///
    /// # Errors
    /// There is too little.
    pub fn reserve(&self, lanes: usize) -> Result<(), PoolFull> {
        let mut share = self.0.share.lock();
        let trial = self.trial();
        let current = self.current();
        let ((each, pool), instances) = (current.places(), instances(lanes));
        // The version before one that is on trial may be current again.
        let previous = trial.previous.as_ref().map_or(0, |(previous, _)| previous.places().0);
        let needed = each.max(previous).saturating_mul(instances);
        match &mut *share {
            Some((reserved, count)) => {
                reserved.resize(needed)?;
                *count = instances;
            }
            none => *none = Some((pool.reserve(needed)?, instances)),
        }
        Ok(())
    }

    /// Makes a version current, from the next call on. It is on trial.
    ///
    /// # Errors
    /// The plugin is set up in another way than this version, by now; or its instances need more room than there is. The version
    /// before it stays current.
    pub fn swap(&self, plugin: Plugin) -> Result<(), SwapError> {
        self.replace(plugin, true)
    }

    /// Makes a version current that is set up in another way, from the next call on. It is not on trial: the version before it has
    /// what was granted before, and is not returned to.
    ///
    /// # Errors
    /// Its instances need more room than there is. The version before it stays current.
    pub fn set_up(&self, plugin: Plugin) -> Result<(), SwapError> {
        self.replace(plugin, false)
    }

    fn replace(&self, plugin: Plugin, is_tried: bool) -> Result<(), SwapError> {
        let mut share = self.0.share.lock();
        let mut trial = self.trial();
        let before = self.current();
        if is_tried && !Arc::ptr_eq(&before.setup, &plugin.setup) {
            return Err(SwapError::SetUpAnew { plugin: self.0.name.clone() });
        }
        if let Some((reserved, count)) = &mut *share {
            // Instances of the version before it may be there for a while, and all of them again.
            let (each, _) = plugin.places();
            let needed = each.saturating_mul(*count).max(reserved.count());
            reserved.resize(needed)?;
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
        // One that is on trial itself is nothing to go back to.
        let previous = trial.previous.take().map_or(before, |(previous, _)| previous);
        *trial = Trial { previous: is_tried.then_some((previous, TRIAL_CALLS)), failed: None };
        self.0.current.send_replace(plugin);
        Ok(())
    }

    /// Counts a call, and decides on a version that is on trial.
    pub(super) fn record_call(&self, plugin: &Plugin, error: Option<&CallError>) {
        if let Some(error) = error {
            self.0.shared.usage.trapped(error);
        }
        if plugin.on_trial.0.load(Ordering::Relaxed) {
            self.record_trial_call(plugin, error);
        }
    }

    fn record_trial_call(&self, plugin: &Plugin, error: Option<&CallError>) {
        let mut trial = self.trial();
        // It may be over meanwhile.
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
    fn a_line_is_left_out_as_there_are_too_many_or_as_it_is_too_large() {
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
