import { deserialize, serialize } from "bson";
import { granted, refused } from "../world.js";

const decoded = (bytes) => deserialize(bytes, { bsonRegExp: true });
const UPDATED = { matchedCount: 1, modifiedCount: 1, upsertedId: undefined };

function found(namespace) {
  return (granted("mongodb").collections[namespace] ?? []).map((one) => serialize(one));
}

function write(namespace, command) {
  const { run, writeError } = granted("mongodb");
  if (writeError) throw refused(writeError.kind, writeError.message);
  run.writes.push({ namespace, ...command });
}

export function find(namespace, filter, { skip = 0, limit }) {
  return found(namespace).slice(skip, limit === undefined ? undefined : skip + limit);
}

export const aggregate = (namespace) => found(namespace);

export function insert(namespace, documents) {
  write(namespace, { insert: documents.map(decoded) });
}

export function update(namespace, filter, change, { many, upsert }) {
  write(namespace, { update: decoded(filter), by: decoded(change), many, upsert });
  return UPDATED;
}

export function replace(namespace, filter, replacement, upsert) {
  write(namespace, { replace: decoded(filter), by: decoded(replacement), upsert });
  return UPDATED;
}

function remove(namespace, filter, many) {
  write(namespace, { delete: decoded(filter), many });
  return 1;
}
export { remove as delete };
