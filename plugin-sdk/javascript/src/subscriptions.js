// What a plugin says it wants to see, as the contract has it.

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
  if (!Array.isArray(subscriptions)) throw new TypeError("subscriptions is no list");
  return subscriptions.map(({ namespace = "*", operationTypes = [] }) => {
    if (typeof namespace !== "string") throw new TypeError("the namespace of a subscription is no string");
    return { namespace: namespace.toWellFormed(), operationTypes: operationTypes.map(type) };
  });
}

function type(name) {
  if (Object.hasOwn(TYPES, name)) return TYPES[name];
  throw new TypeError(`${name} is no operation type: there are ${Object.keys(TYPES).join(", ")}`);
}
