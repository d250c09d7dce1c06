//! What the attribute [`#[plugin]`](macro@crate::plugin) expands to. Not for use by hand.

use std::cell::OnceCell;

use crate::bindings::exports::gtm::plugin::lifecycle;
use crate::settings::{Setting, SettingType};
use crate::{
    BatchPlugin, Config, Failure, FilterPlugin, Outcome, Plugin, SchedulePlugin, Subscription, bindings,
};

pub use crate::worlds::{BATCH_PLUGIN_WORLD, FILTER_WORLD, LIFECYCLE_WORLD, PLUGIN_WORLD, SCHEDULE_WORLD};

/// What the attribute says about a plugin.
pub trait Registered {
    /// Returns the declared settings. None: any.
    fn settings() -> Option<Vec<Setting>>;
    /// Returns the subscriptions, which the plugin may replace by others.
    fn subscriptions() -> Vec<Subscription>;
}

/// Starts a plugin, and returns its subscriptions.
pub(crate) fn start<P: Plugin>(config: Config) -> Result<(P, Vec<Subscription>), crate::ConfigError> {
    let plugin = P::new(config)?;
    let subscriptions = plugin.subscriptions().unwrap_or_else(<P as Registered>::subscriptions);
    Ok((plugin, subscriptions))
}

/// Starts a plugin that handles batches, and returns its subscriptions.
pub(crate) fn start_batch<P: BatchPlugin>(
    config: Config,
) -> Result<(P, Vec<Subscription>), crate::ConfigError> {
    let plugin = P::new(config)?;
    let subscriptions = plugin.subscriptions().unwrap_or_else(<P as Registered>::subscriptions);
    Ok((plugin, subscriptions))
}

/// Starts a filter, and returns its subscriptions.
pub(crate) fn start_filter<P: FilterPlugin>(
    config: Config,
) -> Result<(P, Vec<Subscription>), crate::ConfigError> {
    let plugin = P::new(config)?;
    let subscriptions = plugin.subscriptions().unwrap_or_else(<P as Registered>::subscriptions);
    Ok((plugin, subscriptions))
}

/// Starts a plugin in its instance.
pub fn init<P: Plugin>(instance: &OnceCell<P>) -> Result<Vec<Subscription>, String> {
    let (plugin, subscriptions) = start::<P>(Config::read()).map_err(|error| error.to_string())?;
    let _ = instance.set(plugin);
    Ok(subscriptions)
}

/// Starts a plugin that handles batches in its instance.
pub fn init_batch<P: BatchPlugin>(instance: &OnceCell<P>) -> Result<Vec<Subscription>, String> {
    let (plugin, subscriptions) = start_batch::<P>(Config::read()).map_err(|error| error.to_string())?;
    let _ = instance.set(plugin);
    Ok(subscriptions)
}

/// Starts a filter in its instance.
pub fn init_filter<P: FilterPlugin>(instance: &OnceCell<P>) -> Result<Vec<Subscription>, String> {
    let (plugin, subscriptions) = start_filter::<P>(Config::read()).map_err(|error| error.to_string())?;
    let _ = instance.set(plugin);
    Ok(subscriptions)
}

/// Starts a plugin that works at set times only in its instance. It subscribes to nothing that it would get.
pub fn init_schedule<P: SchedulePlugin>(instance: &OnceCell<P>) -> Result<Vec<Subscription>, String> {
    let plugin = P::new(Config::read()).map_err(|error| error.to_string())?;
    let _ = instance.set(plugin);
    Ok(Vec::new())
}

/// Returns the plugin of an instance.
///
/// # Panics
/// The host has not called `init`, which it promises to do.
#[expect(clippy::expect_used, reason = "a host that breaks the contract gets a trap")]
pub fn started<P>(instance: &OnceCell<P>) -> &P {
    instance.get().expect("init comes first")
}

/// Converts an outcome to that of the contract.
pub fn lower(outcome: Outcome) -> Result<(), bindings::gtm::plugin::types::Failure> {
    outcome.map_err(Failure::into)
}

/// Returns a text as the bytes of a section of the component.
pub const fn stamp<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    match text.as_bytes().first_chunk::<LENGTH>() {
        Some(bytes) => *bytes,
        None => [b' '; LENGTH],
    }
}

