//! The interface of a capability, from the grant in the settings to the functions behind the imports.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use gtm_oplog::Namespace;
use wasmtime::component::HasData;
use wasmtime_wasi::WasiCtxBuilder;

use super::linking::Linking;
use super::{CapabilityId, InstanceContexts, SharedContexts};
use crate::Limits;
use crate::load_error::SetupError;
use crate::services::Services;
use crate::setup::Setup;
use crate::state::{CallContext, InstanceState};

/// A unit of what a plugin can do beyond computing.
pub(crate) trait Capability {
    /// Its name, in the settings, on the command line, in messages and effects.
    const NAME: &'static str;
    /// The imports that ask for it, without their versions: `gtm:plugin/mail`.
    const IMPORTS: &'static [&'static str];

    /// Links the functions for `handle`.
    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()>;

    /// Links the functions for `filter`. By default, each returns the error `not-granted`: it is for `handle` only.
    fn link_in_filter(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        linking.refuse(Self::NAME, Self::IMPORTS)
    }
}

/// A capability that a plugin has only if it is granted.
pub(crate) trait GrantedCapability: Capability + Sized + 'static {
    /// What is granted, as the settings hold it.
    type Grant: Clone + Default + PartialEq;
    /// What is made of the grant once, for all versions and instances with the same settings.
    type Prepared: Send + Sync;
    /// What all versions and instances of a plugin share.
    type Shared: Default + Send + Sync;
    /// What one instance has.
    type Instance: Send + Sync;

    /// The forms of a [`Grant`](crate::Grant) of some of it: `mail`, `mail-to=ADDRESS`.
    const FORMS: &'static [&'static str];
    /// The forms that are proposed to a user who grants none of it.
    const PROPOSED: &'static [&'static str] = &[Self::NAME];

    /// Parses the grant `NAME` or `NAME=VALUE`. None: it is not one of the forms.
    fn parse(name: &str, value: Option<&str>) -> Option<Result<Self::Grant, String>>;

    /// Adds to what is granted.
    fn merge(granted: &mut Self::Grant, more: Self::Grant);

    /// Returns the grant for a trial in which effects are only recorded. By default nothing.
    fn everything() -> Self::Grant {
        Self::Grant::default()
    }

    /// Describes what is granted. Empty: nothing.
    fn describe(granted: &Self::Grant) -> String;

    /// Returns the sentence about what the host lacks, if the plugin therefore cannot use the capability. `is_granted`: whether some
    /// of it is granted. Not called in a dry run.
    fn lacks(_services: &Services, _is_granted: bool) -> Option<String> {
        None
    }

    /// Makes what is needed of the grant.
    ///
    /// # Errors
    /// The grant names something that does not exist, or that is not valid.
    fn prepare(plugin: &str, granted: &Self::Grant, limits: &Limits) -> Result<Self::Prepared, SetupError>;

    /// Makes what a new instance has.
    fn instance(call: &CallContext) -> Self::Instance;

    /// Adds what is granted to the WASI of a new instance for `handle`.
    ///
    /// # Errors
    /// Something that is granted cannot be opened.
    fn open(_setup: &Setup, _wasi: &mut WasiCtxBuilder) -> wasmtime::Result<()> {
        Ok(())
    }

    /// Prepares for a call with the op of this id, in this namespace.
    fn begin(_state: &mut InstanceState, _op: &str, _namespace: &Arc<Namespace>) {}
}

/// A capability in the list: where its contexts are among those of all.
pub(crate) trait Listed: GrantedCapability {
    /// Which one it is.
    const ID: CapabilityId;

    /// Returns its part of an instance.
    fn of_instance(contexts: &mut InstanceContexts) -> &mut Self::Instance;

    /// Returns its part of what the instances of a plugin share.
    fn of_shared(contexts: &SharedContexts) -> &Self::Shared;

    /// Returns what its functions see of this instance.
    fn view(state: &mut InstanceState) -> CapabilityView<'_, Self> {
        CapabilityView { call: &state.call, own: Self::of_instance(&mut state.contexts) }
    }
}

/// What the functions of a capability see of an instance: the call in hand, and what is their own.
pub(crate) struct CapabilityView<'a, C: GrantedCapability> {
    call: &'a CallContext,
    pub(crate) own: &'a mut C::Instance,
}

/// Tells wasmtime that the functions of a capability take its view.
pub(crate) struct ViewOf<C>(PhantomData<C>);

impl<C: GrantedCapability> HasData for ViewOf<C> {
    type Data<'a> = CapabilityView<'a, C>;
}

impl<C: Listed> CapabilityView<'_, C> {
    /// Returns what all instances of the plugin share.
    pub(crate) fn shared_context(&self) -> &C::Shared {
        C::of_shared(&self.call.shared.contexts)
    }

    /// Notes that the plugin may do what it asked for.
    pub(crate) fn permitted(&self) {
        self.call.notes.permitted(C::ID);
    }

    /// Returns the capability, for an obstacle that is of a part of it only.
    pub(crate) fn id(&self) -> CapabilityId {
        C::ID
    }
}

impl<C: GrantedCapability> Deref for CapabilityView<'_, C> {
    type Target = CallContext;

    fn deref(&self) -> &CallContext {
        self.call
    }
}
