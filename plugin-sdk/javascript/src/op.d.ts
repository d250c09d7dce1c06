import type { DeserializeOptions, Document } from "bson";

/** What was done, as in MongoDB's change events. */
export type OperationType =
  | "insert"
  | "update"
  | "replace"
  | "delete"
  | "create"
  | "drop"
  | "rename"
  | "dropDatabase"
  | "createIndexes"
  | "dropIndexes"
  | "modify"
  | "other";

/** Where the host read an op; `snapshot`: a document that was there before the stream began. */
export type Origin = "oplog" | "change-stream" | "snapshot" | "replay";

/** A BSON timestamp: where in the oplog an op stands. */
export interface Timestamp {
  /** Seconds since 1970-01-01 UTC. */
  time: number;
  /** The ordinal within that second, from 1. */
  increment: number;
}

/** The place of an op in a transaction. */
export interface Transaction {
  /** The same for every op of one transaction. */
  id: string;
  /** From 0. */
  index: number;
}

/** What was changed by an update. */
export interface UpdateDescription {
  updatedFields?: Document;
  removedFields?: string[];
  truncatedArrays?: { field: string; newSize: number }[];
}

/** How a document is decoded: the options of `deserialize` of the package bson, with `bsonRegExp` true where nothing is said. */
export type DecodeOptions = DeserializeOptions;

/** The types that a field can be asked for. */
export interface FieldTypes {
  string: string;
  number: number;
  boolean: boolean;
  date: Date;
  array: unknown[];
  object: Document;
}

/**
 * One change in MongoDB.
 *
 * Its documents are decoded when they are asked for, once, by the package bson: an int64 that a number does not hold exactly is a `Long`,
 * a regular expression a `BSONRegExp`. One that is not there, or no BSON, throws a `DecodeError`, by which the op is rejected.
 */
export class Op {
  private constructor();

  /** The same each time this change is delivered, to whichever plugin: an idempotency key. */
  readonly id: string;
  /** What was done. */
  readonly operationType: OperationType;
  /** A new document. */
  readonly isInsert: boolean;
  /** Some fields of a document were changed. */
  readonly isUpdate: boolean;
  /** A document was replaced by another with the same key. */
  readonly isReplace: boolean;
  /** A document was removed. */
  readonly isDelete: boolean;
  /** Something was done to a collection, a database or an index, not to a document. */
  readonly isCommand: boolean;
  /** The database. */
  readonly database: string;
  /** The collection; empty where the change is to the whole database. */
  readonly collection: string;
  /** `database.collection`. */
  readonly namespace: string;
  /** Where the op stands in the oplog. */
  readonly timestamp: Timestamp;
  /** When the server wrote it. Old servers do not say. */
  readonly wallTime: Date | undefined;
  /** The transaction it was part of. */
  readonly transaction: Transaction | undefined;
  /** Where the host read it. */
  readonly origin: Origin;
  /** 1 at the first delivery, then 2, 3, … */
  readonly attempt: number;

  /** Whether the namespace is like one of these patterns, which stand between commas; `*` stands for any characters: `shop.*, users.users`. */
  matches(patterns: string): boolean;

  /**
   * The document after the change. Of insert, replace and update; after an update it is the document as it was when the host looked, which
   * can be later, or be gone.
   */
  document<T = Document>(options?: DecodeOptions): T;
  /**
   * The value of a field of the document, by its path: `op.field("address.street", "string")`. If it is missing or of another type, it
   * throws a `DecodeError` that names it: `address.street: expected a string, found an object`.
   */
  field<Type extends keyof FieldTypes>(path: string, type: Type): FieldTypes[Type];
  /** The same as the bytes that the server wrote. */
  rawDocument(): Uint8Array;
  /**
   * The same out of relaxed Extended JSON, which is several times faster: `{"_id":{"$oid":"…"},"at":{"$date":"2026-01-31T12:00:00Z"}}`.
   * Numbers beyond 2⁵³ lose their last digits.
   */
  json<T = Document>(): T;
  /**
   * The op as one line of Extended JSON with the names of MongoDB's change events, as `gtm-host tail` prints it: `_id` (`{_data}`, with the
   * op's id), `operationType`, `clusterTime`, `wallTime`, `ns`, its documents, `transaction` and `origin`. It is the same for each attempt.
   * Relaxed, or canonical with the type of each value.
   */
  toChangeEvent(options?: { canonical?: boolean }): string;
  /** The document before the change, where the server keeps it. */
  documentBeforeChange<T = Document>(options?: DecodeOptions): T;
  rawDocumentBeforeChange(): Uint8Array;
  /** The `_id`, and the shard key where there is one. Of insert, update, replace, delete. */
  documentKey<T = Document>(options?: DecodeOptions): T;
  rawDocumentKey(): Uint8Array;
  /** What was changed by an update, where the source gives it. */
  updateDescription<T = UpdateDescription>(options?: DecodeOptions): T;
  rawUpdateDescription(): Uint8Array;
  /** What was done to the collection, database or index, as the server wrote it. */
  command<T = Document>(options?: DecodeOptions): T;
  rawCommand(): Uint8Array;
}
