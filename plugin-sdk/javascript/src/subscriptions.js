// The subscriptions of a plugin, as the contract has them.

/** The operation types by their names in MongoDB's change events. */
const TYPES = {
  insert: "insert",
  update: "update",
  replace: "replace",
  delete: "delete",
  create: "create",
  drop: "drop",
  rename: "rename",
  dropDatabase: "drop-database",
  createIndexes: "create-indexes",
  dropIndexes: "drop-indexes",
  modify: "modify",
  other: "other",
};

export function subscribed(subscriptions = []) {
  if (!Array.isArray(subscriptions)) throw new TypeError("subscriptions is not a list");
  return subscriptions.map(({ namespace = "*", operationTypes = [] }) => {
    if (typeof namespace !== "string") throw new TypeError("the namespace of a subscription is not a string");
    return { namespace: namespace.toWellFormed(), operationTypes: operationTypes.map(type) };
  });
}

function type(name) {
  if (Object.hasOwn(TYPES, name)) return TYPES[name];
  throw new TypeError(`${name} is not an operation type: ${Object.keys(TYPES).join(", ")}`);
}
