//! The metrics of a host for Prometheus.
//!
//! They come from the same values as `/status`, at the time of the request: nothing is counted twice.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use gtm_delivery::{HostActivity, HostControl, HostStatus, PluginState, PluginStatus, Summary};
use gtm_mongo::SourceState;
use gtm_runtime::{ConnectionCounts, FilterStatus, Histogram, PluginMetrics, SentCounts, TrapCounts};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::process::{ProcessUsage, seconds};
use super::text_format::TextFormat;

/// The metrics of a host and its process.
#[derive(Debug)]
pub(super) struct HostMetrics(Registry);

impl HostMetrics {
    pub(super) fn new(control: HostControl) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(HostCollector(control)));
        registry.register_collector(Box::new(OwnProcess { started: seconds(SystemTime::now()) }));
        Self(registry)
    }

    /// Returns all metrics in this format.
    ///
    /// # Errors
    /// Fails only by a defect.
    pub(super) fn text(&self, format: TextFormat) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0)?;
        Ok(format.of(text))
    }
}

#[derive(Debug)]
struct HostCollector(HostControl);

impl Collector for HostCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.0.status();
        let encoder = &mut encoder;
        host(encoder, &status)?;
        source(encoder, &status)?;
        states(encoder, &status.plugins)?;
        done(encoder, &status.plugins)?;
        timers(encoder, &status.plugins)?;
        waiting(encoder, &status.plugins)?;
        calls(encoder, &status.plugins)?;
        filters(encoder, &status.plugins)?;
        reached(encoder, &status.plugins)?;
        own(encoder, &status.plugins)
    }
}

#[derive(Debug)]
struct OwnProcess {
    started: f64,
}

impl Collector for OwnProcess {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let usage = ProcessUsage::now();
        if let Some(seconds) = usage.cpu_seconds {
            let help = "User and system CPU time of the process.";
            let mut family =
                encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
            family.encode_counter::<NoLabelSet, f64, u64>(&seconds, None)?;
        }
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory of the process.", usage.resident_bytes),
            ("process_virtual_memory_bytes", "Virtual memory of the process.", usage.virtual_bytes),
            ("process_threads", "Threads of the process.", usage.threads),
            ("process_open_fds", "Open file descriptors of the process.", usage.open_files),
            ("process_max_fds", "File descriptors that the process may open.", usage.max_files),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
            }
        }
        let help = "When the process started, in seconds since 1970.";
        encoder
            .encode_descriptor("process_start_time_seconds", help, None, MetricType::Gauge)?
            .encode_gauge(&self.started)
    }
}

fn host(encoder: &mut DescriptorEncoder<'_>, status: &HostStatus) -> fmt::Result {
    let version = vec![("version", env!("CARGO_PKG_VERSION"))];
    infos(encoder, "gtm_host_build", "This program", [version].into_iter())?;
    let standings = HostActivity::ALL.iter().map(|standing| {
        let is_so = *standing == status.standing;
        (vec![("standing", standing.name())], u64::from(is_so))
    });
    gauges(encoder, "gtm_host_standing", "1 for the standing of the host, 0 for the others", standings)
}

fn source(encoder: &mut DescriptorEncoder<'_>, status: &HostStatus) -> fmt::Result {
    let Some(source) = &status.source else { return Ok(()) };
    let connected = u64::from(source.state == SourceState::Connected);
    let help = "1 if the source answers, 0 if it does not";
    gauges(encoder, "gtm_host_source_connected", help, [(Labels::new(), connected)].into_iter())?;
    let newest = source.newest_seconds.map(|newest| (Labels::new(), newest));
    let help = "The time of the newest known change of the source, in seconds since 1970";
    gauges(encoder, "gtm_host_source_newest_timestamp_seconds", help, newest.into_iter())
}

fn states(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    let versions = plugins
        .iter()
        .map(|plugin| vec![("plugin", plugin.plugin.as_str()), ("version", plugin.version.as_str())]);
    infos(encoder, "gtm_host_plugin", "The version of a plugin", versions)?;
    let states = plugins.iter().flat_map(|plugin| {
        PluginState::ALL.iter().map(|state| {
            let is_so = *state == plugin.state;
            (vec![("plugin", plugin.plugin.as_str()), ("state", state.name())], u64::from(is_so))
        })
    });
    gauges(encoder, "gtm_host_plugin_state", "1 for the state of the plugin, 0 for the others", states)
}

fn done(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    let outcomes = plugins.iter().flat_map(|plugin| {
        let Summary { unwanted, handled, rejected, failed, unknown, .. } = plugin.counts;
        [
            ("handled", handled),
            ("unwanted", unwanted),
            ("rejected", rejected),
            ("failed", failed),
            ("unknown", unknown),
        ]
        .map(|(outcome, count)| (vec![("plugin", plugin.plugin.as_str()), ("outcome", outcome)], count))
    });
    counters(encoder, "gtm_host_ops", "Ops that are done, by outcome", outcomes)?;
    let attempts = each(plugins, |plugin| plugin.counts.attempts);
    counters(encoder, "gtm_host_attempts", "Attempts to handle an op", attempts)?;
    let retries = each(plugins, |plugin| plugin.counts.retries);
    counters(encoder, "gtm_host_retries", "Attempts after the first", retries)?;
    let letters = each(plugins, |plugin| plugin.dead_letters);
    counters(encoder, "gtm_host_dead_letters", "Ops that became dead letters", letters)
}

