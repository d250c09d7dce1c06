//! The beginning of a plugin: the host asks for its settings and its subscriptions before its first op, in an instance without effects.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use gtm_oplog::Selection;
use semver::Version;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::abi::{DeclaredTimer, ExportIndices, Exports, Subscription};
use super::call::{CallError, guarded_now, one_line};
use super::component::store;
use super::component_path::ComponentPath;
use super::handle::PluginContext;
use super::limits::{MAX_EXPRESSIONS, MAX_PATTERN_BYTES, MAX_SUBSCRIPTIONS, ticks};
use super::load_error::LoadError;
use super::obstacle::CallNotes;
use super::services::Services;
use super::setting::{self, CheckedSettings, DeclaredSetting, SetValues, SettingProblem};
use super::setup::Setup;
use super::state::{InstanceRole, InstanceState};
use super::timer::{MAX_TIMERS, Timer};
use super::timer_problem::{RefusedTimer, TimerOrigin, TimerProblem};

/// What a plugin says before its first op.
pub(super) struct Beginning {
    /// The settings that it declares. None: it accepts any.
    pub(super) settings: Option<Vec<DeclaredSetting>>,
    /// The values of its settings.
    pub(super) config: Arc<BTreeMap<String, String>>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) timers: Vec<Timer>,
}

/// A component whose exports are known, before it is a plugin.
pub(super) struct FoundComponent<'a> {
    pub(super) linked: &'a InstancePre<InstanceState>,
    pub(super) exports: &'a ExportIndices,
    pub(super) setup: &'a Arc<Setup>,
    pub(super) component: &'a ComponentPath,
    /// Whether it is another version of a plugin that runs. It is started even if it has nothing to ask it for, so that a version that cannot
    /// start is refused.
    pub(super) starts: bool,
    /// The contract that it was built against, for messages.
    pub(super) contract: Version,
}

impl FoundComponent<'_> {
    /// Asks the plugin for its settings, checks the values that are set, and initializes it with them. Blocks for as long.
    pub(super) fn begin(&self) -> Result<Beginning, LoadError> {
        let config = Arc::new(self.setup.config.clone());
        if !self.starts && !self.exports.has_beginning() {
            return Ok(Beginning { settings: None, config, subscriptions: Vec::new(), timers: Vec::new() });
        }
        let (mut store, exports) = self.start(&config)?;
        let settings = self.call("settings", &mut store, |store| exports.settings(store).now_or_never())?;
        let values = SetValues {
            kind: self.setup.kind,
            component: &self.setup.name,
            set: &config,
            shared: &self.setup.shared_config,
            is_for_successor: self.starts,
        };
        let checked = setting::check(settings.as_deref(), values);
        let CheckedSettings { values, renamed } = checked.map_err(|problems| {
            // A declaration that is not valid may be large.
            let is_valid =
                !problems.iter().any(|problem| matches!(problem, SettingProblem::Declaration { .. }));
            let declared = settings.clone().filter(|_| is_valid);
            LoadError::Settings {
                component: self.component.clone(),
                problems,
                declared: declared.unwrap_or_default(),
            }
        })?;
        for (former, name) in renamed {
            tracing::warn!(
                event = "plugin.rename_setting",
                plugin = &*self.setup.name,
                former,
                setting = name,
                "the setting has another name now; the former name still works"
            );
        }
        let config = Arc::new(values);
        store.data_mut().set_config(&config);
        let call = match &exports {
            Exports::V0_1(_) => "subscriptions",
            Exports::V0_2(_) => "init",
        };
        let subscriptions = self
            .call(call, &mut store, |store| exports.init(store).now_or_never())?
            .map_err(|reason| LoadError::Refused {
                component: self.component.clone(),
                reason: without_secrets(one_line(&reason), settings.as_deref(), &config),
                declared: settings.clone(),
            })?;
        let declared = match self.exports.has_schedule() {
            true => self.call("timers", &mut store, |store| exports.timers(store).now_or_never())?,
            false => Vec::new(),
        };
        store.data().log_output();
        let timers = self.timers(declared, settings.as_deref(), &config)?;
        Ok(Beginning { settings, config, subscriptions, timers })
    }

    /// Starts an instance for filters, which never waits.
    fn start(
        &self,
        config: &Arc<BTreeMap<String, String>>,
    ) -> Result<(Store<InstanceState>, Exports), LoadError> {
        const CALL: &str = "the start";
        let limit = self.setup.limits.filter_timeout;
        let started = || {
            let context = Arc::new(PluginContext::new(&self.setup.name, Services::default()));
            let notes = CallNotes::default();
            let mut store = store(self.linked, self.setup, config, &context, InstanceRole::Filter, &notes)?;
            store.set_epoch_deadline(ticks(limit));
            match now(self.linked.instantiate_async(&mut store).now_or_never()) {
                Ok(instance) => Ok((self.exports.load(&mut store, &instance), store)),
                Err(error) => Err(CallError::new(CALL, &error, store.data(), limit)),
            }
        };
        let (exports, store) = guarded_now(CALL, started).map_err(|reason| self.failed(reason))?;
        match exports {
            Ok(exports) => Ok((store, exports)),
            Err(error) => Err(LoadError::Mismatch {
                component: self.component.clone(),
                contract: self.contract.clone(),
                reason: format!("{error:#}"),
            }),
        }
    }

    /// Calls a function of the instance within the time limit of a filter.
    fn call<T>(
        &self,
        call: &'static str,
        store: &mut Store<InstanceState>,
        function: impl FnOnce(&mut Store<InstanceState>) -> Option<wasmtime::Result<T>>,
    ) -> Result<T, LoadError> {
        let limit = self.setup.limits.filter_timeout;
        let called = || {
            store.set_epoch_deadline(ticks(limit));
            let answer = now(function(store));
            answer.map_err(|error| CallError::new(call, &error, store.data(), limit))
        };
        guarded_now(call, called).map_err(|reason| self.failed(reason))
    }

    fn failed(&self, reason: CallError) -> LoadError {
        LoadError::Start { component: self.component.clone(), reason }
    }

    /// Makes the timers that the plugin declares.
    fn timers(
        &self,
        timers: Vec<DeclaredTimer>,
        settings: Option<&[DeclaredSetting]>,
        config: &BTreeMap<String, String>,
    ) -> Result<Vec<Timer>, LoadError> {
        let declared = || settings.map(<[DeclaredSetting]>::to_vec);
        if timers.len() > MAX_TIMERS {
            let component = self.component.clone();
            return Err(LoadError::ManyTimers { component, count: timers.len(), declared: declared() });
        }
        let mut made = Vec::<Timer>::new();
        for (name, schedule, missed) in timers {
            let is_duplicate = made.iter().any(|timer| timer.name == name);
            let timer = match is_duplicate {
                true => Err(TimerProblem::Duplicate),
                false => Timer::new(name.clone(), &schedule, missed),
            };
            match timer {
                Ok(timer) => made.push(timer),
                Err(problem) => {
                    let wrong = match problem {
                        TimerProblem::Name | TimerProblem::Duplicate => &name,
                        _ => &schedule,
                    };
                    let origin = self.origin(wrong, config);
                    let without_secrets = |text: &str| without_secrets(one_line(text), settings, config);
                    let (timer, reason) = (without_secrets(&name), without_secrets(&problem.to_string()));
                    let refused = Box::new(RefusedTimer { timer, reason, origin });
                    let component = self.component.clone();
                    return Err(LoadError::Timer { component, refused, declared: declared() });
                }
            }
        }
        Ok(made)
    }

    /// Finds the setting with this value.
    fn origin(&self, value: &str, config: &BTreeMap<String, String>) -> TimerOrigin {
        match config.iter().find(|(_, set)| set.trim() == value.trim()) {
            Some((name, _)) => TimerOrigin::Setting {
                plugin: self.setup.name.to_string(),
                name: name.clone(),
                is_for_successor: self.starts,
            },
            None => TimerOrigin::Plugin { settings: config.keys().cloned().collect() },
        }
    }
}

