//! The functions of `gtm:plugin/state`.

use gtm_store::{StateKey, Store, StoreError, StoreFull, StoredTotal};
use serde_json::json;

use super::contract::Host;
use super::{Capability, State, StateView};
use crate::abi::v0_2::types::Error;
use crate::remedy::PluginRemedy;
use crate::state::timed;

/// Bytes of a key.
const MAX_KEY_BYTES: usize = 512;
/// Bytes of a value. A plugin with larger values can use a collection.
const MAX_VALUE_BYTES: usize = 1 << 20;

impl StateView<'_> {
    fn kept(&self, key: &str, value: Option<&[u8]>) -> Result<(Store, StateKey), Error> {
        if !self.setup.grants.state {
            let reason = self.not_granted("state", "state", "state = true", None);
            return Err(Error::NotGranted(reason));
        }
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(Error::Invalid(format!(
                "a key has 1 to {MAX_KEY_BYTES} bytes, and this one {}",
                key.len()
            )));
        }
        if let Some(value) = value.filter(|value| value.len() > MAX_VALUE_BYTES) {
            return Err(Error::TooLarge(format!(
                "a value has at most {MAX_VALUE_BYTES} bytes, and this one {}",
                value.len()
            )));
        }
        let (store, pipeline) = match &self.shared.services.store {
            Some((store, pipeline)) => (store.clone(), pipeline.to_string()),
            None => (Store::none(), String::new()),
        };
        match store.keeps() || self.recorder().is_some() {
            true => {
                let plugin = self.setup.name.to_string();
                Ok((store, StateKey { pipeline, plugin, key: key.to_owned() }))
            }
            false => {
                let reason = format!("this host keeps nothing{}", PluginRemedy::Store);
                Err(Error::NotGranted(self.notes.blocked(reason, None)))
            }
        }
    }

    /// Makes sure that there is room for a value in addition to what the plugin keeps, without the value that it replaces.
    async fn make_room(&mut self, store: &Store, of: &StateKey, value: &[u8]) -> Result<(), Error> {
        let limits = &self.setup.limits;
        let most = StoredTotal { entries: limits.state_keys, bytes: limits.state_bytes };
        let bytes = |value: &[u8]| u64::try_from(of.key.len() + value.len()).unwrap_or(u64::MAX);
        let room = self.shared_context().clone();
        let count = store.state_kept(&of.pipeline, &of.plugin);
        let asked = async {
            match room.take(most, bytes(value), count).await {
                Ok(()) => Ok(None),
                Err(StoreFull::Store(error)) => Err(error),
                Err(StoreFull::Full(kept)) => {
                    let replaced = store.state(of).await?.map(|replaced| bytes(&replaced));
                    let fits = replaced.is_some_and(|replaced| {
                        bytes(value) <= replaced || kept.without(replaced).has_room(most, bytes(value))
                    });
                    // A value of the same size changes no count.
                    if fits && replaced != Some(bytes(value)) {
                        room.forget().await;
                    }
                    Ok((!fits).then_some(kept))
                }
            }
        };
        let Some(kept) = self.ask(asked).await? else { return Ok(()) };
        Err(Error::Unavailable(format!(
            "the plugin {} keeps as much state as it may: {kept}{}",
            of.plugin,
            self.setup.raise(&["state_keys", "state_bytes"])
        )))
    }

    async fn ask<T>(&mut self, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, Error> {
        let answer = timed(&self.setup, "the store", asked).await.map_err(Error::Unavailable)?;
        answer.map_err(|error| match &error {
            // The store refuses this value.
            StoreError::Unstorable { .. } | StoreError::NotIncremented { .. } => {
                Error::Invalid(error.to_string())
            }
            error if error.may_pass() => Error::Unavailable(error.to_string()),
            // A permission, a directory or a file has to be corrected.
            error => Error::NotGranted(self.notes.blocked(error.to_string(), None)),
        })
    }
}

impl Host for StateView<'_> {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, Error> {
        let (store, key) = self.kept(&key, None)?;
        let value = self.ask(store.state(&key)).await?;
        let charge = self.budget.charge(value.as_ref().map_or(0, Vec::len));
        charge.map_err(|exceeded| Error::TooLarge(exceeded.to_string()))?;
        Ok(value)
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), Error> {
        let (store, of) = self.kept(&key, Some(&value))?;
        if self.record(State::NAME, || json!({ "set": key, "bytes": value.len() })) {
            self.notes.made_up();
            return Ok(());
        }
        self.make_room(&store, &of, &value).await?;
        self.ask(store.set_state(&of, &value, None)).await
    }

    async fn delete(&mut self, key: String) -> Result<(), Error> {
        let (store, of) = self.kept(&key, None)?;
        if self.record(State::NAME, || json!({ "delete": key })) {
            self.notes.made_up();
            return Ok(());
        }
        self.ask(store.delete_state(&of)).await?;
        self.shared_context().forget().await;
        Ok(())
    }

    async fn compare_and_swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, Error> {
        let (store, of) = self.kept(&key, Some(&value))?;
        if self.recorder().is_some() {
            let is_expected = self.ask(store.state(&of)).await? == expected;
            self.record(
                State::NAME,
                || json!({ "compareAndSwap": key, "bytes": value.len(), "done": is_expected }),
            );
            self.notes.made_up();
            return Ok(is_expected);
        }
        self.make_room(&store, &of, &value).await?;
        self.ask(store.swap_state(&of, expected.as_deref(), &value, None)).await
    }
}
