//! `wasi:keyvalue`: the state of the plugin, by the functions of `gtm:plugin/state`, for guests that know this interface. Two drafts of
//! it are in use.

mod draft;
mod draft2;
mod keys;

use std::sync::Arc;

use wasmtime::component::Resource;

use super::contract::Host;
use super::{Capability, Linking, ListedCapability, State, StateView};
use crate::abi::v0_2::types::Error;
use crate::budget::Charge;
use crate::state::{InstanceRole, InstanceState, timed};

/// The names of the only bucket, which is the plugin's own state. Guests open either when they need no particular one.
const BUCKET_NAMES: [&str; 2] = ["", "default"];

/// The open bucket. It has no state of its own: each function checks the grant.
#[allow(unreachable_pub, reason = "the macro re-exports it as public, and the crate does not")]
pub struct Bucket;

/// The value of a key at one time, for a compare-and-swap.
#[allow(unreachable_pub, reason = "the macro re-exports it as public, and the crate does not")]
pub struct Cas {
    key: String,
    current: Option<Vec<u8>>,
    /// Charges for both, as long as the instance holds this.
    _charge: Charge,
}

/// The error of a function, which each draft has as its own type.
enum KeyValueError {
    NoSuchStore,
    /// The host's log has the sentence, with the grant.
    AccessDenied,
    Other(String),
}

impl From<Error> for KeyValueError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotGranted(_) => Self::AccessDenied,
            Error::Invalid(reason)
            | Error::TooLarge(reason)
            | Error::Rejected(reason)
            | Error::Conflict(reason)
            | Error::Unavailable(reason) => Self::Other(reason),
        }
    }
}

/// Links the functions. In `filter`, `open` fails, and the others take an open bucket.
pub(super) fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
    draft::link(linking)?;
    draft2::link(linking)
}

impl InstanceState {
    fn open_bucket(&mut self, name: &str) -> Result<Resource<Bucket>, KeyValueError> {
        let call = &self.call;
        let not_now = match call.role {
            InstanceRole::Filter => Err(format!("{} can be used in handle only, not in filter", State::NAME)),
            InstanceRole::Handler => call.require_op(State::NAME),
        };
        not_now.map_err(KeyValueError::Other)?;
        if !BUCKET_NAMES.contains(&name) {
            return Err(KeyValueError::NoSuchStore);
        }
        State::view(self).store()?;
        self.table.push(Bucket).map_err(|full| KeyValueError::Other(full.to_string()))
    }

    /// Reads the current value of a key for a compare-and-swap.
    async fn new_cas(&mut self, key: String) -> Result<Resource<Cas>, KeyValueError> {
        let current = State::view(self).get(key.clone()).await?;
        let charge = self.call.budget.charge(key.len() + current.as_ref().map_or(0, Vec::len));
        let charge = charge.map_err(|exceeded| KeyValueError::Other(exceeded.to_string()))?;
        let cas = Cas { key, current, _charge: charge };
        self.table.push(cas).map_err(|full| KeyValueError::Other(full.to_string()))
    }

    /// Swaps a value. Returns the new current value if another one was written since.
    async fn swap(
        &mut self,
        cas: Resource<Cas>,
        value: Vec<u8>,
    ) -> Result<Option<Resource<Cas>>, KeyValueError> {
        let cas = self.table.delete(cas).map_err(|error| KeyValueError::Other(error.to_string()))?;
        let Cas { key, current, _charge } = cas;
        match State::view(self).compare_and_swap(key.clone(), current, value, None).await? {
            true => Ok(None),
            false => self.new_cas(key).await.map(Some),
        }
    }
}

