//! `gtm:plugin/state` of contract 0.1, by the functions of 0.2.

use super::contract::Host;
use super::{Linking, ListedCapability, State, StateView, ViewOf};
use crate::abi::generate;
use crate::abi::v0_1::lower_error;

/// Links the functions.
pub(super) fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
    contract::add_to_linker::<_, ViewOf<State>>(&mut linking.linker, State::view)
}

impl contract::Host for StateView<'_> {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, contract::Error> {
        Host::get(self, key).await.map_err(Into::into)
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), contract::Error> {
        Host::set(self, key, value, None).await.map_err(Into::into)
    }

    async fn delete(&mut self, key: String) -> Result<(), contract::Error> {
        Host::delete(self, key).await.map_err(Into::into)
    }

    async fn compare_and_swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, contract::Error> {
        Host::compare_and_swap(self, key, expected, value, None).await.map_err(Into::into)
    }
}

lower_error!(contract::Error);

use generated::gtm::plugin::state as contract;

generate!(generated, {
    path: "../../wit/0.1",
    inline: "
        package gtm:host;

        world state {
            import gtm:plugin/state@0.1.0;
        }
    ",
    imports: { default: async },
});
