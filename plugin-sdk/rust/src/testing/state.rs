//! State in memory, with the limits of the host.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::host::{granted, with};
use crate::bindings::gtm::plugin::state::{Entry, Quota};
use crate::bindings::gtm::plugin::types::Error;

/// Bytes of a key.
const MAX_KEY_BYTES: usize = 512;
/// Bytes of a value, and of a page.
const MAX_VALUE_BYTES: usize = 1 << 20;
/// Entries of a page.
const MAX_PAGE_ENTRIES: usize = 1000;

/// A value, and the time when it ends.
type Kept = (Vec<u8>, Option<Instant>);

/// The state of a plugin.
#[derive(Clone, Debug)]
pub(super) struct KeptState {
    pub(super) values: BTreeMap<String, Kept>,
    pub(super) max_keys: u64,
    pub(super) max_bytes: u64,
}

/// As much as a host allows by default.
impl Default for KeptState {
    fn default() -> Self {
        Self { values: BTreeMap::new(), max_keys: 100_000, max_bytes: 256 << 20 }
    }
}

impl KeptState {
    fn bytes(&self) -> usize {
        self.values.iter().map(|(key, (value, _))| key.len() + value.len()).sum()
    }

    fn set(&mut self, key: &str, value: &[u8], end: Option<Instant>) -> Result<(), Error> {
        let former = self.values.get(key).map(|(former, _)| key.len() + former.len());
        let keys = count(self.values.len() + usize::from(former.is_none()));
        let bytes = count(self.bytes() - former.unwrap_or(0) + key.len() + value.len());
        let is_over = |used: u64, most: u64| most > 0 && used > most;
        let grows = former.is_none_or(|former| key.len() + value.len() > former);
        if grows && (is_over(keys, self.max_keys) || is_over(bytes, self.max_bytes)) {
            return Err(Error::Unavailable("the plugin keeps as much state as it may".to_owned()));
        }
        self.values.insert(key.to_owned(), (value.to_vec(), end));
        Ok(())
    }
}

/// Runs `work` on the values whose time has not passed.
fn kept<T>(work: impl FnOnce(&mut KeptState) -> T) -> Result<T, Error> {
    granted("state")?;
    Ok(with(|world| {
        let now = Instant::now();
        world.state.values.retain(|_, (_, end)| end.is_none_or(|end| end > now));
        work(&mut world.state)
    }))
}

fn checked(key: &str, value: &[u8]) -> Result<(), Error> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(Error::Invalid(format!(
            "a key has 1 to {MAX_KEY_BYTES} bytes, and this one {}",
            key.len()
        )));
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(Error::TooLarge(format!(
            "a value has at most {MAX_VALUE_BYTES} bytes, and this one {}",
            value.len()
        )));
    }
    Ok(())
}

fn end_of(time_to_live: Option<u64>) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(time_to_live?))
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    checked(key, &[])?;
    kept(|state| state.values.get(key).map(|(value, _)| value.clone()))
}

pub(crate) fn set(key: &str, value: &[u8], time_to_live: Option<u64>) -> Result<(), Error> {
    checked(key, value)?;
    kept(|state| state.set(key, value, end_of(time_to_live)))?
}

pub(crate) fn delete(key: &str) -> Result<(), Error> {
    checked(key, &[])?;
    kept(|state| drop(state.values.remove(key)))
}

pub(crate) fn compare_and_swap(
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    time_to_live: Option<u64>,
) -> Result<bool, Error> {
    checked(key, value)?;
    let is_expected = get(key)?.as_deref() == expected;
    if is_expected {
        set(key, value, time_to_live)?;
    }
    Ok(is_expected)
}