fn timers(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    let all = || plugins.iter().flat_map(|plugin| plugin.timers.iter().map(move |timer| (plugin, timer)));
    let ticks = all().flat_map(|(plugin, timer)| {
        let outcomes = [("handled", timer.handled), ("rejected", timer.rejected), ("failed", timer.failed)];
        outcomes.map(|(outcome, count)| {
            let mut labels = with(plugin, "timer", &timer.timer);
            labels.push(("outcome", outcome));
            (labels, count)
        })
    });
    counters(encoder, "gtm_host_ticks", "Ticks of timers that are done, by outcome", ticks)?;
    let next = all().map(|(plugin, timer)| (with(plugin, "timer", &timer.timer), timer.next_seconds));
    let help = "The time of the next tick, or of the one that is being delivered, in seconds since 1970";
    gauges(encoder, "gtm_host_next_tick_timestamp_seconds", help, next.filter_map(known))?;
    let last = all().map(|(plugin, timer)| (with(plugin, "timer", &timer.timer), timer.last_seconds));
    let help = "The time of the last tick that is done, in seconds since 1970";
    gauges(encoder, "gtm_host_last_tick_timestamp_seconds", help, last.filter_map(known))
}

fn waiting(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    let ops = each(plugins, |plugin| plugin.queued_ops);
    gauges(encoder, "gtm_host_queued_ops", "Ops that were read and are not done", ops)?;
    let bytes = each(plugins, |plugin| plugin.queued_bytes);
    gauges(encoder, "gtm_host_queued_bytes", "The bytes of ops that were read and are not done", bytes)?;
    let lag = each(plugins, |plugin| plugin.lag_seconds).filter_map(known);
    let help = "The age of the first change that is not done, in seconds";
    gauges(encoder, "gtm_host_lag_seconds", help, lag)?;
    let age = each(plugins, |plugin| plugin.checkpoint_age_seconds).filter_map(known);
    let help = "The time for which the stored checkpoint has been behind the position, in seconds";
    gauges(encoder, "gtm_host_checkpoint_age_seconds", help, age)?;
    let error = each(plugins, |plugin| plugin.last_error_seconds).filter_map(known);
    let help = "The time of the last error, in seconds since 1970";
    gauges(encoder, "gtm_host_last_error_timestamp_seconds", help, error)?;
    let position = each(plugins, |plugin| plugin.position_seconds).filter_map(known);
    let help = "The time up to which everything is done, in seconds since 1970";
    gauges(encoder, "gtm_host_position_timestamp_seconds", help, position)
}

fn calls(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    let filter = plugins.iter().map(|plugin| (of(plugin), &plugin.usage.filter_seconds));
    let help = "The duration of calls of filter, each for one op or several";
    histograms(encoder, "gtm_host_filter_duration_seconds", help, filter)?;
    let handle = plugins.iter().map(|plugin| (of(plugin), &plugin.usage.handle_seconds));
    let help = "The duration of calls of handle, each for one op or several";
    histograms(encoder, "gtm_host_handle_duration_seconds", help, handle)?;
    let traps = plugins.iter().flat_map(|plugin| {
        let TrapCounts { trapped, timed_out, out_of_memory } = plugin.usage.traps;
        [("trap", trapped), ("timeout", timed_out), ("memory", out_of_memory)]
            .map(|(reason, count)| (with(plugin, "reason", reason), count))
    });
    counters(encoder, "gtm_host_traps", "Calls that ended their instance, by reason", traps)?;
    let restarts = each(plugins, |plugin| plugin.usage.instance_restarts);
    let help = "Instances that replaced another one: after a trap, for a new version, or after long use";
    counters(encoder, "gtm_host_instance_restarts", help, restarts)?;
    let lines = each(plugins, |plugin| plugin.usage.log_lines_left_out);
    let help = "Log lines of a plugin that were left out, because they exceed its limit";
    counters(encoder, "gtm_host_log_lines_left_out", help, lines)?;
    let bytes = each(plugins, |plugin| plugin.usage.log_bytes_left_out);
    counters(encoder, "gtm_host_log_bytes_left_out", "Bytes of these lines", bytes)
}

