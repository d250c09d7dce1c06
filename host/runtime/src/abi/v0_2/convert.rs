//! Converts ops, operation types, failures and declared settings.

use super::generated::exports::gtm::plugin::{lifecycle, schedule};
use super::types;
use crate::failure::Failure;
use crate::setting::{DeclaredSetting, SettingType};
use crate::timer::MissedTicks;

crate::abi::convert_ops!(super::types);

pub(super) fn lift_failure(failure: types::Failure) -> Failure {
    match failure {
        types::Failure::Retry(reason) => Failure::retry(reason),
        types::Failure::RetryAfter(types::DelayedRetry { delay, reason }) => {
            Failure::retry_after(delay, reason)
        }
        types::Failure::Reject(reason) => Failure::reject(reason),
    }
}

pub(super) fn lift_missed(missed: schedule::MissedTicks) -> MissedTicks {
    match missed {
        schedule::MissedTicks::Skip => MissedTicks::Skip,
        schedule::MissedTicks::Once => MissedTicks::Once,
        schedule::MissedTicks::Each => MissedTicks::Each,
    }
}

pub(super) fn lift_setting(setting: lifecycle::Setting) -> DeclaredSetting {
    let lifecycle::Setting { name, setting_type, default, doc, required, secret, former_names } = setting;
    let setting_type = match setting_type {
        lifecycle::SettingType::Text => SettingType::Text,
        lifecycle::SettingType::Integer => SettingType::Integer,
        lifecycle::SettingType::Number => SettingType::Number,
        lifecycle::SettingType::Boolean => SettingType::Boolean,
        lifecycle::SettingType::Duration => SettingType::Duration,
        lifecycle::SettingType::Size => SettingType::Size,
        lifecycle::SettingType::Texts => SettingType::Texts,
        lifecycle::SettingType::Choice(texts) => SettingType::Choice(texts),
    };
    DeclaredSetting {
        name,
        setting_type,
        default,
        doc,
        is_required: required,
        is_secret: secret,
        former_names,
    }
}
