//! The numbers that a plugin counts itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Names of each kind that a plugin may use. More would make a monitoring system slow.
const NAMES: usize = 100;
/// Bytes of a name.
const LONGEST: usize = 100;
/// Upper bounds of the buckets of a histogram; the last one holds the rest.
const BUCKETS: [f64; 21] = [
    0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384,
    32.768, 65.536, 131.072, 262.144, 524.288, 1048.576,
];

/// The numbers of one plugin, over all its instances and versions.
#[derive(Debug, Default)]
pub(super) struct Metrics(Mutex<(PluginMetrics, bool)>);

/// The numbers that a plugin counts itself, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PluginMetrics {
    /// What it counted.
    pub counters: BTreeMap<String, u64>,
    /// What it set.
    pub gauges: BTreeMap<String, f64>,
    /// How what it recorded is distributed.
    pub histograms: BTreeMap<String, Histogram>,
}

/// How values are distributed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Their sum.
    pub sum: f64,
    /// How many there are.
    pub count: u64,
    /// How many are in each bucket, by its upper bound; those beyond the last bound are in none.
    pub buckets: Vec<(f64, u64)>,
}

impl PluginMetrics {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty() && self.gauges.is_empty() && self.histograms.is_empty()
    }
}

/// A number that is not kept, said for the first time.
pub(super) struct NotKept;

impl Metrics {
    pub(super) fn count(&self, name: &str, by: u64) -> Result<(), NotKept> {
        self.with(name, |metrics| &mut metrics.counters, |counter| *counter = counter.saturating_add(by))
    }

    pub(super) fn gauge(&self, name: &str, value: f64) -> Result<(), NotKept> {
        self.with(name, |metrics| &mut metrics.gauges, |gauge| *gauge = value)
    }

    pub(super) fn record(&self, name: &str, value: f64) -> Result<(), NotKept> {
        self.with(
            name,
            |metrics| &mut metrics.histograms,
            |histogram| {
                if histogram.buckets.is_empty() {
                    histogram.buckets = BUCKETS.iter().map(|bound| (*bound, 0)).collect();
                }
                histogram.sum += value;
                histogram.count += 1;
                if let Some((_, count)) = histogram.buckets.iter_mut().find(|(bound, _)| value <= *bound) {
                    *count += 1;
                }
            },
        )
    }

    fn with<T: Default>(
        &self,
        name: &str,
        of: impl FnOnce(&mut PluginMetrics) -> &mut BTreeMap<String, T>,
        change: impl FnOnce(&mut T),
    ) -> Result<(), NotKept> {
        let mut metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (metrics, said) = &mut *metrics;
        let of = of(metrics);
        if let Some(one) = of.get_mut(name) {
            change(one);
            return Ok(());
        }
        if name.is_empty() || name.len() > LONGEST || of.len() >= NAMES {
            return if std::mem::replace(said, true) { Ok(()) } else { Err(NotKept) };
        }
        change(of.entry(name.to_owned()).or_default());
        Ok(())
    }

    pub(super) fn all(&self) -> PluginMetrics {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_by_name_and_not_without_bound() {
        let metrics = Metrics::default();
        for _ in 0..2 {
            assert!(metrics.count("seen", 3).is_ok());
            assert!(metrics.gauge("level", 0.5).is_ok());
            assert!(metrics.record("seconds", 0.003).is_ok() && metrics.record("seconds", 1e9).is_ok());
        }
        let all = metrics.all();
        assert_eq!((all.counters["seen"], all.gauges["level"]), (6, 0.5));
        let seconds = &all.histograms["seconds"];
        assert_eq!((seconds.count, seconds.buckets[2]), (4, (0.004, 2)));
        assert_eq!(seconds.buckets.iter().map(|(_, count)| count).sum::<u64>(), 2);

        (1..NAMES).for_each(|n| assert!(metrics.count(&n.to_string(), 1).is_ok()));
        assert!(metrics.count("one more", 1).is_err());
        assert!(metrics.gauge("", 1.0).is_ok(), "it is said once");
        assert_eq!(metrics.all().counters.len(), NAMES);
        assert!(metrics.count("seen", 1).is_ok());
    }
}
