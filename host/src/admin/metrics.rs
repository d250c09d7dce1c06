//! What a host does, as Prometheus reads it.
//!
//! The numbers are those of `/status` at the moment they are asked for: nothing is counted twice.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::delivery::{Control, HostStatus, PluginState, PluginStatus, Standing, Summary};

/// What a host does.
#[derive(Debug)]
pub(super) struct Metrics(Registry);

impl Metrics {
    pub(super) fn new(control: Control) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Host(control)));
        Self(registry)
    }

    /// All of it, in the text form of OpenMetrics.
    ///
    /// # Errors
    /// A defect.
    pub(super) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

#[derive(Debug)]
struct Host(Control);

impl Collector for Host {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.0.status();
        let encoder = &mut encoder;
        host(encoder, &status)?;
        states(encoder, &status.plugins)?;
        done(encoder, &status.plugins)?;
        waiting(encoder, &status.plugins)?;
        own(encoder, &status.plugins)
    }
}

fn host(encoder: &mut DescriptorEncoder<'_>, status: &HostStatus) -> fmt::Result {
    let version = vec![("version", env!("CARGO_PKG_VERSION"))];
    infos(encoder, "gtm_host_build", "This program", [version].into_iter())?;
    let standings = Standing::ALL.iter().map(|standing| {
        let is_so = *standing == status.standing;
        (vec![("standing", standing.name())], u64::from(is_so))
    });
    gauges(encoder, "gtm_host_standing", "1 for what the host is about, 0 for the rest", standings)
}

fn states(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    let versions = plugins
        .iter()
        .map(|plugin| vec![("plugin", plugin.plugin.as_str()), ("version", plugin.version.as_str())]);
    infos(encoder, "gtm_host_plugin", "A plugin, and its version", versions)?;
    let states = plugins.iter().flat_map(|plugin| {
        PluginState::ALL.iter().map(|state| {
            let is_so = *state == plugin.state;
            (vec![("plugin", plugin.plugin.as_str()), ("state", state.name())], u64::from(is_so))
        })
    });
    gauges(encoder, "gtm_host_plugin_state", "1 for the state that the plugin is in, 0 for the rest", states)
}

fn done(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    let outcomes = plugins.iter().flat_map(|plugin| {
        let Summary { unwanted, handled, rejected, failed, .. } = plugin.counts;
        [("handled", handled), ("unwanted", unwanted), ("rejected", rejected), ("failed", failed)]
            .map(|(outcome, count)| (vec![("plugin", plugin.plugin.as_str()), ("outcome", outcome)], count))
    });
    counters(encoder, "gtm_host_ops", "Ops that are done, by what became of them", outcomes)?;
    let retries = each(plugins, |plugin| plugin.counts.retries);
    counters(encoder, "gtm_host_retries", "Attempts after the first", retries)?;
    let letters = each(plugins, |plugin| plugin.dead_letters);
    counters(encoder, "gtm_host_dead_letters", "Ops that were put among the dead letters", letters)
}

fn waiting(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    let ops = each(plugins, |plugin| plugin.queued_ops);
    gauges(encoder, "gtm_host_queued_ops", "Ops that were read and are not done", ops)?;
    let bytes = each(plugins, |plugin| plugin.queued_bytes);
    gauges(encoder, "gtm_host_queued_bytes", "The memory that ops which are not done hold", bytes)?;
    let lag = each(plugins, |plugin| plugin.lag_seconds).filter_map(known);
    gauges(encoder, "gtm_host_lag_seconds", "How old the oldest op is that is not done", lag)?;
    let position = each(plugins, |plugin| plugin.position_seconds).filter_map(known);
    let help = "When the last change was made up to which all is done, since 1970";
    gauges(encoder, "gtm_host_position_timestamp_seconds", help, position)
}

/// What plugins count themselves. The name is a label: two plugins may mean different things by it.
fn own(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    fn labels<'a>(plugin: &'a PluginStatus, name: &'a str) -> Labels<'a> {
        vec![("plugin", &plugin.plugin), ("name", name)]
    }
    let all = plugins.iter().flat_map(|plugin| {
        plugin.metrics.counters.iter().map(move |(name, value)| (labels(plugin, name), *value))
    });
    counters(encoder, "gtm_plugin_counter", "What a plugin counts itself", all)?;
    let all = plugins.iter().flat_map(|plugin| {
        plugin.metrics.gauges.iter().map(move |(name, value)| (labels(plugin, name), *value))
    });
    gauges(encoder, "gtm_plugin_gauge", "What a plugin sets itself", all)?;
    let help = "What a plugin records itself";
    let mut family = encoder.encode_descriptor("gtm_plugin_histogram", help, None, MetricType::Histogram)?;
    for plugin in plugins {
        for (name, histogram) in &plugin.metrics.histograms {
            let rest = histogram.count - histogram.buckets.iter().map(|(_, count)| count).sum::<u64>();
            let buckets: Vec<_> = histogram.buckets.iter().copied().chain([(f64::MAX, rest)]).collect();
            family.encode_family(&labels(plugin, name))?.encode_histogram::<NoLabelSet>(
                histogram.sum,
                histogram.count,
                &buckets,
                None,
            )?;
        }
    }
    Ok(())
}

type Labels<'a> = Vec<(&'a str, &'a str)>;

/// One value of each plugin.
fn each<'a, T>(
    plugins: &'a [PluginStatus],
    value: impl Fn(&PluginStatus) -> T + 'a,
) -> impl Iterator<Item = (Labels<'a>, T)> + 'a {
    plugins.iter().map(move |plugin| (vec![("plugin", plugin.plugin.as_str())], value(plugin)))
}

fn known<L, T>((labels, value): (L, Option<T>)) -> Option<(L, T)> {
    value.map(|value| (labels, value))
}

fn gauges<'a, T: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (Labels<'a>, T)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in samples {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

/// Prometheus gets the `name` with `_total` after it.
fn counters<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (Labels<'a>, u64)>,
) -> fmt::Result {
    let mut family: MetricEncoder<'_> = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in samples {
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
    }
    Ok(())
}

/// Prometheus gets the `name` with `_info` after it.
fn infos<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = Labels<'a>>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Info)?;
    for labels in samples {
        family.encode_info(&labels)?;
    }
    Ok(())
}
