//! The same plugin in each language, as `cargo xtask languages` built it, does the same with the same ops.

mod beginning;
mod capabilities;
pub(crate) use capabilities::every_capability;
mod conformance;
mod documents;
mod failing;
mod growing;
mod interpreted;
mod settings;
mod swaps;
mod timers;
mod toolchains;

use std::io::Write;
use std::sync::{Arc, Mutex};

use bson::{Document, RawDocumentBuf};
use gtm_oplog::{Namespace, Op, Origin, Timestamp};
use gtm_runtime::{
    CallError, Effect, Engine, Failure, Filter, Grant, Handler, Limits, Plugin, PluginHandle, PluginSetup,
    Recorder, Services,
};
use gtm_test_support::languages::LANGUAGES;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::support::patient;

/// A test for each language, named `TEST::LANGUAGE`.
macro_rules! in_each_language {
    ($($test:ident),+) => {
        $(mod $test {
            $crate::languages::in_each_language!(@ $test: rust, js, ts, python, c, cpp, go, zig);
        })+
    };
    (@ $test:ident: $($language:ident),+) => {
        $(#[tokio::test]
        async fn $language() {
            if let Some(path) = $crate::languages::built(stringify!($language)) {
                super::$test(&path).await;
            }
        })+
    };
}
pub(crate) use in_each_language;

/// The plugin in this language. None: there is no toolchain for it here, which only a person's machine may lack.
pub(crate) fn built(language: &str) -> Option<std::path::PathBuf> {
    let path = LANGUAGES.iter().find(|one| one.name == language).unwrap().plugin();
    if path.exists() {
        return Some(path);
    }
    let missing = format!("{} is missing: cargo xtask languages {language} builds it", path.display());
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    std::io::stderr().write_all(format!("left out: {missing}\n").as_bytes()).unwrap();
    None
}

/// One at a time is compiled; after that, the cache has it.
static COMPILING: Mutex<()> = Mutex::new(());

fn load(path: &std::path::Path, setup: &PluginSetup) -> Plugin {
    let _one = COMPILING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let engine = Engine::new(&gtm_test_support::target_dir().join("testbed/cache")).unwrap();
    Plugin::load(&engine, path, setup).unwrap()
}

/// A plugin that may send mails, in the sandbox.
struct Running {
    filter: Filter,
    handler: Handler,
    said: Said,
    effects: Arc<Mutex<Vec<Effect>>>,
    _log: tracing::subscriber::DefaultGuard,
}

/// What it logs.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Running {
    fn new(path: &std::path::Path) -> Self {
        Self::with(path, |_| {}, None)
    }

    /// Services: none, and what it wants done is taken down; or these.
    fn with(path: &std::path::Path, set: impl FnOnce(&mut PluginSetup), services: Option<Services>) -> Self {
        let limits = Limits { recycle_calls: u32::MAX, ..patient() };
        let mut setup = PluginSetup::new("welcome", limits);
        setup.grants.add(Grant::parse("mail", None).unwrap());
        set(&mut setup);
        let effects = Arc::<Mutex<Vec<Effect>>>::default();
        let taken = Arc::clone(&effects);
        let recorder = Recorder::new(move |effect| taken.lock().unwrap().push(effect));
        let services = services.unwrap_or(Services { recorder: Some(recorder), ..Services::default() });
        let slot = PluginHandle::new(load(path, &setup), services);
        let said = Said::default();
        let log = tracing::subscriber::set_default(tracing_subscriber::registry().with(said.clone()));
        Self { filter: Filter::new(&slot), handler: Handler::new(&slot), said, effects, _log: log }
    }

    /// What it makes of a document that was inserted.
    async fn handle(&mut self, document: &Document) -> Result<Result<(), Failure>, CallError> {
        self.handle_bytes(Some(bytes(document))).await
    }

    async fn handle_bytes(&mut self, document: Option<Vec<u8>>) -> Result<Result<(), Failure>, CallError> {
        let op = insert("app", "users", document);
        assert!(self.filter.call(&op, 1).await.unwrap());
        self.said.0.lock().unwrap().clear();
        self.handler.call(&op, 1).await
    }

    /// Handles it, and all is well.
    async fn done(&mut self, document: &Document) {
        let outcome = self.handle(document).await;
        assert!(matches!(outcome, Ok(Ok(()))), "{outcome:?} of {:.200}", document.to_string());
    }

    /// Handles it, and gives back why it is rejected.
    async fn rejected(&mut self, document: &Document) -> String {
        match self.handle(document).await {
            Ok(Err(Failure::Reject { reason })) => reason,
            other => panic!("{document} should be rejected: {other:?}"),
        }
    }

    /// The lines that it logged for the last op.
    fn said(&self) -> Vec<String> {
        self.said.0.lock().unwrap().clone()
    }
}

impl<S: tracing::Subscriber> Layer<S> for Said {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Message<'a>(&'a mut Vec<String>);
        impl Visit for Message<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0.push(format!("{value:?}"));
                }
            }
        }
        if event.metadata().target() == "plugin" {
            event.record(&mut Message(&mut self.0.lock().unwrap()));
        }
    }
}

fn insert(database: &str, collection: &str, document: Option<Vec<u8>>) -> Op {
    let timestamp = Timestamp { time: 1_700_000_000, increment: 1 };
    let namespace = Arc::new(Namespace { database: database.into(), collection: collection.into() });
    let key = Some(bytes(&bson::doc! { "_id": 1 }).into());
    let mut op = Op::from_document(Origin::Oplog, timestamp, namespace, key, Vec::new().into());
    op.full_document = document.map(Into::into);
    op
}

fn bytes(document: &Document) -> Vec<u8> {
    RawDocumentBuf::try_from(document).unwrap().into_bytes()
}