impl From<Subscription> for lifecycle::Subscription {
    fn from(subscription: Subscription) -> Self {
        let Subscription { namespace, operation_types } = subscription;
        Self { namespace, operation_types }
    }
}

impl From<Setting> for lifecycle::Setting {
    fn from(setting: Setting) -> Self {
        let Setting { name, setting_type, default, doc, required, secret, former_names } = setting;
        let setting_type = match setting_type {
            SettingType::Text => lifecycle::SettingType::Text,
            SettingType::Integer => lifecycle::SettingType::Integer,
            SettingType::Number => lifecycle::SettingType::Number,
            SettingType::Boolean => lifecycle::SettingType::Boolean,
            SettingType::Duration => lifecycle::SettingType::Duration,
            SettingType::Size => lifecycle::SettingType::Size,
            SettingType::Texts => lifecycle::SettingType::Texts,
            SettingType::Choice(texts) => lifecycle::SettingType::Choice(texts),
        };
        Self { name, setting_type, default, doc, required, secret, former_names }
    }
}

/// Exports these interfaces of a type, which implements their traits, with the world that has them. The linker joins the worlds of several
/// sections.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_interfaces {
    ($exported:ident, $world:ident in $section:literal, $($module:ident $interface_macro:ident),+) => {
        // It tells the linker which interfaces the component exports.
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        #[used]
        #[unsafe(link_section = $section)]
        static WORLD: [u8; ::gtm_plugin::export::$world.len()] = ::gtm_plugin::export::$world;

        $(::gtm_plugin::bindings::exports::gtm::plugin::$module::$interface_macro!(
            $exported with_types_in ::gtm_plugin::bindings::exports::gtm::plugin::$module
        );)+
    };
}

/// Exports a type that implements the traits of a plugin's interfaces by hand.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_raw {
    ($exported:ident) => {
        ::gtm_plugin::__export_interfaces!(
            $exported, PLUGIN_WORLD in "component-type:gtm-plugin",
            lifecycle __export_gtm_plugin_lifecycle_0_2_0_cabi,
            filter __export_gtm_plugin_filter_0_2_0_cabi,
            batch_filter __export_gtm_plugin_batch_filter_0_2_0_cabi,
            handler __export_gtm_plugin_handler_0_2_0_cabi
        );
    };
}

/// Implements the beginning of all plugins, for a type `Exported`.
#[doc(hidden)]
#[macro_export]
macro_rules! __implement_lifecycle {
    ($plugin:ty, $init:ident) => {
        use ::gtm_plugin::bindings::exports::gtm::plugin as exports;
        use ::gtm_plugin::bindings::gtm::plugin::types;

        ::std::thread_local! {
            static INSTANCE: ::std::cell::OnceCell<$plugin> = const { ::std::cell::OnceCell::new() };
        }

        fn plugin<T>(call: impl FnOnce(&$plugin) -> T) -> T {
            INSTANCE.with(|instance| call(::gtm_plugin::export::started(instance)))
        }

        struct Exported;

        impl exports::lifecycle::Guest for Exported {
            fn settings() -> ::core::option::Option<::std::vec::Vec<exports::lifecycle::Setting>> {
                let settings = <$plugin as ::gtm_plugin::export::Registered>::settings();
                settings.map(|settings| settings.into_iter().map(::core::convert::Into::into).collect())
            }

            fn init() -> ::core::result::Result<
                ::std::vec::Vec<exports::lifecycle::Subscription>,
                ::std::string::String,
            > {
                let subscriptions = INSTANCE.with(::gtm_plugin::export::$init::<$plugin>)?;
                Ok(subscriptions.into_iter().map(::core::convert::Into::into).collect())
            }
        }
    };
}

/// Implements what all plugins that handle ops have, for a type `Exported`.
#[doc(hidden)]
#[macro_export]
macro_rules! __implement_common {
    ($plugin:ty, $init:ident) => {
        ::gtm_plugin::__implement_lifecycle!($plugin, $init);

        impl exports::filter::Guest for Exported {
            fn filter(op: types::Op) -> bool {
                plugin(|plugin| plugin.filter(&::gtm_plugin::Op::from(op)))
            }
        }

        impl exports::batch_filter::Guest for Exported {
            fn filter(ops: ::std::vec::Vec<types::Op>) -> ::std::vec::Vec<bool> {
                plugin(|plugin| {
                    ops.into_iter().map(|op| plugin.filter(&::gtm_plugin::Op::from(op))).collect()
                })
            }
        }
    };
}

