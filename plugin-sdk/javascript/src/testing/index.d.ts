import type { Document } from "bson";
import type { HttpError, MailError, MongodbError } from "../errors.js";
import type { Message } from "../mail.js";
import type { Op, OperationType, Origin, Plugin, Timestamp, Transaction, UpdateDescription } from "../index.js";

/** A request that the plugin sent. */
export interface Request {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: Uint8Array;
  /** The body as a string. */
  text?: string;
  timeout?: number;
}

/** What a server answers. A body that is an object is sent as JSON. */
export interface Answer {
  status?: number;
  headers?: Record<string, string | string[]>;
  body?: string | Uint8Array | object;
}

export interface HarnessOptions {
  /** The plugin's settings, as a user writes them: `{ wait: "10s" }`. They are checked if the plugin declares its settings. */
  config?: Record<string, string | number | boolean | readonly string[]>;
  /** What HTTP servers answer; 200 with nothing in it where nothing is said. It may throw an {@link HttpError}. */
  server?: (request: Request) => Answer | undefined;
  /** What each query of a collection gives, whatever it asks for, by namespace. */
  collections?: Record<string, Document[]>;
  /** What the plugin may keep: keys, and bytes of keys and values. 0: no limit. By default as much as a host allows. */
  stateQuota?: { maxKeys?: number; maxBytes?: number };
  /** Has each mail fail. */
  mailError?: MailError;
  /** Has each write to a collection fail. */
  writeError?: MongodbError;
}

/** A message that the plugin sent. */
export interface Mail extends Message {
  to: string[];
  cc: string[];
  bcc: string[];
  subject: string;
}

export type Handled =
  | { kind: "ok"; reason?: undefined }
  /** `after`: the least number of milliseconds until the next attempt. */
  | { kind: "retry"; reason: string; after?: number }
  | { kind: "reject"; reason: string };

/** What a plugin did to the world outside. */
export interface Effects {
  mails: Mail[];
  requests: Request[];
  /** What it wrote: the namespace, and what was done there. */
  writes: ({ namespace: string } & Document)[];
  log: { level: "trace" | "debug" | "info" | "warn" | "error"; message: string }[];
  counters: Record<string, number>;
  gauges: Record<string, number>;
  recorded: Record<string, number[]>;
}

export interface Run extends Effects {
  /** What its filter said. */
  wanted: boolean;
  /** What came of it. Undefined: the filter did not want it. */
  outcome?: Handled;
}

/** The world around a plugin in a test, in which everything is granted. State lasts from one op to the next. */
export class Harness {
  constructor(plugin: Plugin, options?: HarnessOptions);
  /**
   * Checks the settings and initializes the plugin, and returns its subscriptions, in the form of the contract. `run` does it before the
   * first op.
   *
   * @throws Error the settings are not valid, or the plugin refuses them
   */
  init(): Promise<Effects & { config: Readonly<Record<string, any>>; subscriptions: { namespace: string; operationTypes: string[] }[] }>;
  /** What the plugin keeps, by key. */
  readonly state: Map<string, Uint8Array>;
  /** Asks the plugin's filter and, if it wants the op, has it handled. Whether the plugin subscribes to it is not looked at. */
  run(op: Op): Promise<Run>;
  /** Has a timer tick, as if it was due at this time, by default now. */
  tick(timer: string, at?: Date): Promise<Effects & { outcome: Handled }>;
  /** Has these ops handled at once, whatever the filter says. */
  runBatch(ops: Op[]): Promise<Effects & { outcomes: Handled[] }>;
}

/** What an op has beside its documents. */
export interface More {
  id?: string;
  attempt?: number;
  origin?: Origin;
  transaction?: Transaction;
  timestamp?: Timestamp;
  wallTime?: number;
  documentKey?: Document | Uint8Array;
  fullDocument?: Document | Uint8Array;
  fullDocumentBeforeChange?: Document | Uint8Array;
  updateDescription?: UpdateDescription | Uint8Array;
  command?: Document | Uint8Array;
}

/** A document that is new. */
export function insert(namespace: string, document: Document, more?: More): Op;
/** A document in the place of another. */
export function replace(namespace: string, document: Document, more?: More): Op;
/** A document of which some fields were changed: as it is now, and what was changed. */
export function update(namespace: string, document: Document, updateDescription: UpdateDescription, more?: More): Op;
/** A document that was removed. */
declare function remove(namespace: string, documentKey: Document, more?: More): Op;
export { remove as delete };
/** Any op. Without `id`, each has one of its own, in the form that a host gives it: `1700000000.1.0`. Documents are objects, or bytes: bytes need not be BSON. */
export function op(operationType: OperationType, namespace: string, more?: More): Op;
