//! The values that plugins keep, in the file of a directory. One host has it open, so its clock decides.
//!
//! Those with a time to live are in a table of their own, which older hosts do not know: they never see one that should have expired. A
//! key that is in both tables was last set by an older host, in the table that it knows.

use std::ops::Bound;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::{FoundEntries, StateEntry, StateKey, StateQuery, millis};
use crate::directory::{DirectoryStore, RedbFailure};
use crate::{StoreError, StoredTotal};

type ValueKey = (&'static str, &'static str, &'static str);

/// The values without a time to live.
const LASTING: TableDefinition<'_, ValueKey, &[u8]> = TableDefinition::new("state");
/// The values with one, and when they expire: in milliseconds since 1970.
const EXPIRING: TableDefinition<'_, ValueKey, (u64, &[u8])> = TableDefinition::new("state_expiring");
/// The keys of those, by when they expire.
const EXPIRIES: TableDefinition<'_, (u64, &str, &str, &str), ()> = TableDefinition::new("state_expiries");

/// Expired values that each write removes: more than it adds, so that they become fewer.
const MAX_SWEPT: usize = 16;

/// Creates the missing tables.
pub(crate) fn prepare(write: &WriteTransaction) -> Result<(), RedbFailure> {
    StateTables::open(write).map(drop)
}

impl DirectoryStore {
    pub(crate) async fn state(&self, of: &StateKey) -> Result<Option<Vec<u8>>, StoreError> {
        let of = of.clone();
        self.with(move |database, _| {
            let read = database.begin_read()?;
            let found = find(&read.open_table(LASTING)?, &read.open_table(EXPIRING)?, &of, now())?;
            Ok(found.map(|found| found.value))
        })
        .await
    }

    pub(crate) async fn state_kept(&self, pipeline: &str, plugin: &str) -> Result<StoredTotal, StoreError> {
        let (pipeline, plugin) = (pipeline.to_owned(), plugin.to_owned());
        self.with(move |database, _| {
            remove_expired(database)?;
            let read = database.begin_read()?;
            let mut kept = StoredTotal::default();
            let begin = (&*pipeline, &*plugin, "");
            for entry in read.open_table(LASTING)?.range(begin..)? {
                let (of, value) = entry?;
                if !kept_by(&pipeline, &plugin, of.value()) {
                    break;
                }
                kept = kept.and(size(of.value().2, value.value()));
            }
            for entry in read.open_table(EXPIRING)?.range(begin..)? {
                let (of, value) = entry?;
                if !kept_by(&pipeline, &plugin, of.value()) {
                    break;
                }
                kept = kept.and(size(of.value().2, value.value().1));
            }
            Ok(kept)
        })
        .await
    }

    pub(crate) async fn state_entries(&self, query: &StateQuery) -> Result<Vec<StateEntry>, StoreError> {
        let query = query.clone();
        self.with(move |database, _| {
            let (read, now) = (database.begin_read()?, now());
            let (first, may_equal) = query.first();
            let first = (&*query.pipeline, &*query.plugin, first);
            let first = if may_equal { Bound::Included(first) } else { Bound::Excluded(first) };
            let range = (first, Bound::Unbounded);
            let is_wanted = |of: (&str, &str, &str)| {
                kept_by(&query.pipeline, &query.plugin, of) && of.2.starts_with(&query.prefix)
            };
            let mut lasting = read.open_table(LASTING)?.range::<(&str, &str, &str)>(range)?;
            let mut next_lasting = || -> Result<Option<StateEntry>, RedbFailure> {
                let Some((of, value)) = lasting.next().transpose()? else { return Ok(None) };
                let entry = || StateEntry {
                    key: of.value().2.to_owned(),
                    value: value.value().to_vec(),
                    time_to_live: None,
                };
                Ok(is_wanted(of.value()).then(entry))
            };
            let mut expiring = read.open_table(EXPIRING)?.range::<(&str, &str, &str)>(range)?;
            let mut next_expiring = || -> Result<Option<StateEntry>, RedbFailure> {
                while let Some((of, value)) = expiring.next().transpose()?
                    && is_wanted(of.value())
                {
                    let (until, value) = value.value();
                    if until > now {
                        let time_to_live = Some(Duration::from_millis(until - now));
                        let key = of.value().2.to_owned();
                        return Ok(Some(StateEntry { key, value: value.to_vec(), time_to_live }));
                    }
                }
                Ok(None)
            };
            let mut found = FoundEntries::new(&query);
            let (mut one, mut other) = (next_lasting()?, next_expiring()?);
            loop {
                let next = match (one.take(), other.take()) {
                    (Some(lasting), Some(expiring)) if expiring.key < lasting.key => {
                        (one, other) = (Some(lasting), next_expiring()?);
                        expiring
                    }
                    (Some(lasting), expiring) => {
                        let is_same = expiring.as_ref().is_some_and(|expiring| expiring.key == lasting.key);
                        (one, other) = (next_lasting()?, if is_same { next_expiring()? } else { expiring });
                        lasting
                    }
                    (None, Some(expiring)) => {
                        other = next_expiring()?;
                        expiring
                    }
                    (None, None) => break,
                };
                if !found.push(next) {
                    break;
                }
            }
            Ok(found.entries)
        })
        .await
    }

    pub(crate) async fn set_state(
        &self,
        of: &StateKey,
        value: &[u8],
        time_to_live: Option<Duration>,
    ) -> Result<(), StoreError> {
        let (of, value) = (of.clone(), value.to_vec());
        self.write_state(move |tables, now| tables.put(&of, &value, until(now, time_to_live)).map(Some))
            .await?;
        Ok(())
    }

    pub(crate) async fn delete_state(&self, of: &StateKey) -> Result<Option<u64>, StoreError> {
        let of = of.clone();
        self.write_state(move |tables, _| tables.remove(&of)).await
    }

    pub(crate) async fn swap_state(
        &self,
        of: &StateKey,
        expected: Option<&[u8]>,
        value: &[u8],
        time_to_live: Option<Duration>,
    ) -> Result<bool, StoreError> {
        let (of, expected, value) = (of.clone(), expected.map(<[u8]>::to_vec), value.to_vec());
        let swapped = self.write_state(move |tables, now| {
            let found = find(&tables.lasting, &tables.expiring, &of, now)?;
            if found.map(|found| found.value) != expected {
                return Ok(None);
            }
            tables.put(&of, &value, until(now, time_to_live)).map(Some)
        });
        Ok(swapped.await?.is_some())
    }

    pub(crate) async fn increment_state(
        &self,
        of: &StateKey,
        by: i64,
        time_to_live: Option<Duration>,
    ) -> Result<i64, StoreError> {
        let of = of.clone();
        let sum = self.write_state(move |tables, now| {
            let found = find(&tables.lasting, &tables.expiring, &of, now)?;
            let sum = of.sum(found.as_ref().map(|found| &*found.value), by)?;
            let until = until(now, time_to_live).or(found.and_then(|found| found.until));
            tables.put(&of, sum.to_string().as_bytes(), until)?;
            Ok(Some(sum))
        });
        sum.await?.ok_or_else(|| StoreError::Defect("a sum was not stored".to_owned()))
    }

    /// Changes values in one step, and removes a few expired ones. `work` gets the time, and changes nothing if it returns none.
    async fn write_state<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut StateTables<'_>, u64) -> Result<Option<T>, RedbFailure> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        self.with(move |database, _| {
            let (write, now) = (database.begin_write()?, now());
            let mut tables = StateTables::open(&write)?;
            let Some(done) = work(&mut tables, now)? else { return Ok(None) };
            tables.sweep(now, MAX_SWEPT)?;
            drop(tables);
            write.commit()?;
            Ok(Some(done))
        })
        .await
    }
}

