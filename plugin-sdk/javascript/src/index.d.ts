/**
 * Write gtm-host plugins in JavaScript and TypeScript: your own code, in a sandbox, on every change in MongoDB.
 *
 * A plugin is a module that exports `handle` or `handleBatch`, and optionally `filter`, `settings`, `init` and `subscriptions`: see
 * {@link Plugin}. A module with `filter` and without both is a filter, which runs before the filters of plugins.
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
import type { Settings } from "./settings.js";

export * as config from "./config.js";
export * as extendedJson from "./extended-json.js";
export * as http from "./http.js";
export * as log from "./log.js";
export * as mail from "./mail.js";
export * as metrics from "./metrics.js";
export * as mongodb from "./mongodb.js";
export * as state from "./state.js";
export { CapabilityError, DecodeError, HttpError, MailError, MongodbError, Reject, Retry, StateError } from "./errors.js";
export type { ErrorKind, RetryOptions } from "./errors.js";
export { Op } from "./op.js";
export type { DecodeOptions, OperationType, Origin, Timestamp, Transaction, UpdateDescription } from "./op.js";

export { defineSettings } from "./settings.js";
export type { Config, Setting, Settings } from "./settings.js";

/** Changes that a plugin subscribes to. */
export interface Subscription {
  /**
   * `database.collection`, in which `*` stands for any characters: `users.users`, `shop.*`, `*`. Between two slashes it is a regular
   * expression, in the syntax of Rust's crate `regex`. Without it: every namespace.
   */
  namespace?: string;
  /** Which operations; none named means all of them. */
  operationTypes?: OperationType[];
}

/** The outcome of an op of a batch: nothing if it was handled, or the error that says why it was not. */
export type Outcome = undefined | null | void | Retry | Reject | Error;

/**
 * The exports of a plugin. Each function may be `async`. Each gets the values of the settings last, by name: of their declared types, or
 * texts if the plugin declares none.
 */
export interface Plugin<C = any> {
  /** The settings of the plugin: see {@link defineSettings}. Without it, the plugin accepts any. */
  settings?: Settings;
  /**
   * Prepares an instance, before any op. An error refuses the version: its text says which setting is wrong, and why. Only `config` and
   * `log` work in it.
   */
  init?(config: C): void | Promise<void>;
  /** The changes that the plugin subscribes to, which may depend on the settings. Without it: every change. */
  subscriptions?: Subscription[] | ((config: C) => Subscription[] | Promise<Subscription[]>);
  /**
   * Returns whether `handle` gets this op. Without it, the plugin handles every op that it subscribed to. It must be quick. The host may
   * call it more than once for an op, and only `config`, `log` and `extendedJson` work in it.
   */
  filter?(op: Op, config: C): boolean | Promise<boolean>;
  /**
   * Handles the op. The next op in order waits until this one is done. A thrown {@link Reject} makes it a dead letter. A {@link Retry} and an
   * unforeseen error are retried. The errors of capabilities are one of both, by their kind.
   */
  handle?(op: Op, config: C): void | Promise<void>;
  /**
   * Handles several ops per call, for targets with a bulk API, and returns an outcome for each, in their order, or nothing if all are
   * handled. The host calls it instead of `handle`. From the first retry on, the host delivers all ops of the call again.
   */
  handleBatch?(ops: Op[], config: C): Outcome[] | void | Promise<Outcome[] | void>;
}