/// Exports a plugin.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_plugin {
    ($plugin:ty $(, $schedule:ident)?) => {
        const _: () = {
            use ::gtm_plugin::Plugin as _;
            ::gtm_plugin::__implement_common!($plugin, init);

            impl exports::handler::Guest for Exported {
                fn handle(op: types::Op) -> ::core::result::Result<(), types::Failure> {
                    ::gtm_plugin::export::lower(plugin(|plugin| plugin.handle(&::gtm_plugin::Op::from(op))))
                }
            }

            ::gtm_plugin::__export_raw!(Exported);
            $(::gtm_plugin::__export_schedule!($schedule);)?
        };
    };
}

/// Exports a filter for other plugins.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_filter {
    ($plugin:ty) => {
        const _: () = {
            use ::gtm_plugin::FilterPlugin as _;
            ::gtm_plugin::__implement_common!($plugin, init_filter);

            ::gtm_plugin::__export_interfaces!(
                Exported, FILTER_WORLD in "component-type:gtm-plugin",
                lifecycle __export_gtm_plugin_lifecycle_0_2_0_cabi,
                filter __export_gtm_plugin_filter_0_2_0_cabi,
                batch_filter __export_gtm_plugin_batch_filter_0_2_0_cabi
            );
        };
    };
}

/// Exports a plugin that handles batches.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_batch_plugin {
    ($plugin:ty $(, $schedule:ident)?) => {
        const _: () = {
            use ::gtm_plugin::BatchPlugin as _;
            ::gtm_plugin::__implement_common!($plugin, init_batch);

            impl exports::batch_handler::Guest for Exported {
                fn handle(
                    ops: ::std::vec::Vec<types::Op>,
                ) -> ::std::vec::Vec<::core::result::Result<(), types::Failure>> {
                    let ops: ::std::vec::Vec<_> = ops.into_iter().map(::gtm_plugin::Op::from).collect();
                    plugin(|plugin| plugin.handle(&ops))
                        .into_iter()
                        .map(::gtm_plugin::export::lower)
                        .collect()
                }
            }

            ::gtm_plugin::__export_interfaces!(
                Exported, BATCH_PLUGIN_WORLD in "component-type:gtm-plugin",
                lifecycle __export_gtm_plugin_lifecycle_0_2_0_cabi,
                filter __export_gtm_plugin_filter_0_2_0_cabi,
                batch_filter __export_gtm_plugin_batch_filter_0_2_0_cabi,
                batch_handler __export_gtm_plugin_batch_handler_0_2_0_cabi
            );
            $(::gtm_plugin::__export_schedule!($schedule);)?
        };
    };
}

/// Exports a plugin that works at set times only.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_schedule_plugin {
    ($plugin:ty) => {
        const _: () = {
            ::gtm_plugin::__implement_lifecycle!($plugin, init_schedule);

            ::gtm_plugin::__export_interfaces!(
                Exported, LIFECYCLE_WORLD in "component-type:gtm-plugin",
                lifecycle __export_gtm_plugin_lifecycle_0_2_0_cabi
            );
            ::gtm_plugin::__export_schedule!(schedule);
        };
    };
}

/// Implements and exports the schedule of a plugin, for a type `Exported`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_schedule {
    (schedule) => {
        const _: () = {
            impl exports::schedule::Guest for Exported {
                fn timers() -> ::std::vec::Vec<exports::schedule::Timer> {
                    let timers = plugin(|plugin| ::gtm_plugin::Schedule::timers(plugin));
                    timers.into_iter().map(::core::convert::Into::into).collect()
                }

                fn tick(tick: exports::schedule::DueTick) -> ::core::result::Result<(), types::Failure> {
                    let tick = ::gtm_plugin::Tick::from(tick);
                    ::gtm_plugin::export::lower(plugin(|plugin| ::gtm_plugin::Schedule::tick(plugin, &tick)))
                }
            }

            ::gtm_plugin::__export_interfaces!(
                Exported, SCHEDULE_WORLD in "component-type:gtm-plugin-schedule",
                schedule __export_gtm_plugin_schedule_0_2_0_cabi
            );
        };
    };
}
