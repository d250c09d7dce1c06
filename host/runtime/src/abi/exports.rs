//! Calls the functions that a component exports, by the contract that it was built against.

use std::borrow::Borrow;

use gtm_oplog::{Op, OperationType};
use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre};

use super::{v0_1, v0_2};
use crate::failure::Failure;
use crate::setting::DeclaredSetting;
use crate::state::InstanceState;

/// The outcome of an op.
pub(crate) type HandleOutcome = Result<(), Failure>;

/// A pattern of namespaces, and the operations there (none: all).
pub(crate) type Subscription = (String, Vec<OperationType>);

/// Where a component exports the functions of a contract.
pub(crate) enum ExportIndices {
    V0_1(v0_1::ExportIndices),
    V0_2(v0_2::ExportIndices),
}

/// The functions that an instance exports.
pub(crate) enum Exports {
    V0_1(v0_1::Exports),
    V0_2(v0_2::Exports),
}

impl ExportIndices {
    /// Finds the exports of a component. None: it exports the functions of no contract.
    ///
    /// # Errors
    /// An export has another type than the contract says.
    pub(crate) fn find(
        component: &Component,
        linked: &InstancePre<InstanceState>,
    ) -> wasmtime::Result<Option<Self>> {
        if let Some(found) = v0_2::ExportIndices::find(component, linked)? {
            return Ok(Some(Self::V0_2(found)));
        }
        Ok(v0_1::ExportIndices::find(component, linked)?.map(Self::V0_1))
    }

    /// Loads the functions of an instance.
    pub(crate) fn load(
        &self,
        store: &mut Store<InstanceState>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports> {
        Ok(match self {
            Self::V0_1(indices) => Exports::V0_1(indices.load(store, instance)?),
            Self::V0_2(indices) => Exports::V0_2(indices.load(store, instance)?),
        })
    }

    /// Returns whether the component has a filter. Without one, it accepts every op.
    pub(crate) fn has_filter(&self) -> bool {
        match self {
            Self::V0_1(_) => true,
            Self::V0_2(indices) => indices.has_filter(),
        }
    }

    /// Returns whether it has anything to ask before the first op.
    pub(crate) fn has_beginning(&self) -> bool {
        match self {
            Self::V0_1(indices) => indices.has_subscriptions(),
            // Its functions are compared with the contract when they are loaded.
            Self::V0_2(_) => true,
        }
    }

    /// Returns whether it handles ops. Otherwise, it is a filter for other plugins.
    pub(crate) fn has_handler(&self) -> bool {
        match self {
            Self::V0_1(_) => true,
            Self::V0_2(indices) => indices.has_handler(),
        }
    }

    /// Returns whether it filters several ops per call.
    pub(crate) fn filters_batches(&self) -> bool {
        match self {
            Self::V0_1(indices) => indices.filters_batches(),
            Self::V0_2(indices) => indices.filters_batches(),
        }
    }

    /// Returns whether it handles several ops per call.
    pub(crate) fn handles_batches(&self) -> bool {
        match self {
            Self::V0_1(indices) => indices.handles_batches(),
            Self::V0_2(indices) => indices.handles_batches(),
        }
    }
}

impl Exports {
    /// Returns the settings that the plugin declares. None: it accepts any.
    pub(crate) async fn settings(
        &self,
        store: &mut Store<InstanceState>,
    ) -> wasmtime::Result<Option<Vec<DeclaredSetting>>> {
        match self {
            Self::V0_1(_) => Ok(None),
            Self::V0_2(exports) => exports.settings(store).await,
        }
    }

    /// Initializes a new instance, before its first op, and returns its subscriptions, or why the plugin refuses its settings.
    pub(crate) async fn init(
        &self,
        store: &mut Store<InstanceState>,
    ) -> wasmtime::Result<Result<Vec<Subscription>, String>> {
        match self {
            // Nothing that a later instance needs.
            Self::V0_1(exports) => exports.subscriptions(store).await.map(Ok),
            Self::V0_2(exports) => exports.init(store).await,
        }
    }

    /// Returns whether each new instance has to be initialized.
    pub(crate) fn needs_init(&self) -> bool {
        matches!(self, Self::V0_2(exports) if exports.needs_init())
    }

    pub(crate) async fn filter(
        &self,
        store: &mut Store<InstanceState>,
        op: &Op,
        id: &str,
        attempt: u32,
    ) -> wasmtime::Result<bool> {
        match self {
            Self::V0_1(exports) => exports.filter(store, op, id, attempt).await,
            Self::V0_2(exports) => exports.filter(store, op, id, attempt).await,
        }
    }

    /// Filters several ops, whose ids are `ids`. An error if it does not export that.
    pub(crate) async fn filter_batch(
        &self,
        store: &mut Store<InstanceState>,
        ops: &[impl Borrow<Op>],
        ids: &[String],
    ) -> wasmtime::Result<Vec<bool>> {
        match self {
            Self::V0_1(exports) => exports.filter_batch(store, ops, ids).await,
            Self::V0_2(exports) => exports.filter_batch(store, ops, ids).await,
        }
    }

    pub(crate) async fn handle(
        &self,
        store: &mut Store<InstanceState>,
        op: &Op,
        id: &str,
        attempt: u32,
    ) -> wasmtime::Result<HandleOutcome> {
        match self {
            Self::V0_1(exports) => exports.handle(store, op, id, attempt).await,
            Self::V0_2(exports) => exports.handle(store, op, id, attempt).await,
        }
    }

    /// Handles several ops, each with the number of its attempt, whose ids are `ids`. An error if it does not export that.
    pub(crate) async fn handle_batch(
        &self,
        store: &mut Store<InstanceState>,
        ops: &[(&Op, u32)],
        ids: &[String],
    ) -> wasmtime::Result<Vec<HandleOutcome>> {
        match self {
            Self::V0_1(exports) => exports.handle_batch(store, ops, ids).await,
            Self::V0_2(exports) => exports.handle_batch(store, ops, ids).await,
        }
    }
}

/// Returns the error of a call of a function that the component does not export.
pub(super) fn not_exported(function: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the component does not export {function}"))
}
