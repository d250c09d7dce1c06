//! The functions of `gtm:plugin/state`.

use std::time::Duration;

use gtm_store::{StateKey, StateQuery, Store, StoreError, StoreFull, StoredTotal};
use serde_json::{Value, json};

use super::contract::{Entry, Host, Quota};
use super::{Capability, State, StateView};
use crate::abi::v0_2::types::Error;
use crate::remedy::PluginRemedy;
use crate::state::timed;

/// Bytes of a key.
const MAX_KEY_BYTES: usize = 512;
/// Bytes of a value. A plugin with larger values can use a collection.
const MAX_VALUE_BYTES: usize = 1 << 20;
/// Digits of a number, with its sign.
const MAX_NUMBER_BYTES: usize = 20;
/// Entries of a page.
const MAX_PAGE_ENTRIES: u32 = 1000;
/// Bytes of a page.
const MAX_PAGE_BYTES: usize = 1 << 20;

/// A value that takes room.
#[derive(Clone, Copy)]
enum NewValue {
    /// With this many bytes.
    Bytes(usize),
    Number,
}

impl StateView<'_> {
    /// Returns the store, and the name of the pipeline.
    pub(super) fn store(&self) -> Result<(Store, String), Error> {
        self.require_op("state").map_err(Error::NotGranted)?;
        if !self.setup.grants.state {
            let reason = self.not_granted("state", "state", "state = true", None);
            return Err(Error::NotGranted(reason));
        }
        let (store, pipeline) = match &self.shared.services.store {
            Some((store, pipeline)) => (store.clone(), pipeline.to_string()),
            None => (Store::none(), String::new()),
        };
        match store.keeps() || self.recorder().is_some() {
            true => Ok((store, pipeline)),
            false => {
                let reason = format!("this host keeps nothing{}", PluginRemedy::Store);
                Err(Error::NotGranted(self.notes.blocked(reason, None)))
            }
        }
    }

    /// Returns whether changes are only recorded.
    fn only_records(&self) -> bool {
        self.recorder().is_some_and(|recorder| !recorder.changes_state)
    }

    fn kept(&self, key: &str, value: Option<&[u8]>) -> Result<(Store, StateKey), Error> {
        if self.setup.grants.state && (key.is_empty() || key.len() > MAX_KEY_BYTES) {
            return Err(Error::Invalid(format!(
                "a key has 1 to {MAX_KEY_BYTES} bytes, and this one {}",
                key.len()
            )));
        }
        if let Some(value) = value.filter(|value| self.setup.grants.state && value.len() > MAX_VALUE_BYTES) {
            return Err(Error::TooLarge(format!(
                "a value has at most {MAX_VALUE_BYTES} bytes, and this one {}",
                value.len()
            )));
        }
        let (store, pipeline) = self.store()?;
        let plugin = self.setup.name.to_string();
        Ok((store, StateKey { pipeline, plugin, key: key.to_owned() }))
    }

    fn most(&self) -> StoredTotal {
        let limits = &self.setup.limits;
        StoredTotal { entries: limits.state_keys, bytes: limits.state_bytes }
    }

    /// Makes sure that there is room for a value in addition to what the plugin keeps, without the value that it replaces.
    async fn make_room(&mut self, store: &Store, of: &StateKey, new: NewValue) -> Result<(), Error> {
        let most = self.most();
        let with_key = |value: usize| u64::try_from(of.key.len() + value).unwrap_or(u64::MAX);
        let bytes = with_key(match new {
            NewValue::Bytes(bytes) => bytes,
            NewValue::Number => MAX_NUMBER_BYTES,
        });
        let room = self.shared_context().clone();
        let count = store.state_kept(&of.pipeline, &of.plugin);
        let asked = async {
            match room.take(most, bytes, count).await {
                Ok(()) => Ok(None),
                Err(StoreFull::Store(error)) => Err(error),
                Err(StoreFull::Full(kept)) => {
                    let replaced = store.state(of).await?.map(|replaced| match new {
                        NewValue::Bytes(_) => with_key(replaced.len()),
                        // A number becomes a few digits longer at most.
                        NewValue::Number => bytes.max(with_key(replaced.len())),
                    });
                    let fits = replaced.is_some_and(|replaced| {
                        bytes <= replaced || kept.without(replaced).has_room(most, bytes)
                    });
                    // A value of the same size changes no count.
                    if fits && replaced != Some(bytes) {
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

    async fn set(&mut self, key: String, value: Vec<u8>, time_to_live: Option<u64>) -> Result<(), Error> {
        let (store, of) = self.kept(&key, Some(&value))?;
        if self.only_records() {
            self.notes.made_up();
        } else {
            self.make_room(&store, &of, NewValue::Bytes(value.len())).await?;
            self.ask(store.set_state(&of, &value, duration(time_to_live))).await?;
        }
        let set = || effect(json!({ "set": key, "bytes": value.len() }), time_to_live);
        self.record(State::NAME, set);
        Ok(())
    }

    async fn delete(&mut self, key: String) -> Result<(), Error> {
        let (store, of) = self.kept(&key, None)?;
        if self.only_records() {
            self.notes.made_up();
        } else if let Some(bytes) = self.ask(store.delete_state(&of)).await? {
            self.shared_context().release(bytes).await;
        }
        self.record(State::NAME, || json!({ "delete": key }));
        Ok(())
    }

    async fn compare_and_swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        time_to_live: Option<u64>,
    ) -> Result<bool, Error> {
        let (store, of) = self.kept(&key, Some(&value))?;
        let is_done = if self.only_records() {
            self.notes.made_up();
            self.ask(store.state(&of)).await? == expected
        } else {
            self.make_room(&store, &of, NewValue::Bytes(value.len())).await?;
            self.ask(store.swap_state(&of, expected.as_deref(), &value, duration(time_to_live))).await?
        };
        self.record(State::NAME, || {
            effect(json!({ "compareAndSwap": key, "bytes": value.len(), "done": is_done }), time_to_live)
        });
        Ok(is_done)
    }

    async fn increment(&mut self, key: String, by: i64, time_to_live: Option<u64>) -> Result<i64, Error> {
        let (store, of) = self.kept(&key, None)?;
        let sum = if self.only_records() {
            self.notes.made_up();
            self.ask(async { of.sum(store.state(&of).await?.as_deref(), by) }).await?
        } else {
            self.make_room(&store, &of, NewValue::Number).await?;
            self.ask(store.increment_state(&of, by, duration(time_to_live))).await?
        };
        self.record(State::NAME, || effect(json!({ "increment": key, "by": by, "sum": sum }), time_to_live));
        Ok(sum)
    }

    async fn list_entries(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<Entry>, Error> {
        let (store, pipeline) = self.store()?;
        if limit == 0 {
            return Err(Error::Invalid("a page has at least 1 entry, and the limit is 0".to_owned()));
        }
        let too_long =
            [Some(&prefix), after.as_ref()].into_iter().flatten().find(|key| key.len() > MAX_KEY_BYTES);
        if let Some(key) = too_long {
            return Err(Error::Invalid(format!(
                "a key has at most {MAX_KEY_BYTES} bytes, and prefix or after has {}",
                key.len()
            )));
        }
        let query = StateQuery {
            pipeline,
            plugin: self.setup.name.to_string(),
            prefix,
            after,
            max_entries: limit.min(MAX_PAGE_ENTRIES),
            max_bytes: MAX_PAGE_BYTES,
        };
        let found = self.ask(store.state_entries(&query)).await?;
        let bytes = found.iter().map(|entry| size_of::<Entry>() + entry.key.len() + entry.value.len()).sum();
        self.budget.charge(bytes).map_err(|exceeded| Error::TooLarge(exceeded.to_string()))?;
        let entries = found.into_iter().map(|entry| Entry {
            key: entry.key,
            value: entry.value,
            time_to_live: entry.time_to_live.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        });
        Ok(entries.collect())
    }

    async fn get_quota(&mut self) -> Result<Quota, Error> {
        let (store, pipeline) = self.store()?;
        let (room, plugin) = (self.shared_context().clone(), self.setup.name.to_string());
        let kept = self.ask(room.kept(store.state_kept(&pipeline, &plugin))).await?;
        let most = self.most();
        Ok(Quota { keys: kept.entries, max_keys: most.entries, bytes: kept.bytes, max_bytes: most.bytes })
    }
}

fn duration(time_to_live: Option<u64>) -> Option<Duration> {
    time_to_live.map(Duration::from_millis)
}

/// Adds the time to live to the record of a dry run.
fn effect(mut effect: Value, time_to_live: Option<u64>) -> Value {
    if let (Value::Object(fields), Some(time_to_live)) = (&mut effect, time_to_live) {
        fields.insert("timeToLive".to_owned(), time_to_live.into());
    }
    effect
}