pub(crate) fn increment(key: &str, by: i64, time_to_live: Option<u64>) -> Result<i64, Error> {
    let value = get(key)?.unwrap_or_else(|| b"0".to_vec());
    let number: Option<i64> = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
    let number = number.ok_or_else(|| Error::Invalid(format!("the value of {key} is not a number")))?;
    let sum = number.checked_add(by).ok_or_else(|| Error::Invalid("the sum does not fit".to_owned()))?;
    kept(|state| {
        let former = state.values.get(key).and_then(|(_, end)| *end);
        state.set(key, sum.to_string().as_bytes(), end_of(time_to_live).or(former))
    })??;
    Ok(sum)
}

pub(crate) fn list_entries(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, Error> {
    if limit == 0 {
        return Err(Error::Invalid("a page has at least 1 entry, and the limit is 0".to_owned()));
    }
    if let Some(key) = [Some(prefix), after].into_iter().flatten().find(|key| key.len() > MAX_KEY_BYTES) {
        let length = key.len();
        return Err(Error::Invalid(format!(
            "a key has at most {MAX_KEY_BYTES} bytes, and prefix or after has {length}"
        )));
    }
    let is_listed = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(MAX_PAGE_ENTRIES);
    kept(|state| {
        let mut bytes = 0;
        let listed = state.values.iter().filter(|(key, _)| is_listed(key)).take(limit);
        let fitting = listed.enumerate().take_while(|(index, (key, (value, _)))| {
            bytes += key.len() + value.len();
            *index == 0 || bytes <= MAX_VALUE_BYTES
        });
        let entry = |(_, (key, (value, end))): (usize, (&String, &Kept))| Entry {
            key: key.clone(),
            value: value.clone(),
            time_to_live: end.map(|end| {
                let left = end.saturating_duration_since(Instant::now());
                u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
            }),
        };
        fitting.map(entry).collect()
    })
}

pub(crate) fn get_quota() -> Result<Quota, Error> {
    kept(|state| Quota {
        keys: count(state.values.len()),
        max_keys: state.max_keys,
        bytes: count(state.bytes()),
        max_bytes: state.max_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, host};

    /// Runs `work` in a harness whose plugin may keep two values and 1,000 bytes.
    fn within(work: impl FnOnce()) {
        host::enter(Harness::new().state_quota(2, 1000));
        work();
        host::leave();
    }

    #[test]
    fn keys_and_values_have_the_limits_of_the_host() {
        within(|| {
            assert!(matches!(set("", b"", None), Err(Error::Invalid(_))));
            assert!(matches!(get(&"k".repeat(513)), Err(Error::Invalid(_))));
            assert!(get(&"k".repeat(512)).is_ok());
            assert!(matches!(set("k", &vec![0; MAX_VALUE_BYTES + 1], None), Err(Error::TooLarge(_))));
            assert!(matches!(list_entries("", None, 0), Err(Error::Invalid(_))));
        });
    }

    #[test]
    fn a_value_that_exceeds_the_quota_is_refused_until_there_is_room() {
        within(|| {
            set("a", &[0; 500], None).unwrap();
            assert!(matches!(set("b", &[0; 500], None), Err(Error::Unavailable(_))));
            set("b", &[0; 100], None).unwrap();
            assert!(matches!(set("c", b"", None), Err(Error::Unavailable(_))));
            set("a", b"", None).unwrap();
            let quota = get_quota().unwrap();
            assert_eq!((quota.keys, quota.max_keys, quota.bytes, quota.max_bytes), (2, 2, 102, 1000));
            delete("a").unwrap();
            set("c", b"", None).unwrap();
        });
    }

    #[test]
    fn a_value_ends_with_its_time_to_live() {
        within(|| {
            set("gone", b"x", Some(0)).unwrap();
            set("kept", b"x", Some(3_600_000)).unwrap();
            assert_eq!(get("gone").unwrap(), None);
            let entries = list_entries("", None, 10).unwrap();
            assert_eq!(entries.len(), 1);
            assert!(entries[0].time_to_live.is_some_and(|left| left > 3_000_000));
        });
    }
}
