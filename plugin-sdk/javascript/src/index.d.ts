/**
 * Write gtm-host plugins in JavaScript and TypeScript: your own code, in a sandbox, on every change in MongoDB.
 *
 * A plugin is a module that exports `handle` and, as it likes, `filter`, `subscriptions` and `handleBatch`: see {@link Plugin}.
 *
 * @example
 * import { mail } from "gtm-plugin";
 *
 * export function handle(op) {
 *   const user = op.document();
 *   mail.send({ to: user.email, subject: "Welcome", text: `Hello ${user.name}` });
 * }
 */

import type { Op, OperationType } from "./op.js";
import type { Reject, Retry } from "./errors.js";

export * as config from "./config.js";
export * as extendedJson from "./extended-json.js";
export * as http from "./http.js";
export * as log from "./log.js";
export * as mail from "./mail.js";
export * as metrics from "./metrics.js";
export * as mongodb from "./mongodb.js";
export * as state from "./state.js";
export { DecodeError, HttpError, MailError, MongodbError, Reject, Retry, StateError } from "./errors.js";
export { Op } from "./op.js";
export type { DecodeOptions, OperationType, Origin, Timestamp, Transaction, UpdateDescription } from "./op.js";

/** Changes that a plugin wants to see. */
export interface Subscription {
  /**
   * `database.collection`, in which `*` stands for any characters: `users.users`, `shop.*`, `*`. Between two slashes it is a regular
   * expression, in the syntax of Rust's crate `regex`. Without it: every namespace.
   */
  namespace?: string;
  /** Which operations; none named means all of them. */
  operationTypes?: OperationType[];
}

/** The outcome of an op of a batch: nothing where it was handled, else the error that says why it was not. */
export type Outcome = undefined | null | void | Retry | Reject | Error;

/** What a plugin exports. Each function may be `async`. */
export interface Plugin {
  /**
   * Says whether `handle` is to get this op. Without it, every op that the plugin subscribed to is handled.
   *
   * It is called in order, quickly, more than once for an op where need be, and can use `config`, `log` and `extendedJson` only.
   */
  filter?(op: Op): boolean | Promise<boolean>;
  /**
   * Does the work. The next op in order waits until this one is done. What it throws says what becomes of the op: a {@link Reject} is not
   * tried again; a {@link Retry}, and whatever nobody foresaw, is; the errors of mail, http, mongodb and state know by themselves.
   */
  handle?(op: Op): void | Promise<void>;
  /**
   * Does the work for several ops at once, for sinks with a bulk API, and gives back an outcome for each, in their order; nothing at all
   * where all are handled. Called instead of `handle`. Ops after the first that is to be retried come again too.
   */
  handleBatch?(ops: Op[]): Outcome[] | void | Promise<Outcome[] | void>;
  /** What the plugin wants to see, so that the host need not ask it about each op. Without it: every change. */
  subscriptions?: Subscription[] | (() => Subscription[]);
}
