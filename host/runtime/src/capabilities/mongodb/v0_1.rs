//! `gtm:plugin/mongodb` of contract 0.1, by the functions of 0.2.

use super::contract::{FindOptions, Host, UpdateOptions, UpdateResult};
use super::{Linking, ListedCapability, Mongodb, MongodbView, ViewOf};
use crate::abi::generate;
use crate::abi::v0_2::types::Error;

/// Links the functions.
pub(super) fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
    contract::add_to_linker::<_, ViewOf<Mongodb>>(&mut linking.linker, Mongodb::view)
}

impl contract::Host for MongodbView<'_> {
    async fn find(
        &mut self,
        namespace: String,
        filter: Vec<u8>,
        options: contract::FindOptions,
    ) -> Result<Vec<Vec<u8>>, contract::Error> {
        let contract::FindOptions { projection, sort, skip, limit } = options;
        let options = FindOptions { projection, sort, skip, limit };
        Host::find(self, namespace, filter, options).await.map_err(Into::into)
    }

    async fn aggregate(
        &mut self,
        namespace: String,
        pipeline: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, contract::Error> {
        Host::aggregate(self, namespace, pipeline).await.map_err(Into::into)
    }

    async fn insert(&mut self, namespace: String, documents: Vec<Vec<u8>>) -> Result<(), contract::Error> {
        Host::insert(self, namespace, documents).await.map_err(Into::into)
    }

    async fn update(
        &mut self,
        namespace: String,
        filter: Vec<u8>,
        update: Vec<u8>,
        options: contract::UpdateOptions,
    ) -> Result<contract::UpdateResult, contract::Error> {
        let contract::UpdateOptions { many, upsert } = options;
        let updated = Host::update(self, namespace, filter, update, UpdateOptions { many, upsert }).await?;
        Ok(updated.into())
    }

    async fn replace(
        &mut self,
        namespace: String,
        filter: Vec<u8>,
        replacement: Vec<u8>,
        upsert: bool,
    ) -> Result<contract::UpdateResult, contract::Error> {
        Ok(Host::replace(self, namespace, filter, replacement, upsert).await?.into())
    }

    async fn delete(
        &mut self,
        namespace: String,
        filter: Vec<u8>,
        many: bool,
    ) -> Result<u64, contract::Error> {
        Host::delete(self, namespace, filter, many).await.map_err(Into::into)
    }
}

impl From<UpdateResult> for contract::UpdateResult {
    fn from(result: UpdateResult) -> Self {
        let UpdateResult { matched_count, modified_count, upserted_id } = result;
        Self { matched: matched_count, modified: modified_count, upserted: upserted_id }
    }
}

impl From<Error> for contract::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NotGranted(reason) => Self::NotGranted(reason),
            Error::Invalid(reason) | Error::TooLarge(reason) => Self::Invalid(reason),
            Error::Conflict(reason) => Self::DuplicateKey(reason),
            Error::Rejected(reason) => Self::Rejected(reason),
            Error::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

use generated::gtm::plugin::mongodb as contract;

generate!(generated, {
    path: "../../wit/0.1",
    inline: "
        package gtm:host;

        world mongodb {
            import gtm:plugin/mongodb@0.1.0;
        }
    ",
    imports: { default: async },
});