/// Returns a text of the plugin without the values of its secret settings.
fn without_secrets(
    text: String,
    settings: Option<&[DeclaredSetting]>,
    config: &BTreeMap<String, String>,
) -> String {
    let secrets = settings.unwrap_or_default().iter().filter(|setting| setting.is_secret);
    let values = secrets.filter_map(|setting| config.get(&setting.name)).filter(|value| !value.is_empty());
    values.fold(text, |text, value| text.replace(value.as_str(), "(hidden)"))
}

/// Returns the result of a call of an instance for filters, which never waits.
fn now<T>(call: Option<wasmtime::Result<T>>) -> wasmtime::Result<T> {
    call.unwrap_or_else(|| Err(wasmtime::Error::msg("it tried to wait")))
}

/// Makes the selection of these subscriptions.
pub(super) fn selection(
    subscriptions: &[Subscription],
    component: &ComponentPath,
) -> Result<Selection, LoadError> {
    if subscriptions.is_empty() {
        return Ok(Selection::everything());
    }
    if subscriptions.len() > MAX_SUBSCRIPTIONS {
        return Err(LoadError::ManySubscriptions {
            component: component.clone(),
            count: subscriptions.len(),
        });
    }
    let length = subscriptions.iter().map(|(namespace, _)| namespace.len()).max().unwrap_or_default();
    if length > MAX_PATTERN_BYTES {
        return Err(LoadError::LongSubscription { component: component.clone(), length });
    }
    let expressions = subscriptions.iter().filter(|(namespace, _)| namespace.starts_with('/')).count();
    if expressions > MAX_EXPRESSIONS {
        return Err(LoadError::ManyExpressions { component: component.clone(), count: expressions });
    }
    let mut selection = Selection::default();
    for (namespace, operations) in subscriptions {
        selection.add(namespace, operations).map_err(|reason| LoadError::Subscription {
            component: component.clone(),
            namespace: namespace.clone(),
            reason,
        })?;
    }
    Ok(selection)
}
