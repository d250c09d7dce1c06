//! Variables of the host's environment, in `wasi:cli/environment`.

use wasmtime_wasi::WasiCtxBuilder;

use super::{Capability, GrantedCapability, Linking};
use crate::Limits;
use crate::load_error::SetupError;
use crate::setup::Setup;
use crate::state::CallContext;

/// The capability. Every program imports the interface, so an import does not show whether the plugin needs it.
pub(crate) struct Env;

impl Capability for Env {
    const NAME: &'static str = "env";
    const IMPORTS: &'static [&'static str] = &[];

    fn link(_: &mut Linking<'_>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl GrantedCapability for Env {
    type Grant = Vec<String>;
    /// The granted variables that are set, with their values.
    type Prepared = Vec<(String, String)>;
    type Shared = ();
    type Instance = ();

    const FORMS: &'static [&'static str] = &["env=NAME"];

    fn parse(name: &str, value: Option<&str>) -> Option<Result<Vec<String>, String>> {
        (name == "env").then_some(Ok(vec![value?.to_owned()]))
    }

    fn merge(granted: &mut Vec<String>, more: Vec<String>) {
        granted.extend(more);
    }

    fn describe(granted: &Vec<String>) -> String {
        granted.join(", ")
    }

    fn prepare(_: &str, granted: &Vec<String>, _: &Limits) -> Result<Self::Prepared, SetupError> {
        Ok(granted.iter().filter_map(|name| Some((name.clone(), std::env::var(name).ok()?))).collect())
    }

    fn instance(_: &CallContext) {}

    fn open(setup: &Setup, wasi: &mut WasiCtxBuilder) -> wasmtime::Result<()> {
        wasi.envs(&setup.prepared.env);
        Ok(())
    }
}
