//! Starts a plugin as a host does: with the settings that it declares.

use std::collections::BTreeMap;

use super::host::{self, with};
use crate::export::{self, Registered};
use crate::settings::{Setting, SettingType, nearest};
use crate::{BatchPlugin, Config, ConfigError, FilterPlugin, Op, Plugin, SchedulePlugin, Subscription};

pub(super) fn plugin<P: Plugin>() -> Result<(P, Vec<Subscription>), ConfigError> {
    set_defaults::<P>()?;
    host::filtering(|| export::start(Config::read()))
}

pub(super) fn batch_plugin<P: BatchPlugin>() -> Result<(P, Vec<Subscription>), ConfigError> {
    set_defaults::<P>()?;
    host::filtering(|| export::start_batch(Config::read()))
}

pub(super) fn filter<P: FilterPlugin>() -> Result<(P, Vec<Subscription>), ConfigError> {
    set_defaults::<P>()?;
    host::filtering(|| export::start_filter(Config::read()))
}

pub(super) fn schedule_plugin<P: SchedulePlugin>() -> Result<P, ConfigError> {
    set_defaults::<P>()?;
    host::filtering(|| P::new(Config::read()))
}

/// Returns a started plugin.
///
/// # Panics
/// The settings are wrong.
#[expect(clippy::panic, reason = "a test with wrong settings fails")]
pub(super) fn accepted<T>(started: Result<T, ConfigError>) -> T {
    started.unwrap_or_else(|error| panic!("the settings are wrong: {error}"))
}

/// Checks the settings, and adds the defaults to what the plugin reads.
fn set_defaults<P: Registered>() -> Result<(), ConfigError> {
    let set = with(|world| world.config.clone());
    let values = match P::settings() {
        Some(declared) => checked(&declared, &set)?,
        None => set,
    };
    host::set_config(values);
    Ok(())
}

fn checked(
    declared: &[Setting],
    set: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut values = BTreeMap::new();
    for setting in declared {
        let names = std::iter::once(&setting.name).chain(&setting.former_names);
        let mut in_use = names.filter(|name| set.contains_key(*name));
        if let (Some(name), Some(other)) = (in_use.next(), in_use.next()) {
            return Err(ConfigError::new(format!(
                "the settings {other} and {name} are both set, and are the same"
            )));
        }
        let names = std::iter::once(&setting.name).chain(&setting.former_names);
        let may_be_empty =
            !setting.required && matches!(setting.setting_type, SettingType::Text | SettingType::Texts);
        let value = names.filter_map(|name| set.get(name)).find(|value| may_be_empty || !value.is_empty());
        match value.or(setting.default.as_ref()) {
            Some(value) => {
                values.insert(setting.name.clone(), normalized(setting, value)?);
            }
            None if setting.required => {
                return Err(ConfigError::new(format!("the setting {} is missing", setting.name)));
            }
            None => {}
        }
    }
    let known: Vec<_> = declared.iter().map(|setting| setting.name.as_str()).collect();
    let is_known = |name: &str| {
        known.contains(&name)
            || declared.iter().any(|setting| setting.former_names.iter().any(|former| former == name))
    };
    match set.keys().find(|name| !is_known(name)) {
        None => Ok(values),
        Some(name) => {
            let hint = nearest(name, &known).map(|nearest| format!(", did you mean {nearest}?"));
            Err(ConfigError::new(format!("unknown setting {name}{}", hint.unwrap_or_default())))
        }
    }
}

/// Returns a value as the host passes it to the plugin.
fn normalized(setting: &Setting, value: &str) -> Result<String, ConfigError> {
    let normalized = match &setting.setting_type {
        SettingType::Text | SettingType::Texts => Some(value.to_owned()),
        SettingType::Integer => value.trim().parse::<i64>().ok().map(|number| number.to_string()),
        SettingType::Number => {
            let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            number.map(|number| number.to_string())
        }
        SettingType::Boolean => value.parse::<bool>().ok().map(|is| is.to_string()),
        SettingType::Duration => {
            humantime::parse_duration(value).ok().map(|duration| duration.as_millis().to_string())
        }
        SettingType::Size => value.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64().to_string()),
        SettingType::Choice(texts) => texts.iter().find(|text| *text == value).cloned(),
    };
    let expected = match &setting.setting_type {
        SettingType::Text | SettingType::Texts => "a text".to_owned(),
        SettingType::Integer => "a whole number".to_owned(),
        SettingType::Number => "a number".to_owned(),
        SettingType::Boolean => "true or false".to_owned(),
        SettingType::Duration => "a duration, such as 500ms, 10s or 5m".to_owned(),
        SettingType::Size => "a size, such as 512 KiB or 1 MiB".to_owned(),
        SettingType::Choice(texts) => format!("one of {}", texts.join(", ")),
    };
    let value = if setting.secret { String::new() } else { format!("is {value:?}, and it ") };
    normalized
        .ok_or_else(|| ConfigError::new(format!("the setting {} {value}must be {expected}", setting.name)))
}

/// Returns whether a plugin subscribed to an op. A regular expression counts as one that matches.
pub(super) fn covers(subscriptions: &[Subscription], op: &Op) -> bool {
    let has_operation = |subscription: &Subscription| {
        subscription.operation_types.is_empty() || subscription.operation_types.contains(&op.operation_type())
    };
    let namespace = op.namespace();
    let name = format!("{}.{}", namespace.database, namespace.collection);
    let has_namespace = |subscription: &Subscription| {
        subscription.namespace.starts_with('/') || crate::op::is_like(&subscription.namespace, &name)
    };
    subscriptions.is_empty()
        || subscriptions.iter().any(|subscription| has_operation(subscription) && has_namespace(subscription))
}