impl StateView<'_> {
    /// Returns the values of several keys, within the time limit of one call.
    async fn get_many(&mut self, keys: Vec<String>) -> Result<Vec<Option<(String, Vec<u8>)>>, KeyValueError> {
        let setup = Arc::clone(&self.setup);
        let got = async {
            let (mut found, mut charge) = (Vec::new(), self.budget.nothing());
            for key in keys {
                let value = Box::pin(self.get(key.clone())).await?;
                let bytes = size_of::<Option<(String, Vec<u8>)>>() + value.as_ref().map_or(0, Vec::len);
                charge.add(bytes).map_err(|exceeded| KeyValueError::Other(exceeded.to_string()))?;
                found.push(value.map(|value| (key, value)));
            }
            Ok(found)
        };
        timed(&setup, "the store", got).await.map_err(KeyValueError::Other)?
    }

    /// Sets the values of several keys, within the time limit of one call.
    async fn set_many(&mut self, entries: Vec<(String, Vec<u8>)>) -> Result<(), KeyValueError> {
        let setup = Arc::clone(&self.setup);
        let set = async {
            for (key, value) in entries {
                Box::pin(self.set(key, value, None)).await?;
            }
            Ok(())
        };
        timed(&setup, "the store", set).await.map_err(KeyValueError::Other)?
    }

    /// Removes the values of several keys, within the time limit of one call.
    async fn delete_many(&mut self, keys: Vec<String>) -> Result<(), KeyValueError> {
        let setup = Arc::clone(&self.setup);
        let deleted = async {
            for key in keys {
                Box::pin(self.delete(key)).await?;
            }
            Ok(())
        };
        timed(&setup, "the store", deleted).await.map_err(KeyValueError::Other)?
    }
}

/// Implements the functions that are the same in both drafts. `list` lists keys from a cursor.
macro_rules! keyvalue_of {
    ($contract:ident, $cursor:ty, $list:ident) => {
        impl From<KeyValueError> for $contract::store::Error {
            fn from(error: KeyValueError) -> Self {
                match error {
                    KeyValueError::NoSuchStore => Self::NoSuchStore,
                    KeyValueError::AccessDenied => Self::AccessDenied,
                    KeyValueError::Other(reason) => Self::Other(reason),
                }
            }
        }

        impl $contract::store::Host for InstanceState {
            async fn open(
                &mut self,
                identifier: String,
            ) -> Result<Resource<Bucket>, $contract::store::Error> {
                Ok(self.open_bucket(&identifier)?)
            }
        }

        impl $contract::store::HostBucket for InstanceState {
            async fn get(
                &mut self,
                _: Resource<Bucket>,
                key: String,
            ) -> Result<Option<Vec<u8>>, $contract::store::Error> {
                Ok(State::view(self).get(key).await.map_err(KeyValueError::from)?)
            }

            async fn set(
                &mut self,
                _: Resource<Bucket>,
                key: String,
                value: Vec<u8>,
            ) -> Result<(), $contract::store::Error> {
                Ok(State::view(self).set(key, value, None).await.map_err(KeyValueError::from)?)
            }

            async fn delete(
                &mut self,
                _: Resource<Bucket>,
                key: String,
            ) -> Result<(), $contract::store::Error> {
                Ok(State::view(self).delete(key).await.map_err(KeyValueError::from)?)
            }

            async fn exists(
                &mut self,
                _: Resource<Bucket>,
                key: String,
            ) -> Result<bool, $contract::store::Error> {
                let value = State::view(self).get(key).await.map_err(KeyValueError::from)?;
                Ok(value.is_some())
            }

            async fn list_keys(
                &mut self,
                _: Resource<Bucket>,
                cursor: Option<$cursor>,
            ) -> Result<$contract::store::KeyResponse, $contract::store::Error> {
                let (keys, cursor) = State::view(self).$list(cursor).await?;
                Ok($contract::store::KeyResponse { keys, cursor })
            }

            async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
                self.table.delete(bucket)?;
                Ok(())
            }
        }

        impl $contract::batch::Host for InstanceState {
            async fn get_many(
                &mut self,
                _: Resource<Bucket>,
                keys: Vec<String>,
            ) -> Result<Vec<Option<(String, Vec<u8>)>>, $contract::store::Error> {
                Ok(State::view(self).get_many(keys).await?)
            }

            async fn set_many(
                &mut self,
                _: Resource<Bucket>,
                entries: Vec<(String, Vec<u8>)>,
            ) -> Result<(), $contract::store::Error> {
                Ok(State::view(self).set_many(entries).await?)
            }

            async fn delete_many(
                &mut self,
                _: Resource<Bucket>,
                keys: Vec<String>,
            ) -> Result<(), $contract::store::Error> {
                Ok(State::view(self).delete_many(keys).await?)
            }
        }
    };
}
use keyvalue_of;
