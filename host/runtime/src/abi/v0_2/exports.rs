//! The interfaces that a plugin of contract 0.2 exports, each found by its name and version.

use std::borrow::Borrow;

use gtm_oplog::Op;
use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre};

use super::convert::{lift_failure, lift_operation, lift_setting, lower};
use super::generated::exports::gtm::plugin::{batch_filter, batch_handler, filter, handler, lifecycle};
use super::types;
use crate::abi::exports::{HandleOutcome, Subscription, not_exported};
use crate::setting::DeclaredSetting;
use crate::state::InstanceState;

/// Where a component exports the interfaces.
pub(crate) struct ExportIndices {
    lifecycle: Option<lifecycle::GuestIndices>,
    filter: Option<filter::GuestIndices>,
    batch_filter: Option<batch_filter::GuestIndices>,
    handler: Option<handler::GuestIndices>,
    batch_handler: Option<batch_handler::GuestIndices>,
}

/// The interfaces of an instance.
pub(crate) struct Exports {
    lifecycle: Option<lifecycle::Guest>,
    filter: Option<filter::Guest>,
    batch_filter: Option<batch_filter::Guest>,
    handler: Option<handler::Guest>,
    batch_handler: Option<batch_handler::Guest>,
}

impl ExportIndices {
    /// Finds the exports of a component. None: it exports none of them.
    pub(crate) fn find(
        component: &Component,
        linked: &InstancePre<InstanceState>,
    ) -> wasmtime::Result<Option<Self>> {
        // By name and version: a compatible version of the interface is found, too.
        macro_rules! find {
            ($module:ident, $name:literal) => {
                component
                    .get_export_index(None, concat!("gtm:plugin/", $name, "@0.2.0"))
                    .map(|_| $module::GuestIndices::new(linked))
                    .transpose()?
            };
        }
        let found = Self {
            lifecycle: find!(lifecycle, "lifecycle"),
            filter: find!(filter, "filter"),
            batch_filter: find!(batch_filter, "batch-filter"),
            handler: find!(handler, "handler"),
            batch_handler: find!(batch_handler, "batch-handler"),
        };
        let has_work = found.has_filter() || found.has_handler();
        Ok(has_work.then_some(found))
    }

    pub(crate) fn load(
        &self,
        store: &mut Store<InstanceState>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports> {
        macro_rules! load {
            ($name:ident) => {
                self.$name.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?
            };
        }
        Ok(Exports {
            lifecycle: load!(lifecycle),
            filter: load!(filter),
            batch_filter: load!(batch_filter),
            handler: load!(handler),
            batch_handler: load!(batch_handler),
        })
    }

    pub(crate) fn has_filter(&self) -> bool {
        self.filter.is_some() || self.batch_filter.is_some()
    }

    pub(crate) fn filters_batches(&self) -> bool {
        self.batch_filter.is_some()
    }

    pub(crate) fn has_handler(&self) -> bool {
        self.handler.is_some() || self.batch_handler.is_some()
    }

    pub(crate) fn handles_batches(&self) -> bool {
        self.batch_handler.is_some()
    }
}

impl Exports {
    pub(crate) async fn settings(
        &self,
        store: &mut Store<InstanceState>,
    ) -> wasmtime::Result<Option<Vec<DeclaredSetting>>> {
        let Some(lifecycle) = &self.lifecycle else { return Ok(None) };
        let declared = lifecycle.call_settings(store).await?;
        Ok(declared.map(|declared| declared.into_iter().map(lift_setting).collect()))
    }

    pub(crate) async fn init(
        &self,
        store: &mut Store<InstanceState>,
    ) -> wasmtime::Result<Result<Vec<Subscription>, String>> {
        let Some(lifecycle) = &self.lifecycle else { return Ok(Ok(Vec::new())) };
        let subscriptions = lifecycle.call_init(store).await?;
        let lift = |one: lifecycle::Subscription| {
            (one.namespace, one.operation_types.into_iter().map(lift_operation).collect())
        };
        Ok(subscriptions.map(|subscriptions| subscriptions.into_iter().map(lift).collect()))
    }

    pub(crate) fn needs_init(&self) -> bool {
        self.lifecycle.is_some()
    }

    pub(crate) async fn filter(
        &self,
        store: &mut Store<InstanceState>,
        op: &Op,
        id: &str,
        attempt: u32,
    ) -> wasmtime::Result<bool> {
        if let Some(filter) = &self.filter {
            return filter.call_filter(store, lower(op, id, attempt)).await;
        }
        let Some(filter) = &self.batch_filter else { return Ok(true) };
        match filter.call_filter(store, &[lower(op, id, attempt)]).await?.as_slice() {
            [is_wanted] => Ok(*is_wanted),
            answers => Err(wrong_count(answers.len())),
        }
    }

    pub(crate) async fn filter_batch(
        &self,
        store: &mut Store<InstanceState>,
        ops: &[impl Borrow<Op>],
        ids: &[String],
    ) -> wasmtime::Result<Vec<bool>> {
        let filter = self.batch_filter.as_ref().ok_or_else(|| not_exported("batch-filter"))?;
        let lowered: Vec<_> = ops.iter().zip(ids).map(|(op, id)| lower(op.borrow(), id, 1)).collect();
        filter.call_filter(store, &lowered).await
    }

    pub(crate) async fn handle(
        &self,
        store: &mut Store<InstanceState>,
        op: &Op,
        id: &str,
        attempt: u32,
    ) -> wasmtime::Result<HandleOutcome> {
        if let Some(handler) = &self.handler {
            return Ok(handler.call_handle(store, lower(op, id, attempt)).await?.map_err(lift_failure));
        }
        let handler = self.batch_handler.as_ref().ok_or_else(|| not_exported("handler"))?;
        let mut outcomes = handler.call_handle(store, &[lower(op, id, attempt)]).await?;
        match (outcomes.pop(), outcomes.len()) {
            (Some(outcome), 0) => Ok(outcome.map_err(lift_failure)),
            (None, _) => Err(wrong_count(0)),
            (Some(_), others) => Err(wrong_count(others + 1)),
        }
    }

    pub(crate) async fn handle_batch(
        &self,
        store: &mut Store<InstanceState>,
        ops: &[(&Op, u32)],
        ids: &[String],
    ) -> wasmtime::Result<Vec<HandleOutcome>> {
        let handler = self.batch_handler.as_ref().ok_or_else(|| not_exported("batch-handler"))?;
        let lowered: Vec<types::Op<'_>> =
            ops.iter().zip(ids).map(|((op, attempt), id)| lower(op, id, *attempt)).collect();
        let outcomes = handler.call_handle(store, &lowered).await?;
        Ok(outcomes.into_iter().map(|outcome| outcome.map_err(lift_failure)).collect())
    }
}

fn wrong_count(answers: usize) -> wasmtime::Error {
    wasmtime::Error::msg(format!("it returned {answers} answers for 1 op"))
}
