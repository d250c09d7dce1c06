//! `wasi:keyvalue@0.2.0-draft`, which guests of wasmCloud use. It has no compare-and-swap, and its numbers have no sign.

use wasmtime::component::{HasSelf, Resource};

use super::super::contract::Host;
use super::{Bucket, KeyValueError, Linking, ListedCapability, State, keyvalue_of};
use crate::abi::generate;
use crate::state::InstanceState;

/// Links the functions.
pub(super) fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
    type OfInstance = HasSelf<InstanceState>;
    contract::store::add_to_linker::<InstanceState, OfInstance>(&mut linking.linker, |state| state)?;
    contract::atomics::add_to_linker::<InstanceState, OfInstance>(&mut linking.linker, |state| state)?;
    contract::batch::add_to_linker::<InstanceState, OfInstance>(&mut linking.linker, |state| state)
}

keyvalue_of!(contract, u64, list_all);

impl contract::atomics::Host for InstanceState {
    async fn increment(
        &mut self,
        _: Resource<Bucket>,
        key: String,
        delta: u64,
    ) -> Result<u64, contract::store::Error> {
        let too_large = |_| KeyValueError::Other(format!("{delta} is larger than {}", i64::MAX));
        let by = i64::try_from(delta).map_err(too_large)?;
        let sum = State::view(self).increment(key, by, None).await.map_err(KeyValueError::from)?;
        let negative = |_| KeyValueError::Other(format!("the sum is negative: {sum}"));
        Ok(u64::try_from(sum).map_err(negative)?)
    }
}

use generated::wasi::keyvalue as contract;

generate!(generated, {
    path: "wit/wasi-keyvalue-0.2.0-draft",
    inline: "
        package gtm:host;

        world keyvalue {
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:keyvalue/atomics@0.2.0-draft;
            import wasi:keyvalue/batch@0.2.0-draft;
        }
    ",
    with: { "wasi:keyvalue/store.bucket": crate::capabilities::state::keyvalue::Bucket },
    imports: { default: async },
});
