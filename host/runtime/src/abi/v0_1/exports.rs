//! The functions that a plugin of contract 0.1 exports: `filter` and `handle`, and optional ones that the host looks for by name.

use std::borrow::Borrow;

use gtm_oplog::Op;
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, InstancePre};

use super::convert::{lift_failure, lift_operation, lower};
use super::filter_batch::{BatchFilter, BatchFilterIndices};
use super::generated::{Hosted, HostedIndices};
use super::{Subscription as ContractSubscription, types};
use crate::abi::exports::{HandleOutcome, Subscription, not_exported};
use crate::state::InstanceState;

const HANDLE_BATCH: &str = "handle-batch";
const SUBSCRIPTIONS: &str = "subscriptions";

/// Where a component exports the functions.
pub(crate) struct ExportIndices {
    hosted: HostedIndices,
    batch_filter: Option<BatchFilterIndices>,
    handles_batches: bool,
    has_subscriptions: bool,
}

/// The functions of an instance.
pub(crate) struct Exports {
    hosted: Hosted,
    batch_filter: Option<BatchFilter>,
    instance: Instance,
    has_subscriptions: bool,
}

impl ExportIndices {
    /// Finds the exports of a component. None: it exports neither `filter` nor `handle`, or only one of them.
    pub(crate) fn find(
        component: &Component,
        linked: &InstancePre<InstanceState>,
    ) -> wasmtime::Result<Option<Self>> {
        if !(exports(component, "filter") && exports(component, "handle")) {
            return Ok(None);
        }
        let batch_filter = exports(component, "filter-batch").then(|| BatchFilterIndices::new(linked));
        Ok(Some(Self {
            hosted: HostedIndices::new(linked)?,
            batch_filter: batch_filter.transpose()?,
            handles_batches: exports(component, HANDLE_BATCH),
            has_subscriptions: exports(component, SUBSCRIPTIONS),
        }))
    }

    pub(crate) fn load(
        &self,
        store: &mut Store<InstanceState>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports> {
        let batch_filter = self.batch_filter.as_ref().map(|indices| indices.load(&mut *store, instance));
        Ok(Exports {
            hosted: self.hosted.load(&mut *store, instance)?,
            batch_filter: batch_filter.transpose()?,
            instance: *instance,
            has_subscriptions: self.has_subscriptions,
        })
    }

    pub(crate) fn filters_batches(&self) -> bool {
        self.batch_filter.is_some()
    }

    pub(crate) fn handles_batches(&self) -> bool {
        self.handles_batches
    }

    pub(crate) fn has_subscriptions(&self) -> bool {
        self.has_subscriptions
    }
}

impl Exports {
    pub(crate) async fn subscriptions(
        &self,
        store: &mut Store<InstanceState>,
    ) -> wasmtime::Result<Vec<Subscription>> {
        if !self.has_subscriptions {
            return Ok(Vec::new());
        }
        let function =
            self.instance.get_typed_func::<(), (Vec<ContractSubscription>,)>(&mut *store, SUBSCRIPTIONS)?;
        let (subscriptions,) = function.call_async(store, ()).await?;
        let lift = |one: ContractSubscription| {
            (one.namespace, one.operation_types.into_iter().map(lift_operation).collect())
        };
        Ok(subscriptions.into_iter().map(lift).collect())
    }

    pub(crate) async fn filter(
        &self,
        store: &mut Store<InstanceState>,
        op: &Op,
        id: &str,
        attempt: u32,
    ) -> wasmtime::Result<bool> {
        self.hosted.call_filter(store, lower(op, id, attempt)).await
    }

    pub(crate) async fn filter_batch(
        &self,
        store: &mut Store<InstanceState>,
        ops: &[impl Borrow<Op>],
        ids: &[String],
    ) -> wasmtime::Result<Vec<bool>> {
        let function = self.batch_filter.as_ref().ok_or_else(|| not_exported("filter-batch"))?;
        let lowered: Vec<_> = ops.iter().zip(ids).map(|(op, id)| lower(op.borrow(), id, 1)).collect();
        function.call_filter_batch(store, &lowered).await
    }

    pub(crate) async fn handle(
        &self,
        store: &mut Store<InstanceState>,
        op: &Op,
        id: &str,
        attempt: u32,
    ) -> wasmtime::Result<HandleOutcome> {
        let outcome = self.hosted.call_handle(store, lower(op, id, attempt)).await?;
        Ok(outcome.map_err(lift_failure))
    }

    pub(crate) async fn handle_batch(
        &self,
        store: &mut Store<InstanceState>,
        ops: &[(&Op, u32)],
        ids: &[String],
    ) -> wasmtime::Result<Vec<HandleOutcome>> {
        let lowered: Vec<_> =
            ops.iter().zip(ids).map(|((op, attempt), id)| lower(op, id, *attempt)).collect();
        type Outcomes = Vec<Result<(), types::Failure>>;
        let function =
            self.instance.get_typed_func::<(&[types::Op<'_>],), (Outcomes,)>(&mut *store, HANDLE_BATCH)?;
        let (outcomes,) = function.call_async(store, (&lowered,)).await?;
        Ok(outcomes.into_iter().map(|outcome| outcome.map_err(lift_failure)).collect())
    }
}

/// Returns whether the component exports a function of this name.
fn exports(component: &Component, name: &str) -> bool {
    component
        .get_export(None, name)
        .is_some_and(|(export, _)| matches!(export, ComponentItem::ComponentFunc(_)))
}
