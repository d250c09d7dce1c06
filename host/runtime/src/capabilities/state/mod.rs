//! `gtm:plugin/state`, and `wasi:keyvalue` for plugins that import it: values that a plugin keeps in the store of the checkpoints.

mod host;
pub(crate) mod keyvalue;
mod v0_1;

use gtm_store::Room;

use super::{Capability, CapabilityView, GrantedCapability, Linking, ListedCapability, ViewOf};
use crate::Limits;
use crate::abi::generate;
use crate::load_error::SetupError;
use crate::remedy::PluginRemedy;
use crate::services::Services;
use crate::state::CallContext;

/// The interface of the contract.
const CONTRACT: &str = "gtm:plugin/state";

/// The capability, for `handle` only, if the host has a store.
pub(crate) struct State;

type StateView<'a> = CapabilityView<'a, State>;

impl Capability for State {
    const NAME: &'static str = "state";
    const IMPORTS: &'static [&'static str] =
        &[CONTRACT, "wasi:keyvalue/store", "wasi:keyvalue/atomics", "wasi:keyvalue/batch"];

    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        v0_1::link(linking)?;
        keyvalue::link(linking)?;
        contract::add_to_linker::<_, ViewOf<Self>>(&mut linking.linker, Self::view)
    }

    fn link_in_filter(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        keyvalue::link(linking)?;
        linking.refuse(Self::NAME, &[CONTRACT])
    }
}

impl GrantedCapability for State {
    type Grant = bool;
    type Prepared = ();
    /// Limits what the plugin keeps.
    type Shared = Room;
    type Instance = ();

    const FORMS: &'static [&'static str] = &["state"];

    fn parse(name: &str, value: Option<&str>) -> Option<Result<bool, String>> {
        (name == "state" && value.is_none()).then_some(Ok(true))
    }

    fn merge(granted: &mut bool, more: bool) {
        *granted |= more;
    }

    fn everything() -> bool {
        true
    }

    fn describe(is_granted: &bool) -> String {
        if *is_granted { "granted".to_owned() } else { String::new() }
    }

    fn lacks(services: &Services, is_granted: bool) -> Option<String> {
        let has_store = services.store.as_ref().is_some_and(|(store, _)| store.keeps());
        (is_granted && !has_store)
            .then(|| format!("it may keep values, and this host keeps nothing{}", PluginRemedy::Store))
    }

    fn prepare(_: &str, _: &bool, _: &Limits) -> Result<(), SetupError> {
        Ok(())
    }

    fn instance(_: &CallContext) {}
}

use generated::gtm::plugin::state as contract;

generate!(generated, {
    path: "../../wit/0.2",
    inline: "
        package gtm:host;

        world state {
            import gtm:plugin/state@0.2.0;
        }
    ",
    with: { "gtm:plugin/types": crate::abi::v0_2::types },
    imports: { default: async },
});