struct StateTables<'a> {
    lasting: Table<'a, ValueKey, &'static [u8]>,
    expiring: Table<'a, ValueKey, (u64, &'static [u8])>,
    expiries: Table<'a, (u64, &'static str, &'static str, &'static str), ()>,
}

impl<'a> StateTables<'a> {
    fn open(write: &'a WriteTransaction) -> Result<Self, RedbFailure> {
        Ok(Self {
            lasting: write.open_table(LASTING)?,
            expiring: write.open_table(EXPIRING)?,
            expiries: write.open_table(EXPIRIES)?,
        })
    }

    fn put(&mut self, of: &StateKey, value: &[u8], until: Option<u64>) -> Result<(), RedbFailure> {
        self.remove(of)?;
        let (pipeline, plugin, key) = key(of);
        match until {
            None => drop(self.lasting.insert((pipeline, plugin, key), value)?),
            Some(until) => {
                self.expiring.insert((pipeline, plugin, key), (until, value))?;
                self.expiries.insert((until, pipeline, plugin, key), ())?;
            }
        }
        Ok(())
    }

    /// Removes a value. Returns its size.
    fn remove(&mut self, of: &StateKey) -> Result<Option<u64>, RedbFailure> {
        let (pipeline, plugin, key) = key(of);
        let lasting = self.lasting.remove((pipeline, plugin, key))?.map(|removed| size(key, removed.value()));
        let expiring = self.expiring.remove((pipeline, plugin, key))?.map(|removed| {
            let (until, value) = removed.value();
            (until, size(key, value))
        });
        if let Some((until, _)) = expiring {
            self.expiries.remove((until, pipeline, plugin, key))?;
        }
        Ok(lasting.or(expiring.map(|(_, size)| size)))
    }

