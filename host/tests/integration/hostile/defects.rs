//! Defects of the host itself: a host function that panics is one failed call of the plugin that called it, and nothing more.
//!
//! What panics on purpose is handed in from here: who takes down effects, and who takes down lines of the log.

use std::time::Duration;

use bson::{Document, Timestamp, doc};
use gtm_delivery::{BreakerPolicy, DeliveryPolicy, DeliverySettings, Replayed, RetryPolicy, replay};
use gtm_oplog::{Op, Selection};
use gtm_runtime::{
    CallError, Engine, Filter, Grants, Handler, Plugin, PluginHandle, PluginSetup, Recorder, Services,
};
use gtm_source::{FileOptions, FileSource};
use gtm_store::Store;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tracing::{Event, Metadata, Subscriber, span};

use crate::support::patient;

const PANIC: &str = "a host function panicked on purpose";

fn slot(name: &str, services: Services) -> PluginHandle {
    let engine = Engine::new(&gtm_test_support::target_dir().join("testbed/cache")).unwrap();
    let setup = PluginSetup { grants: Grants::everything(), ..PluginSetup::new(name, patient()) };
    PluginHandle::new(Plugin::load(&engine, &gtm_test_support::plugin(name), &setup).unwrap(), services)
}

/// A file with an insert of each of these documents into `a.errands`.
pub fn inserts(documents: &[Document]) -> (TempDir, FileSource) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("oplog.bson");
    let entries = documents.iter().zip(1_u32..).flat_map(|(document, increment)| {
        let ts = Timestamp { time: 1_700_000_000, increment };
        bson::serialize_to_vec(&doc! { "op": "i", "ns": "a.errands", "o": document, "ts": ts }).unwrap()
    });
    std::fs::write(&file, entries.collect::<Vec<_>>()).unwrap();
    let files = FileSource::open(vec![file], Selection::everything(), FileOptions::default()).unwrap();
    (directory, files)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_host_is_one_failed_call_and_the_pipelines_go_on() {
    let recorder = Recorder::new(|_| panic!("{PANIC}"));
    let errand = slot("errand", Services { recorder: Some(recorder), ..Services::default() });
    let beside = slot("print_ops", Services::default());
    let request = doc! { "do": "http", "url": "https://api.example.com/" };
    let documents = [
        doc! { "_id": 1, "do": "count" },
        // By the one entrance and by the other: there, what panics is a task of its own.
        request.clone().into_iter().chain(doc! { "_id": 2 }).collect(),
        request.into_iter().chain(doc! { "_id": 3, "by_wasi": true }).collect(),
        doc! { "_id": 4, "do": "count" },
    ];
    let (_directory, mut files) = inserts(&documents);
    let policy = DeliveryPolicy {
        delivery: DeliverySettings::default(),
        retry: RetryPolicy { max_attempts: 1, ..RetryPolicy::default() },
        breaker: BreakerPolicy::default(),
    };
    let plugins = vec![(errand.clone(), policy), (beside, policy)];
    let (store, shutdown) = (Store::none(), CancellationToken::new());
    let Replayed { plugins, worked, .. } =
        replay(&mut files, plugins, &store, "defects", &shutdown, Duration::ZERO, |_| {}).await;
    worked.unwrap();
    let counts: Vec<_> = plugins.iter().map(|(name, all)| (name.as_str(), all.handled, all.failed)).collect();
    assert_eq!(counts, [("errand", 2, 2), ("print_ops", 4, 0)]);
    assert_eq!(errand.usage().traps.trapped, 2);
}

/// Panics where a line of a plugin is logged.
struct NoLog;

impl Subscriber for NoLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "plugin"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {
        panic!("{PANIC}");
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn a_panic_of_the_host_is_one_failed_call_of_filter_and_of_handle() {
    let errand = slot("errand", Services::default());
    let (mut filter, mut handler) = (Filter::new(&errand), Handler::new(&errand));
    let (_directory, mut files) =
        inserts(&[doc! { "_id": 1, "do": "count", "in_filter": true }, doc! { "_id": 2, "do": "count" }]);
    let ops = files.next().await.unwrap().unwrap().ops;
    let [logs_in_filter, logs_in_handle]: [Op; 2] = ops.try_into().unwrap();
    let defect = |call| CallError::Defect { call, reason: PANIC.to_owned() };
    let silent = tracing::subscriber::set_default(NoLog);
    assert_eq!(filter.call(&logs_in_filter, 1).await, Err(defect("filter")));
    assert_eq!(filter.call(&logs_in_handle, 1).await, Ok(true));
    assert_eq!(handler.call(&logs_in_handle, 1).await.unwrap_err(), defect("handle"));
    drop(silent);
    assert_eq!(filter.call(&logs_in_filter, 1).await, Ok(false));
    assert!(handler.call(&logs_in_handle, 1).await.unwrap().is_ok());
}
