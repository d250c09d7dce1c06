//! Remedies for errors that keep a plugin from being loaded.

use std::borrow::Cow;

use gtm_runtime::{ComponentKind, EngineError, LoadError, Uncached};

use super::Remedy;

/// How a core module becomes a plugin.
const COMPONENTIZE: &str = "in Rust, build it with --target wasm32-wasip2; with another compiler, convert it into a component: \
                            gtm-host componentize CORE.wasm -o PLUGIN.wasm";

impl Remedy for LoadError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::NotRead { .. } => {
                "check the path as the host sees it, and its permissions, or start the host with --admin-swap-from DIR. The event of \
                 gtm_host::audit in the host's log names the reason"
                    .into()
            }
            Self::Elsewhere { .. } => {
                "put the file there, start the host with --admin-swap-from DIR, or set swap_from under [admin] in gtm.toml".into()
            }
            Self::Pinned { name, component, .. } => {
                let option = match component.kind {
                    ComponentKind::Plugin => ", or the digest after @sha256: on the command line,",
                    ComponentKind::Filter => "",
                };
                let table = super::plugin::table(component.kind);
                format!("if the change is intended, set sha256 under [{table}.{name}] in gtm.toml{option} to the new digest").into()
            }
            Self::IsFilter { path } => {
                let path = path.display();
                format!(
                    "run it before the filter of a plugin: --filter NAME:{path}, or filters = [\"{path}\"] under [plugins.NAME] in gtm.toml"
                )
                .into()
            }
            Self::IsPlugin { path } => format!(
                "pass a component without a handler, or run this one with --plugin {}", path.display()
            )
            .into(),
            Self::CoreModule { .. } | Self::Wasi01 { .. } => COMPONENTIZE.into(),
            Self::Uncached(error) => return error.remedy(),
            Self::Subscription { reason, .. } => return reason.remedy(),
            _ => return None,
        })
    }
}

impl Remedy for EngineError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Cache(error) => error.remedy(),
            Self::Wasmtime(_) | Self::Thread(_) => None,
        }
    }
}

impl Remedy for Uncached {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some("pass a directory of your own with --cache-dir".into())
    }
}
