//! `gtm:plugin/http` of contract 0.1, by the functions of 0.2.

use super::contract::{Host, Request, Response};
use super::{Http, HttpView, Linking, ListedCapability, ViewOf};
use crate::abi::generate;
use crate::abi::v0_1::lower_error;

/// Links the functions.
pub(super) fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
    contract::add_to_linker::<_, ViewOf<Http>>(&mut linking.linker, Http::view)
}

impl contract::Host for HttpView<'_> {
    async fn send(&mut self, request: contract::Request) -> Result<contract::Response, contract::Error> {
        let contract::Request { method, url, headers, body, timeout } = request;
        let request = Request { method, url, headers, body, timeout };
        let Response { status, headers, body } = Host::send(self, request).await?;
        Ok(contract::Response { status, headers, body })
    }
}

lower_error!(contract::Error);

use generated::gtm::plugin::http as contract;

generate!(generated, {
    path: "../../wit/0.1",
    inline: "
        package gtm:host;

        world http {
            import gtm:plugin/http@0.1.0;
        }
    ",
    imports: { default: async },
});
