//! The interface of a capability, from the grant in the settings to the functions of the imports.

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

/// Something that a plugin can do beyond computing.
pub(crate) trait Capability {
    /// Its name in settings, messages and effects.
    const NAME: &'static str;
    /// The imports that need it, without their versions: `gtm:plugin/mail`.
    const IMPORTS: &'static [&'static str];
    /// The imports that may need it: the libraries of some languages import them in every plugin, whether it uses them or not.
    const MAYBE_IMPORTS: &'static [&'static str] = &[];

    /// Links the functions for `handle`.
    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()>;

    /// Links the functions for `filter`. By default, each returns the error `not-granted`: the capability is for `handle` only.
    fn link_in_filter(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        linking.refuse(Self::NAME, Self::IMPORTS)
    }
}

/// A capability that a plugin has only if it is granted.
pub(crate) trait GrantedCapability: Capability + Sized + 'static {
    /// The grant, as in the settings.
    type Grant: Clone + Default + PartialEq;
    /// What is prepared of the grant once, for all versions and instances with the same settings.
    type Prepared: Send + Sync;
    /// What all versions and instances of a plugin share.
    type Shared: Default + Send + Sync;
    /// What each instance has.
    type Instance: Send + Sync;

    /// The forms of a [`Grant`](crate::Grant) of some of it: `mail`, `mail-to=ADDRESS`.
    const FORMS: &'static [&'static str];
    /// The forms that are proposed to a user who grants none of it.
    const PROPOSED: &'static [&'static str] = &[Self::NAME];

    /// Parses a grant `NAME` or `NAME=VALUE`. None: it has none of the forms.
    fn parse(name: &str, value: Option<&str>) -> Option<Result<Self::Grant, String>>;

    /// Adds a grant to another.
    fn merge(granted: &mut Self::Grant, more: Self::Grant);

    /// Returns the grant for a trial in which effects are only recorded. By default, nothing is granted.
    fn everything() -> Self::Grant {
        Self::Grant::default()
    }

    /// Describes the grant. Empty: nothing is granted.
    fn describe(granted: &Self::Grant) -> String;

    /// Returns the sentence about what the host lacks, if the plugin therefore cannot use the capability. `is_granted`: whether some
    /// of it is granted. Not called in a dry run.
    fn lacks(_services: &Services, _is_granted: bool) -> Option<String> {
        None
    }

    /// Prepares the grant.
    ///
    /// # Errors
    /// The grant names something that does not exist or is not valid.
    fn prepare(plugin: &str, granted: &Self::Grant, limits: &Limits) -> Result<Self::Prepared, SetupError>;

    /// Makes the context of a new instance.
    fn instance(call: &CallContext) -> Self::Instance;

    /// Adds the grant to the WASI context of a new instance for `handle`.
    ///
    /// # Errors
    /// Something granted cannot be opened.
    fn open(_setup: &Setup, _wasi: &mut WasiCtxBuilder) -> wasmtime::Result<()> {
        Ok(())
    }

    /// Prepares a call with the op of this id, in this namespace.
    fn begin(_state: &mut InstanceState, _op: &str, _namespace: &Arc<Namespace>) {}
}

/// A capability in the list, which gives access to its own contexts among all.
pub(crate) trait ListedCapability: GrantedCapability {
    /// Its id.
    const ID: CapabilityId;

    /// Returns its context of an instance.
    fn of_instance(contexts: &mut InstanceContexts) -> &mut Self::Instance;

    /// Returns its context that the instances of a plugin share.
    fn of_shared(contexts: &SharedContexts) -> &Self::Shared;

    /// Returns the view of its functions on an instance.
    fn view(state: &mut InstanceState) -> CapabilityView<'_, Self> {
        CapabilityView { call: &state.call, own: Self::of_instance(&mut state.contexts) }
    }
}

/// The view of a capability's functions on an instance: the current call, and the capability's own context.
pub(crate) struct CapabilityView<'a, C: GrantedCapability> {
    call: &'a CallContext,
    pub(crate) own: &'a mut C::Instance,
}

/// Tells wasmtime that the functions of a capability take its view as `self`.
pub(crate) struct ViewOf<C>(PhantomData<C>);

impl<C: GrantedCapability> HasData for ViewOf<C> {
    type Data<'a> = CapabilityView<'a, C>;
}

impl<C: ListedCapability> CapabilityView<'_, C> {
    /// Returns the context that all instances of the plugin share.
    pub(crate) fn shared_context(&self) -> &C::Shared {
        C::of_shared(&self.call.shared.contexts)
    }

    /// Records that the plugin used what it is granted.
    pub(crate) fn permitted(&self) {
        self.call.notes.permitted(C::ID);
    }

    /// Returns the id of the capability, for an obstacle in a part of it.
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