    /// Removes at most this many expired values.
    fn sweep(&mut self, now: u64, most: usize) -> Result<(), RedbFailure> {
        for entry in
            self.expiries.extract_from_if(..(now.saturating_add(1), "", "", ""), |_, ()| true)?.take(most)
        {
            let (expiry, _) = entry?;
            let (_, pipeline, plugin, key) = expiry.value();
            self.expiring.remove((pipeline, plugin, key))?;
        }
        Ok(())
    }
}

/// A value, and when it expires.
struct FoundValue {
    value: Vec<u8>,
    until: Option<u64>,
}

fn find(
    lasting: &impl ReadableTable<ValueKey, &'static [u8]>,
    expiring: &impl ReadableTable<ValueKey, (u64, &'static [u8])>,
    of: &StateKey,
    now: u64,
) -> Result<Option<FoundValue>, RedbFailure> {
    if let Some(found) = lasting.get(key(of))? {
        return Ok(Some(FoundValue { value: found.value().to_vec(), until: None }));
    }
    let Some(found) = expiring.get(key(of))? else { return Ok(None) };
    let (until, value) = found.value();
    Ok((until > now).then(|| FoundValue { value: value.to_vec(), until: Some(until) }))
}

/// Removes all expired values.
fn remove_expired(database: &Database) -> Result<(), RedbFailure> {
    let now = now();
    let expiries = database.begin_read()?.open_table(EXPIRIES)?;
    if expiries.first()?.is_none_or(|(expiry, _)| expiry.value().0 > now) {
        return Ok(());
    }
    let write = database.begin_write()?;
    StateTables::open(&write)?.sweep(now, usize::MAX)?;
    Ok(write.commit()?)
}

fn key(of: &StateKey) -> (&str, &str, &str) {
    (&of.pipeline, &of.plugin, &of.key)
}

fn kept_by(pipeline: &str, plugin: &str, (its_pipeline, its_plugin, _): (&str, &str, &str)) -> bool {
    (its_pipeline, its_plugin) == (pipeline, plugin)
}

fn size(key: &str, value: &[u8]) -> u64 {
    u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX)
}

/// Returns the time in milliseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn until(now: u64, time_to_live: Option<Duration>) -> Option<u64> {
    time_to_live.map(|time_to_live| now.saturating_add(millis(time_to_live).unsigned_abs()))
}
