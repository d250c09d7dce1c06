//! The metrics that a plugin records.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use serde::{Deserialize, Deserializer, Serialize};

/// Names of each kind of metric that a plugin may use. More would slow a monitoring system down.
pub(crate) const MAX_NAMES: usize = 100;
/// Bytes of the name of a metric.
pub(crate) const MAX_NAME_BYTES: usize = 100;
/// The upper bounds of the buckets of a histogram.
const BUCKET_BOUNDS: [f64; 21] = [
    0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384,
    32.768, 65.536, 131.072, 262.144, 524.288, 1048.576,
];

/// The metrics of one plugin, over all its instances and versions.
#[derive(Debug, Default)]
pub(super) struct PluginMetricStore(Mutex<MetricValues>);

#[derive(Debug, Default)]
struct MetricValues {
    metrics: PluginMetrics,
    /// The reasons that were returned already.
    said: Vec<MetricRefusal>,
}

/// The metrics that a plugin records, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PluginMetrics {
    /// Its counters.
    pub counters: BTreeMap<String, u64>,
    /// Its gauges: finite numbers only, as JSON has no others.
    #[serde(deserialize_with = "finite")]
    pub gauges: BTreeMap<String, f64>,
    /// Its histograms.
    pub histograms: BTreeMap<String, Histogram>,
}

/// A distribution of values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// The sum of the values.
    #[serde(deserialize_with = "sum")]
    pub sum: f64,
    /// The number of values.
    pub count: u64,
    /// The number of values in each bucket, by its upper bound. Values over the last bound are in no bucket.
    pub buckets: Vec<(f64, u64)>,
}

impl PluginMetrics {
    /// Returns whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty() && self.gauges.is_empty() && self.histograms.is_empty()
    }
}

/// Reads gauges, and leaves out those that an older host wrote as null because they were not finite.
fn finite<'de, D: Deserializer<'de>>(gauges: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let all = BTreeMap::<String, Option<f64>>::deserialize(gauges)?;
    Ok(all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

/// Reads a sum, which an older host wrote as null if it was not finite.
fn sum<'de, D: Deserializer<'de>>(sum: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(sum)?.unwrap_or(f64::NAN))
}

/// Why a value is not recorded. Each reason is returned once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricRefusal {
    /// The name is empty or too long, or there are too many names.
    Name,
    /// The value, or the sum with it, is not a finite number.
    NotFinite,
}

impl PluginMetricStore {
    pub(super) fn count(&self, name: &str, by: u64) -> Result<(), MetricRefusal> {
        self.with(
            name,
            |metrics| &mut metrics.counters,
            |counter| {
                *counter = counter.saturating_add(by);
                Ok(())
            },
        )
    }

    pub(super) fn gauge(&self, name: &str, value: f64) -> Result<(), MetricRefusal> {
        self.with(
            name,
            |metrics| &mut metrics.gauges,
            |gauge| {
                *gauge = is_finite(value)?;
                Ok(())
            },
        )
    }

    pub(super) fn record(&self, name: &str, value: f64) -> Result<(), MetricRefusal> {
        self.with(name, |metrics| &mut metrics.histograms, |histogram| histogram.record(value))
    }

    /// Changes the metric with this name. A refused value leaves no name behind.
    fn with<T: Default>(
        &self,
        name: &str,
        of: impl FnOnce(&mut PluginMetrics) -> &mut BTreeMap<String, T>,
        change: impl FnOnce(&mut T) -> Result<(), MetricRefusal>,
    ) -> Result<(), MetricRefusal> {
        let mut kept = self.0.lock();
        let of = of(&mut kept.metrics);
        let is_room = of.len() < MAX_NAMES && !name.is_empty() && name.len() <= MAX_NAME_BYTES;
        let changed = match of.get_mut(name) {
            Some(one) => change(one),
            None if !is_room => Err(MetricRefusal::Name),
            None => {
                let mut one = T::default();
                change(&mut one).map(|()| drop(of.insert(name.to_owned(), one)))
            }
        };
        match changed {
            Err(why) if !kept.said.contains(&why) => {
                kept.said.push(why);
                Err(why)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn all(&self) -> PluginMetrics {
        self.0.lock().metrics.clone()
    }
}

impl Histogram {
    fn record(&mut self, value: f64) -> Result<(), MetricRefusal> {
        let sum = is_finite(self.sum + is_finite(value)?)?;
        if self.buckets.is_empty() {
            self.buckets = BUCKET_BOUNDS.iter().map(|bound| (*bound, 0)).collect();
        }
        self.sum = sum;
        self.count += 1;
        if let Some((_, count)) = self.buckets.iter_mut().find(|(bound, _)| value <= *bound) {
            *count += 1;
        }
        Ok(())
    }
}

fn is_finite(value: f64) -> Result<f64, MetricRefusal> {
    if value.is_finite() { Ok(value) } else { Err(MetricRefusal::NotFinite) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_recorded_by_name_up_to_a_limit() {
        let metrics = PluginMetricStore::default();
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

        (1..MAX_NAMES).for_each(|n| assert!(metrics.count(&n.to_string(), 1).is_ok()));
        assert!(metrics.count("one more", 1).is_err());
        assert!(metrics.gauge("", 1.0).is_ok(), "it is said once");
        assert_eq!(metrics.all().counters.len(), MAX_NAMES);
        assert!(metrics.count("seen", 1).is_ok());
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        let metrics = PluginMetricStore::default();
        metrics.gauge("level", 0.5).ok();
        assert_eq!(metrics.gauge("level", f64::NAN), Err(MetricRefusal::NotFinite));
        assert_eq!(metrics.gauge("other", f64::INFINITY), Ok(()), "it is said once");
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(metrics.record("seconds", value), Ok(()));
        }
        // Two finite numbers whose sum is not.
        (0..2).for_each(|_| assert_eq!(metrics.record("large", f64::MAX), Ok(())));
        let all = metrics.all();
        assert_eq!((all.gauges.len(), all.gauges["level"]), (1, 0.5));
        assert_eq!(all.histograms.keys().collect::<Vec<_>>(), ["large"]);
        assert_eq!((all.histograms["large"].count, all.histograms["large"].sum), (1, f64::MAX));
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<PluginMetrics>(&text).unwrap(), all);
    }

    #[test]
    fn null_values_of_an_older_host_are_read() {
        let text = r#"{"counters":{},"gauges":{"a":null,"b":1.5},"histograms":{"c":{"sum":null,"count":1,"buckets":[]}}}"#;
        let read: PluginMetrics = serde_json::from_str(text).unwrap();
        assert_eq!(read.gauges, BTreeMap::from([("b".to_owned(), 1.5)]));
        assert!(read.histograms["c"].sum.is_nan());
    }
}
