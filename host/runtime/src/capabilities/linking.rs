//! The linker to which capabilities add their functions.

use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, Linker, Val};

use crate::engine::Engine;
use crate::setup::Setup;
use crate::state::InstanceState;

/// The linker of a component's instances in one role, and what it depends on.
pub(crate) struct Linking<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) component: &'a Component,
    pub(crate) setup: &'a Setup,
    pub(crate) linker: Linker<InstanceState>,
}

impl Linking<'_> {
    /// Links each function of these interfaces of the contract to the error `not-granted`: the capability is for `handle` only.
    pub(crate) fn refuse(&mut self, capability: &str, imports: &[&str]) -> wasmtime::Result<()> {
        let reason = format!("{capability} can be used in handle only, not in filter");
        let error = Val::Variant("not-granted".to_owned(), Some(Box::new(Val::String(reason))));
        imports.iter().try_for_each(|import| self.refuse_with(import, &error))
    }

    /// Links each function of an interface to this error. All its functions must return a result.
    pub(crate) fn refuse_with(&mut self, import: &str, error: &Val) -> wasmtime::Result<()> {
        let Self { engine, component, linker, .. } = self;
        linker.allow_shadowing(true);
        for (name, interface) in interfaces(engine, component, import) {
            let mut linked = linker.instance(&name)?;
            for (function, export) in interface.exports(engine.wasmtime()) {
                if matches!(export.ty, ComponentItem::ComponentFunc(_)) {
                    let error = error.clone();
                    linked.func_new(function, move |_, _, _, results| {
                        if let [result] = results {
                            *result = Val::Result(Err(Some(Box::new(error.clone()))));
                        }
                        Ok(())
                    })?;
                }
            }
        }
        linker.allow_shadowing(false);
        Ok(())
    }
}

/// Returns the versions of the interface that the component imports by this name, each with the name that has its version.
fn interfaces(engine: &Engine, component: &Component, import: &str) -> Vec<(String, ComponentInstance)> {
    let component_type = component.component_type();
    let imports = component_type.imports(engine.wasmtime());
    let named = imports.filter(|(name, _)| without_version(name) == import);
    named
        .filter_map(|(name, found)| match found.ty {
            ComponentItem::ComponentInstance(interface) => Some((name.to_owned(), interface)),
            _ => None,
        })
        .collect()
}

/// Returns the name of an import without its version.
pub(crate) fn without_version(import: &str) -> &str {
    import.split_once('@').map_or(import, |(name, _)| name)
}
