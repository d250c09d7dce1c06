// A change, as a plugin sees it.

import { deserialize } from "bson";
import { dateOf } from "./dates.js";
import { DecodeError } from "./errors.js";
import * as extendedJson from "./extended-json.js";
import { TYPES, at, named } from "./types.js";

/**
 * How documents are decoded where nothing else is said: as the driver for Node does, but that a regular expression is a BSONRegExp,
 * since not each of MongoDB's is one of JavaScript's.
 */
export const DOCUMENT = { bsonRegExp: true };

/** The operation types of the contract that are written otherwise in MongoDB's change events. */
const EVENTS = { "drop-database": "dropDatabase", "create-indexes": "createIndexes", "drop-indexes": "dropIndexes" };

/** The documents of an op, in their order in a change event. */
const DOCUMENTS = ["documentKey", "fullDocument", "fullDocumentBeforeChange", "updateDescription", "command"];

export class Op {
  #contract;
  #decoded = new Map();

  constructor(contract) {
    this.#contract = contract;
  }

  get id() {
    return this.#contract.id;
  }

  get operationType() {
    const type = this.#contract.operationType;
    return EVENTS[type] ?? type;
  }

  get isInsert() {
    return this.#contract.operationType === "insert";
  }

  get isUpdate() {
    return this.#contract.operationType === "update";
  }

  get isReplace() {
    return this.#contract.operationType === "replace";
  }

  get isDelete() {
    return this.#contract.operationType === "delete";
  }

  get isCommand() {
    return !(this.isInsert || this.isUpdate || this.isReplace || this.isDelete);
  }

  get database() {
    return this.#contract.database;
  }

  get collection() {
    return this.#contract.collection;
  }

  get namespace() {
    const { database, collection } = this.#contract;
    return collection ? `${database}.${collection}` : database;
  }

  get timestamp() {
    return this.#contract.timestamp;
  }

  get wallTime() {
    const millis = this.#contract.wallTime;
    return millis == null ? undefined : new Date(millis);
  }

  get transaction() {
    return this.#contract.transaction ?? undefined;
  }

  get origin() {
    return this.#contract.origin;
  }

  get attempt() {
    return this.#contract.attempt;
  }

  matches(patterns) {
    return patterns.split(",").some((pattern) => like(pattern.trim(), this.namespace));
  }

  document(options) {
    return this.#decode("document", this.#contract.fullDocument, options);
  }

  field(path, type) {
    const value = at(this.document(), path);
    if (!TYPES[type]) throw new TypeError(`${type} is not a type of a field: ${Object.keys(TYPES).join(", ")}`);
    if (!TYPES[type].is(value)) throw new DecodeError(`${path}: expected ${TYPES[type].name}, found ${named(value)}`);
    return value;
  }

  rawDocument() {
    return raw("document", this.#contract.fullDocument);
  }

  documentBeforeChange(options) {
    return this.#decode("document before the change", this.#contract.fullDocumentBeforeChange, options);
  }

  rawDocumentBeforeChange() {
    return raw("document before the change", this.#contract.fullDocumentBeforeChange);
  }

  documentKey(options) {
    return this.#decode("document key", this.#contract.documentKey, options);
  }

  rawDocumentKey() {
    return raw("document key", this.#contract.documentKey);
  }

  updateDescription(options) {
    return this.#decode("update description", this.#contract.updateDescription, options);
  }

  rawUpdateDescription() {
    return raw("update description", this.#contract.updateDescription);
  }

  command(options) {
    return this.#decode("command", this.#contract.command, options);
  }

  rawCommand() {
    return raw("command", this.#contract.command);
  }

  json() {
    return JSON.parse(extendedJson.relaxed(this.rawDocument()));
  }

  toChangeEvent({ canonical = false } = {}) {
    const { id, database, collection, timestamp, wallTime, transaction, origin } = this.#contract;
    const head = { _id: { _data: id }, operationType: this.operationType };
    const { time, increment } = timestamp;
    if (time !== 0 || increment !== 0) head.clusterTime = { $timestamp: { t: time, i: increment } };
    if (wallTime != null) head.wallTime = { $date: dateOf(wallTime, canonical) };
    head.ns = collection ? { db: database, coll: collection } : { db: database };
    const write = canonical ? extendedJson.canonical : extendedJson.relaxed;
    let event = JSON.stringify(head).slice(0, -1);
    // One by one: together they may be larger than the host converts in one call.
    for (const part of DOCUMENTS) {
      if (this.#contract[part] != null) event += `,"${part}":${write(this.#contract[part])}`;
    }
    const tail = { origin };
    if (transaction != null) {
      const index = canonical ? { $numberLong: String(transaction.index) } : transaction.index;
      return `${event},${JSON.stringify({ transaction: { id: transaction.id, index }, ...tail }).slice(1)}`;
    }
    return `${event},${JSON.stringify(tail).slice(1)}`;
  }

  /** Decodes once, however often it is asked for; anew where options are given. */
  #decode(what, bytes, options) {
    if (options) return decode(what, bytes, { ...DOCUMENT, ...options });
    if (!this.#decoded.has(what)) this.#decoded.set(what, decode(what, bytes, DOCUMENT));
    return this.#decoded.get(what);
  }
}

function raw(what, bytes) {
  if (bytes == null) throw new DecodeError(`this op has no ${what}`);
  return bytes;
}

function decode(what, bytes, options) {
  raw(what, bytes);
  try {
    return deserialize(bytes, options);
  } catch (error) {
    throw new DecodeError(`the ${what} cannot be decoded: ${error.message}`, { cause: error });
  }
}

/** Whether a text is like a pattern, in which `*` stands for any characters. */
function like(pattern, text) {
  const [start, ...parts] = pattern.split("*");
  if (parts.length === 0) return pattern === text;
  if (!text.startsWith(start)) return false;
  const end = parts.pop();
  let rest = text.slice(start.length);
  for (const part of parts) {
    // The first place is as good as any: a star comes after it.
    const at = rest.indexOf(part);
    if (at < 0) return false;
    rest = rest.slice(at + part.length);
  }
  return rest.endsWith(end);
}
