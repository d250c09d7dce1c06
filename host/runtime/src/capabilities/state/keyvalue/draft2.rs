//! `wasi:keyvalue@0.2.0-draft2`, which guests of Spin and newer ones of wasmCloud use.

use wasmtime::component::{HasSelf, Resource};

use super::super::contract::Host;
use super::{Bucket, Cas, KeyValueError, Linking, ListedCapability, State, keyvalue_of};
use crate::abi::generate;
use crate::state::InstanceState;

/// Links the functions.
pub(super) fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
    type OfInstance = HasSelf<InstanceState>;
    contract::store::add_to_linker::<InstanceState, OfInstance>(&mut linking.linker, |state| state)?;
    contract::atomics::add_to_linker::<InstanceState, OfInstance>(&mut linking.linker, |state| state)?;
    contract::batch::add_to_linker::<InstanceState, OfInstance>(&mut linking.linker, |state| state)
}

keyvalue_of!(contract, String, list_page);

impl contract::atomics::Host for InstanceState {
    async fn increment(
        &mut self,
        _: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> Result<i64, contract::store::Error> {
        Ok(State::view(self).increment(key, delta, None).await.map_err(KeyValueError::from)?)
    }

    async fn swap(&mut self, cas: Resource<Cas>, value: Vec<u8>) -> Result<(), contract::atomics::CasError> {
        match InstanceState::swap(self, cas, value).await {
            Ok(None) => Ok(()),
            Ok(Some(newer)) => Err(contract::atomics::CasError::CasFailed(newer)),
            Err(error) => Err(contract::atomics::CasError::StoreError(error.into())),
        }
    }
}

impl contract::atomics::HostCas for InstanceState {
    async fn new(
        &mut self,
        _: Resource<Bucket>,
        key: String,
    ) -> Result<Resource<Cas>, contract::store::Error> {
        Ok(self.new_cas(key).await?)
    }

    async fn current(&mut self, cas: Resource<Cas>) -> Result<Option<Vec<u8>>, contract::store::Error> {
        let cas = self.table.get(&cas).map_err(|error| KeyValueError::Other(error.to_string()))?;
        let charge = self.call.budget.charge(cas.current.as_ref().map_or(0, Vec::len));
        charge.map_err(|exceeded| KeyValueError::Other(exceeded.to_string()))?;
        Ok(cas.current.clone())
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}

use generated::wasi::keyvalue as contract;

generate!(generated, {
    path: "wit/wasi-keyvalue-0.2.0-draft2",
    inline: "
        package gtm:host;

        world keyvalue {
            import wasi:keyvalue/store@0.2.0-draft2;
            import wasi:keyvalue/atomics@0.2.0-draft2;
            import wasi:keyvalue/batch@0.2.0-draft2;
        }
    ",
    with: {
        "wasi:keyvalue/store.bucket": crate::capabilities::state::keyvalue::Bucket,
        "wasi:keyvalue/atomics.cas": crate::capabilities::state::keyvalue::Cas,
    },
    imports: { default: async },
});