/// Encodes what the filters before a plugin's own filter did for it.
fn filters(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    fn with_filter<'a>(plugin: &'a PluginStatus, filter: &'a FilterStatus) -> Labels<'a> {
        with(plugin, "filter", &filter.filter)
    }
    let all = || plugins.iter().flat_map(|plugin| plugin.filters.iter().map(move |filter| (plugin, filter)));
    let ops = all().flat_map(|(plugin, filter)| {
        [("passed", filter.passed), ("refused", filter.refused), ("failed", filter.failed)].map(
            |(outcome, count)| {
                let mut labels = with_filter(plugin, filter);
                labels.push(("outcome", outcome));
                (labels, count)
            },
        )
    });
    let help = "Ops that a filter in the chain of a plugin decided, by outcome";
    counters(encoder, "gtm_host_chain_ops", help, ops)?;
    let calls = all().map(|(plugin, filter)| (with_filter(plugin, filter), filter.calls));
    let help = "Calls of a filter in the chain of a plugin, each for one op or several";
    counters(encoder, "gtm_host_chain_calls", help, calls)?;
    let seconds = all().map(|(plugin, filter)| (with_filter(plugin, filter), filter.seconds));
    counters(encoder, "gtm_host_chain_seconds", "The duration of these calls", seconds)
}

fn reached(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    fn sent<'a>(
        plugins: &'a [PluginStatus],
        of: impl Fn(&PluginStatus) -> SentCounts + 'a,
    ) -> impl Iterator<Item = (Labels<'a>, u64)> + 'a {
        plugins.iter().flat_map(move |plugin| {
            let SentCounts { sent, failed } = of(plugin);
            [("sent", sent), ("failed", failed)]
                .map(|(outcome, count)| (with(plugin, "outcome", outcome), count))
        })
    }
    let mails = sent(plugins, |plugin| plugin.usage.mails);
    counters(encoder, "gtm_host_mails", "E-mails, by outcome", mails)?;
    let requests = sent(plugins, |plugin| plugin.usage.requests);
    let help = "HTTP requests of plugins, by outcome";
    counters(encoder, "gtm_host_http_requests", help, requests)?;
    let connections = plugins.iter().flat_map(|plugin| {
        let ConnectionCounts { made, failed } = plugin.usage.connections;
        [("made", made), ("failed", failed)].map(|(outcome, count)| (with(plugin, "outcome", outcome), count))
    });
    let help = "TCP connections of plugins, by outcome";
    counters(encoder, "gtm_host_tcp_connections", help, connections)
}

/// Encodes the plugins' own metrics. Their name is a label, because two plugins may use one name for different things.
fn own(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    let mut all: BTreeMap<&str, &PluginMetrics> = BTreeMap::new();
    for plugin in plugins {
        all.insert(&plugin.plugin, &plugin.metrics);
        // Plugins share filters, whose names differ from those of plugins.
        all.extend(plugin.filters.iter().map(|filter| (filter.filter.as_str(), &filter.metrics)));
    }
    fn named<'a>(plugin: &'a str, name: &'a str) -> Labels<'a> {
        vec![("plugin", plugin), ("name", name)]
    }
    let counted = all.iter().flat_map(|(plugin, metrics)| {
        metrics.counters.iter().map(|(name, value)| (named(plugin, name), *value))
    });
    counters(encoder, "gtm_plugin_counted", "A counter of the plugin", counted)?;
    let values = all.iter().flat_map(|(plugin, metrics)| {
        metrics.gauges.iter().map(|(name, value)| (named(plugin, name), *value))
    });
    gauges(encoder, "gtm_plugin_value", "A gauge of the plugin", values)?;
    let recorded = all.iter().flat_map(|(plugin, metrics)| {
        metrics.histograms.iter().map(|(name, values)| (named(plugin, name), values))
    });
    histograms(encoder, "gtm_plugin_recorded", "A histogram of the plugin", recorded)
}

type Labels<'a> = Vec<(&'a str, &'a str)>;

fn of(plugin: &PluginStatus) -> Labels<'_> {
    vec![("plugin", &plugin.plugin)]
}

fn with<'a>(plugin: &'a PluginStatus, label: &'a str, value: &'a str) -> Labels<'a> {
    vec![("plugin", &plugin.plugin), (label, value)]
}

/// Returns one value of each plugin.
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
        match labels.is_empty() {
            true => family.encode_gauge(&value)?,
            false => family.encode_family(&labels)?.encode_gauge(&value)?,
        }
    }
    Ok(())
}

fn histograms<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (Labels<'a>, &'a Histogram)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (labels, Histogram { sum, count, buckets }) in samples {
        // Those beyond the last bound.
        let rest = count.saturating_sub(buckets.iter().map(|(_, count)| count).sum());
        let buckets: Vec<_> = buckets.iter().copied().chain([(f64::INFINITY, rest)]).collect();
        family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(*sum, *count, &buckets, None)?;
    }
    Ok(())
}

/// Encodes counters. Prometheus gets the `name` with `_total` after it.
fn counters<'a, T: EncodeCounterValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (Labels<'a>, T)>,
) -> fmt::Result {
    let mut family: MetricEncoder<'_> = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in samples {
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
    }
    Ok(())
}

/// Encodes infos. Prometheus gets the `name` with `_info` after it.
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
