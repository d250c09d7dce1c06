//! The changes that a plugin subscribes to.

use crate::OperationType;

/// A namespace pattern and operations that a plugin subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub(crate) namespace: String,
    pub(crate) operation_types: Vec<OperationType>,
}

impl Subscription {
    /// Subscribes to all operations in the namespaces of this pattern: `database.collection`, in which `*` stands for any characters.
    /// Between two slashes it is a regular expression.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), operation_types: Vec::new() }
    }

    /// Subscribes to these operations only. An empty list means all of them.
    #[must_use]
    pub fn operations(mut self, operation_types: impl IntoIterator<Item = OperationType>) -> Self {
        self.operation_types = operation_types.into_iter().collect();
        self
    }
}
