// Ops, made by hand.

import { serialize } from "bson";
import { Op } from "../op.js";

/** The operation types by their names in change events, which some have of their own. */
const TYPES = { dropDatabase: "drop-database", createIndexes: "create-indexes", dropIndexes: "drop-indexes" };

const keyOf = ({ _id = null }) => ({ _id });

/** A document that is new. */
export const insert = (namespace, document, more) =>
  op("insert", namespace, { documentKey: keyOf(document), fullDocument: document, ...more });

/** A document in the place of another. */
export const replace = (namespace, document, more) =>
  op("replace", namespace, { documentKey: keyOf(document), fullDocument: document, ...more });

/** A document of which some fields were changed: as it is now, and `{updatedFields, removedFields}`. */
export const update = (namespace, document, updateDescription, more) =>
  op("update", namespace, { documentKey: keyOf(document), fullDocument: document, updateDescription, ...more });

/** A document that was removed. */
const remove = (namespace, documentKey, more) => op("delete", namespace, { documentKey, ...more });
export { remove as delete };

/** The time of all ops, in seconds since 1970. */
const TIME = 1_700_000_000;

/** The number of ops that were made. */
let made = 0;

/** The id of the op with this number, as a host gives it to an op of this source. The token of a change stream begins with the timestamp. */
const idOf = (number, origin) => `${TIME}.${number}.${PLACES[origin](number)}`;
const hex = (number, digits) => number.toString(16).padStart(digits, "0");
const PLACES = {
  oplog: () => 0,
  replay: () => 0,
  "change-stream": (number) => `82${hex(TIME, 8)}${hex(number, 8)}`.toUpperCase(),
  snapshot: (number) => `document-${hex(number, 32)}`,
};

/** Any op, with an id of its own in the form that a host gives it. Documents are objects, or bytes: bytes need not be BSON. */
export function op(operationType, namespace, more = {}) {
  const [database, ...collection] = namespace.split(".");
  made += 1;
  const contract = {
    id: idOf(made, more.origin ?? "oplog"),
    operationType: TYPES[operationType] ?? operationType,
    database,
    collection: collection.join("."),
    timestamp: { time: TIME, increment: made },
    wallTime: TIME * 1000,
    transaction: undefined,
    origin: "oplog",
    attempt: 1,
    ...more,
  };
  for (const part of ["documentKey", "fullDocument", "fullDocumentBeforeChange", "updateDescription", "command"]) {
    contract[part] = bytes(contract[part]);
  }
  return new Op(contract);
}

const bytes = (document) => (document == null || document instanceof Uint8Array ? document : serialize(document));
