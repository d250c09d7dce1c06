//! Which subscribers want an op.

use std::sync::Arc;

use foldhash::HashMap;
use gtm_oplog::{Namespace, Op, OperationType, Selection};

/// The maximum number of remembered routes. It bounds the memory where namespaces are created without end.
const MAX_ROUTES: usize = 10_000;

/// A subscriber as routes see it.
pub(super) trait Routed {
    /// Returns what the subscriber wants.
    fn selection(&mut self) -> &mut Selection;
    /// Adds an op to those that are collected for the subscriber.
    fn collect(&mut self, op: Arc<Op>);
}

/// Remembers who wants an op, by namespace and operation type, so that the cost per op does not grow with the subscribers.
#[derive(Default)]
pub(super) struct Routes(HashMap<(usize, OperationType), NamespaceRoute>);

/// The subscribers that want the ops of a namespace. Keeps the namespace, so that no other gets its address.
struct NamespaceRoute {
    _namespace: Arc<Namespace>,
    subscribers: Vec<usize>,
}

impl Routes {
    /// Forgets all routes: the subscribers, or their places, have changed.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Collects an op for each subscriber that wants it.
    pub(super) fn route(&mut self, op: Op, subscribers: &mut [impl Routed]) {
        let op = Arc::new(op);
        // A rename concerns its new name, too, which the route does not know.
        if op.operation_type == OperationType::Rename {
            for subscriber in subscribers {
                if subscriber.selection().wants(&op) {
                    subscriber.collect(Arc::clone(&op));
                }
            }
            return;
        }
        if self.0.len() >= MAX_ROUTES {
            self.forget();
        }
        let key = (Arc::as_ptr(&op.namespace).addr(), op.operation_type);
        let route = self.0.entry(key).or_insert_with(|| {
            let wanting = subscribers.iter_mut().enumerate();
            let wanting = wanting.filter_map(|(index, one)| one.selection().wants(&op).then_some(index));
            NamespaceRoute { _namespace: Arc::clone(&op.namespace), subscribers: wanting.collect() }
        });
        for index in &route.subscribers {
            if let Some(subscriber) = subscribers.get_mut(*index) {
                subscriber.collect(Arc::clone(&op));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::keyed;

    struct TestSubscriber(Selection, Vec<u32>);

    impl Routed for TestSubscriber {
        fn selection(&mut self) -> &mut Selection {
            &mut self.0
        }

        fn collect(&mut self, op: Arc<Op>) {
            self.1.push(op.timestamp.time);
        }
    }

    fn subscriber(pattern: &str) -> TestSubscriber {
        let mut selection = Selection::default();
        selection.add(pattern, &[]).unwrap();
        TestSubscriber(selection, Vec::new())
    }

    /// The times of the ops that were collected for each subscriber.
    fn collected(subscribers: &mut [TestSubscriber]) -> Vec<Vec<u32>> {
        subscribers.iter_mut().map(|subscriber| std::mem::take(&mut subscriber.1)).collect()
    }

    #[test]
    fn an_op_is_collected_for_the_subscribers_that_want_it() {
        let mut subscribers = [subscriber("a.*"), subscriber("b.*"), subscriber("a.x")];
        let (mut routes, mut selection) = (Routes::default(), Selection::everything());
        let mut op = |time, database: &str, collection: &str, operation| {
            let mut op = keyed(time, "a.things", 1);
            op.namespace = selection.select(database, collection, operation).unwrap();
            op.operation_type = operation;
            op
        };
        let insert = OperationType::Insert;
        for (time, database, collection) in
            [(1, "a", "x"), (2, "b", "x"), (3, "a", "y"), (4, "a", "x"), (5, "c", "x")]
        {
            routes.route(op(time, database, collection, insert), &mut subscribers);
        }
        assert_eq!(collected(&mut subscribers), [vec![1, 3, 4], vec![2], vec![1, 4]]);
        // A rename concerns both names.
        let mut rename = op(6, "b", "x", OperationType::Rename);
        let command = bson::rawdoc! { "renameCollection": "b.x", "to": "a.x" };
        (rename.document_key, rename.full_document) = (None, None);
        rename.command = Some(command.into_bytes().into());
        routes.route(rename, &mut subscribers);
        assert_eq!(collected(&mut subscribers), [vec![6], vec![6], vec![6]]);
        // The others move up when one has left.
        routes.forget();
        let (_, rest) = subscribers.split_first_mut().unwrap();
        routes.route(op(7, "a", "x", insert), rest);
        assert_eq!(collected(rest), [vec![], vec![7]]);
    }

    #[test]
    fn the_number_of_remembered_routes_is_bounded() {
        let mut subscribers = [subscriber("a.*")];
        let mut routes = Routes::default();
        for time in 0..=u32::try_from(MAX_ROUTES).unwrap() {
            // Each op has a namespace of its own, which nothing else keeps.
            routes.route(keyed(time, "a.things", 1), &mut subscribers);
            routes.route(keyed(time, "b.things", 1), &mut subscribers);
            assert_eq!(collected(&mut subscribers), [[time]]);
        }
        assert!(routes.0.len() <= MAX_ROUTES);
    }
}
