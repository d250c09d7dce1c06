//! Makes the types with a field per capability, and the tables of all capabilities, from one list.

use super::Grants;
use super::linking::Linking;
use crate::services::Services;

/// A parsed grant, or why it is not valid.
type ParsedGrants = Result<Grants, String>;

/// A capability that every plugin has.
pub(crate) struct AlwaysGranted {
    pub(crate) imports: &'static [&'static str],
    pub(crate) link: fn(&mut Linking<'_>) -> wasmtime::Result<()>,
    pub(crate) link_in_filter: fn(&mut Linking<'_>) -> wasmtime::Result<()>,
}

/// A capability that needs a grant, without its types.
pub(crate) struct CapabilityEntry {
    pub(crate) name: &'static str,
    pub(crate) imports: &'static [&'static str],
    pub(crate) maybe_imports: &'static [&'static str],
    pub(crate) forms: &'static [&'static str],
    pub(crate) proposed: &'static [&'static str],
    pub(crate) link: fn(&mut Linking<'_>) -> wasmtime::Result<()>,
    pub(crate) link_in_filter: fn(&mut Linking<'_>) -> wasmtime::Result<()>,
    pub(crate) parse: fn(&str, Option<&str>) -> Option<ParsedGrants>,
    pub(crate) describe: fn(&Grants) -> String,
    pub(crate) lacks: fn(&Services, bool) -> Option<String>,
}

/// Makes [`Grants`], [`CapabilityId`], the contexts and the tables from the list of capabilities. A capability that needs a grant is
/// compiled only with the feature before its name.
macro_rules! capabilities {
    (
        always: [$($always:path),+ $(,)?],
        granted: [$($(#[$attribute:meta])* $feature:literal $key:ident: $grant:ty = $module:ident :: $capability:ident),+ $(,)?] $(,)?
    ) => {
        /// What a plugin may do. By default, nothing.
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Grants {
            $(
                #[cfg(feature = $feature)]
                $(#[$attribute])*
                pub $key: $grant,
            )+
        }

        /// Identifies a capability that needs a grant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum CapabilityId {
            $(
                #[cfg(feature = $feature)]
                $capability,
            )+
        }

        /// The number of capabilities that need a grant.
        pub(crate) const COUNT: usize = GRANTED.len();

        /// The capabilities that every plugin has.
        pub(crate) const ALWAYS: &[AlwaysGranted] = &[$(AlwaysGranted {
            imports: <$always as Capability>::IMPORTS,
            link: <$always as Capability>::link,
            link_in_filter: <$always as Capability>::link_in_filter,
        },)+];

        /// The capabilities that need a grant, in the order of messages.
        pub(crate) const GRANTED: &[CapabilityEntry] = &[$(#[cfg(feature = $feature)] CapabilityEntry {
            name: <$module::$capability as Capability>::NAME,
            imports: <$module::$capability as Capability>::IMPORTS,
            maybe_imports: <$module::$capability as Capability>::MAYBE_IMPORTS,
            forms: <$module::$capability as GrantedCapability>::FORMS,
            proposed: <$module::$capability as GrantedCapability>::PROPOSED,
            link: <$module::$capability as Capability>::link,
            link_in_filter: <$module::$capability as Capability>::link_in_filter,
            parse: |name, value| {
                let parsed = <$module::$capability as GrantedCapability>::parse(name, value)?;
                Some(parsed.map(|granted| Grants { $key: granted, ..Grants::default() }))
            },
            describe: |grants| <$module::$capability as GrantedCapability>::describe(&grants.$key),
            lacks: <$module::$capability as GrantedCapability>::lacks,
        },)+];

        /// The prepared grants, by capability.
        #[allow(dead_code, reason = "some make nothing of their grant")]
        pub(crate) struct Prepared {
            $(#[cfg(feature = $feature)] pub(crate) $key: <$module::$capability as GrantedCapability>::Prepared,)+
        }

        /// What all versions and instances of a plugin share, by capability.
        #[derive(Default)]
        pub(crate) struct SharedContexts {
            $(#[cfg(feature = $feature)] pub(crate) $key: <$module::$capability as GrantedCapability>::Shared,)+
        }

        /// What each instance has, by capability.
        pub(crate) struct InstanceContexts {
            $(#[cfg(feature = $feature)] pub(crate) $key: <$module::$capability as GrantedCapability>::Instance,)+
        }

        impl Grants {
            /// Returns grants of everything except files and the environment, for a trial in which effects are only recorded.
            pub fn everything() -> Self {
                Self { $(#[cfg(feature = $feature)] $key: <$module::$capability as GrantedCapability>::everything(),)+ }
            }

            pub(crate) fn merge(&mut self, more: Self) {
                $(#[cfg(feature = $feature)] <$module::$capability as GrantedCapability>::merge(&mut self.$key, more.$key);)+
            }
        }

        impl Prepared {
            pub(crate) fn new(
                plugin: &str,
                grants: &Grants,
                limits: &crate::Limits,
            ) -> Result<Self, crate::load_error::SetupError> {
                Ok(Self {
                    $(#[cfg(feature = $feature)] $key: <$module::$capability as GrantedCapability>::prepare(plugin, &grants.$key, limits)?,)+
                })
            }
        }

        impl InstanceContexts {
            pub(crate) fn new(call: &crate::state::CallContext) -> Self {
                Self { $(#[cfg(feature = $feature)] $key: <$module::$capability as GrantedCapability>::instance(call),)+ }
            }
        }

        /// Adds the grants to the WASI context of an instance for `handle`.
        pub(crate) fn open(
            setup: &crate::setup::Setup,
            wasi: &mut wasmtime_wasi::WasiCtxBuilder,
        ) -> wasmtime::Result<()> {
            $(#[cfg(feature = $feature)] <$module::$capability as GrantedCapability>::open(setup, wasi)?;)+
            Ok(())
        }

        /// Prepares a call with the op of this id, in this namespace.
        pub(crate) fn begin(
            state: &mut crate::state::InstanceState,
            op: &str,
            namespace: &std::sync::Arc<gtm_oplog::Namespace>,
        ) {
            $(#[cfg(feature = $feature)] <$module::$capability as GrantedCapability>::begin(state, op, namespace);)+
        }

        $(#[cfg(feature = $feature)] impl ListedCapability for $module::$capability {
            const ID: CapabilityId = CapabilityId::$capability;

            fn of_instance(contexts: &mut InstanceContexts) -> &mut Self::Instance {
                &mut contexts.$key
            }

            fn of_shared(contexts: &SharedContexts) -> &Self::Shared {
                &contexts.$key
            }
        })+
    };
}

pub(super) use capabilities;
