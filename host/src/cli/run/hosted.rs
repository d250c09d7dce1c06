//! A component that the host runs, which follows its file and its settings: a plugin, or a filter of plugins.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use gtm_host::remedy::WithRemedy;
use gtm_runtime::{Actor, Plugin, PluginHandle, PluginSetup, PreparedChain};

use super::watch::{FileSignature, signature};
use crate::cli::DEFECT;
use crate::cli::load::Loader;

/// Why another version is refused whose filters cannot be used.
const UNUSABLE_CHAIN: &str = "its filters in the settings cannot be used, and another version does not run with the previous ones. help: correct the filters";

/// An attempt to load a component. It need not be repeated until something of it differs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LoadAttempt {
    pub(super) path: PathBuf,
    /// The signature of the file before it was read.
    seen: FileSignature,
    pub(super) setup: PluginSetup,
}

impl LoadAttempt {
    /// Describes an attempt that begins now.
    pub(super) fn now(path: &Path, setup: PluginSetup) -> Self {
        Self { path: path.to_owned(), seen: signature(path), setup }
    }
}

/// The filters that a component has after an update.
pub(super) enum NextChain {
    /// Those that it has.
    Same,
    /// Others.
    Another(PreparedChain),
    /// Those of the settings, which cannot be used. It keeps those that it has, and its version: another one may rely on the filters of the
    /// settings.
    Unusable,
}

impl NextChain {
    pub(super) fn is_another(&self) -> bool {
        matches!(self, Self::Another(_))
    }

    fn is_unusable(&self) -> bool {
        matches!(self, Self::Unusable)
    }
}

/// A component that the host runs.
#[derive(Clone)]
pub(super) struct HostedComponent {
    pub(super) handle: PluginHandle,
    pub(super) path: PathBuf,
    /// The signature of the file when it was last loaded or refused.
    seen: FileSignature,
    pub(super) setup: PluginSetup,
    /// The last update that was refused, if none succeeded since, and whether its filters could not be used.
    refused: Option<(LoadAttempt, bool)>,
}

impl HostedComponent {
    /// Makes the component that this attempt loaded.
    pub(super) fn new(handle: PluginHandle, LoadAttempt { path, seen, setup }: LoadAttempt) -> Self {
        Self { handle, path, seen, setup, refused: None }
    }

    /// Has an update that was refused be tried again, even if nothing has changed that the host can see.
    pub(super) fn forget_refused(&mut self) {
        self.refused = None;
    }

    pub(super) fn is_set_up(&self, path: &Path, setup: &PluginSetup) -> bool {
        self.path == path && self.setup == *setup
    }

    /// Returns the signature of the file if it has changed. A file that is gone may be in the middle of being replaced; the component continues
    /// meanwhile.
    fn changed_file(&self) -> Option<FileSignature> {
        let now = signature(&self.path);
        (now != self.seen && now.is_some()).then_some(now)
    }

    /// Swaps the component if its file has changed. Returns whether another version runs now.
    pub(super) async fn swap_changed_file(&mut self, actor: Actor) -> bool {
        let Some(now) = self.changed_file() else { return false };
        let (current, path) = (self.handle.current(), self.path.clone());
        let name = current.name();
        tracing::info!(
            event = "plugin.swap_start",
            plugin = name,
            version = current.version(),
            "the file changed; this version works until the new one is ready"
        );
        let started = Instant::now();
        let before = current.clone();
        let loaded = tokio::task::spawn_blocking(move || before.successor(&path)).await;
        // Not earlier: this future may be dropped, and the next call has to do it again.
        self.seen = now;
        match loaded {
            Ok(Ok(successor)) if successor.version() == self.handle.current().version() => {
                tracing::info!(
                    event = "plugin.swap_skip",
                    plugin = name,
                    version = successor.version(),
                    "the file was written and holds the same version"
                );
                return false;
            }
            Ok(Ok(successor)) => {
                tracing::info!(
                    event = "plugin.load",
                    plugin = name,
                    version = successor.version(),
                    elapsed_ms = started.elapsed().as_millis(),
                    "loaded"
                );
                let version = successor.version().to_owned();
                match self.handle.swap(successor) {
                    Ok(()) => {
                        actor.did("swap", name, Some(&version));
                        return true;
                    }
                    Err(error) => self.refuse(actor, &WithRemedy(&error).to_string()),
                }
            }
            Ok(Err(error)) => self.refuse(actor, &WithRemedy(&error).to_string()),
            Err(error) => self.refuse(actor, &error.to_string()),
        }
        false
    }

    /// Updates the component to this file and setup, and to these filters before its own, all of it between two calls or nothing. `check` is
    /// called with the version that takes over. Returns whether that is another version. None: it was refused, and the current version
    /// continues as it is.
    pub(super) async fn update(
        &mut self,
        path: &Path,
        setup: PluginSetup,
        chain: NextChain,
        loader: &Loader,
        actor: Actor,
        check: impl FnOnce(&Plugin),
    ) -> Option<bool> {
        // Another version and other filters take over together: one may do what the others did before.
        if self.is_set_up(path, &setup) && !(chain.is_another() && self.changed_file().is_some()) {
            if let NextChain::Another(chain) = chain {
                self.handle.set_chain(chain);
            }
            return Some(false);
        }
        let (attempt, is_unusable) = (LoadAttempt::now(path, setup), chain.is_unusable());
        if self.refused.as_ref().is_some_and(|(before, was)| (before, *was) == (&attempt, is_unusable)) {
            return None;
        }
        let loaded = match self.setup == attempt.setup {
            // Only the file changed.
            true => successor(&self.handle, path).await,
            false => loader.load(path, &attempt.setup).await,
        };
        let updated = loaded.and_then(|plugin| {
            let is_another = self.handle.current().digest() != plugin.digest();
            let version = plugin.version().to_owned();
            let chain = match chain {
                NextChain::Unusable if is_another => bail!(UNUSABLE_CHAIN),
                NextChain::Unusable | NextChain::Same => None,
                NextChain::Another(chain) => Some(chain),
            };
            check(&plugin);
            self.handle.replace(plugin, chain)?;
            Ok((is_another, version))
        });
        match updated {
            Ok((is_another, version)) => {
                if is_another {
                    actor.did("swap", self.handle.name(), Some(&version));
                }
                *self = Self::new(self.handle.clone(), attempt);
                Some(is_another)
            }
            Err(error) => {
                self.refuse(actor, &WithRemedy(error.as_ref()).to_string());
                self.refused = Some((attempt, is_unusable));
                None
            }
        }
    }

    /// Reports that the current version continues.
    fn refuse(&self, actor: Actor, reason: &str) {
        let (name, current) = (self.handle.name(), self.handle.current());
        actor.was_refused("swap", name, None, &reason);
        tracing::error!(
            event = "plugin.swap_failed",
            plugin = name,
            version = current.version(),
            error = reason,
            "not swapped; this version continues"
        );
    }
}

/// Loads another file of a component with the setup of the current version.
async fn successor(handle: &PluginHandle, path: &Path) -> anyhow::Result<Plugin> {
    let (current, path) = (handle.current(), path.to_owned());
    let load = move || current.successor(&path);
    Ok(tokio::task::spawn_blocking(load).await.context(DEFECT)??)
}
