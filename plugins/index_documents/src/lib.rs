//! Keeps a search index in step with collections: each document that is inserted, changed or removed is so in Solr, Elasticsearch
//! or OpenSearch too, many at once.
//!
//! The settings are in `README.md`.

mod action;
mod bulk;
mod date;
mod elasticsearch;
mod id;
mod json;
mod rename;
mod settings;
mod solr;

use gtm_plugin::{
    BatchPlugin, Config, ConfigError, Failure, Op, OperationType, Outcome, Subscription, metrics, plugin,
};

use action::{Action, Collection, One};
use settings::{DeclaredSettings, Engine, Settings};

const OPERATIONS: [OperationType; 5] = [
    OperationType::Insert,
    OperationType::Update,
    OperationType::Replace,
    OperationType::Delete,
    OperationType::Drop,
];

#[plugin(batch, settings = DeclaredSettings)]
struct IndexDocuments {
    settings: Settings,
}

impl BatchPlugin for IndexDocuments {
    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { settings: Settings::new(&config)? })
    }

    /// A collection of any name may be renamed to one that is indexed.
    fn subscriptions(&self) -> Option<Vec<Subscription>> {
        let mut subscriptions = self.settings.selection.subscriptions_to(&OPERATIONS);
        subscriptions.push(Subscription::new("*").operations([OperationType::Rename]));
        Some(subscriptions)
    }

    fn filter(&self, op: &Op) -> bool {
        self.settings.selection.selects_namespace(op.namespace())
            || rename::target(op).is_some_and(|target| target.is_selected(&self.settings))
    }

    fn handle(&self, ops: &[Op]) -> Vec<Outcome> {
        let actions: Vec<_> = ops.iter().map(|op| Action::of(op, &self.settings)).collect();
        let removals: Vec<_> =
            actions.iter().map(|action| action.as_ref().ok().and_then(Action::is_removal)).collect();
        let outcomes = apply(&self.settings, actions);
        count(&removals, &outcomes);
        outcomes
    }
}

/// Returns whether one of the outcomes is a retry: everything after it is delivered again, too.
fn is_stopped(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|outcome| matches!(outcome, Err(failure) if failure.is_retry()))
}

/// Brings actions to the index, in their order: what is dropped whole by a request of its own, those between in one.
fn apply(settings: &Settings, actions: Vec<Result<Action, Failure>>) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut actions = actions.into_iter().peekable();
    while let Some(action) = actions.next() {
        if is_stopped(&outcomes) {
            outcomes.push(Err(Failure::retry("after a change that could not be indexed now")));
            continue;
        }
        match action {
            Err(failure) => outcomes.push(Err(failure)),
            Ok(Action::Drop(collection)) => outcomes.push(drop_collection(settings, &collection)),
            Ok(Action::Rename(rename)) => outcomes.push(rename.follow(settings)),
            Ok(Action::One(first)) => {
                let mut together = vec![first];
                while let Some(Ok(Action::One(next))) =
                    actions.next_if(|next| matches!(next, Ok(Action::One(_))))
                {
                    together.push(next);
                }
                outcomes.extend(send(settings, &together));
            }
        }
    }
    outcomes
}

/// Returns an outcome for each.
fn send(settings: &Settings, all: &[One]) -> Vec<Outcome> {
    match settings.engine {
        Engine::Solr => solr::send(settings, all),
        Engine::Elasticsearch => elasticsearch::send(settings, all),
    }
}

/// Removes all documents of a collection that was dropped.
fn drop_collection(settings: &Settings, collection: &Collection) -> Outcome {
    match settings.engine {
        Engine::Solr => solr::drop_collection(settings, collection),
        Engine::Elasticsearch => elasticsearch::drop_collection(settings, collection),
    }
}

/// Removes all documents of a collection that stays.
fn clear(settings: &Settings, collection: &Collection) -> Outcome {
    match settings.engine {
        Engine::Solr => solr::drop_collection(settings, collection),
        Engine::Elasticsearch => elasticsearch::clear(settings, collection),
    }
}

/// `removals`: of each, whether a document is removed; none: it is of no document.
fn count(removals: &[Option<bool>], outcomes: &[Outcome]) {
    let both = || removals.iter().zip(outcomes);
    let done = |removal| both().filter(|(is, outcome)| **is == Some(removal) && outcome.is_ok()).count();
    let refused = both().filter(|(_, outcome)| matches!(outcome, Err(Failure::Reject(_)))).count();
    for (name, count) in [("indexed", done(false)), ("deleted", done(true)), ("refused", refused)] {
        metrics::count(name, u64::try_from(count).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests;
