/**
 * Write gtm-host plugins in JavaScript and TypeScript: your own code, in a sandbox, on every change in MongoDB.
 *
 * A plugin is a module that exports `handle`, `handleBatch` or `timers`, and optionally `filter`, `settings`, `init` and `subscriptions`:
 * see {@link Plugin}. A module that exports only `filter` is a filter component, which runs before the filters of plugins.
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

/** One time at which a timer is due. */
export interface Tick {
  /** The name of the timer. */
  timer: string;
  /** The time at which it is due. The host delivers the tick then or later. */
  at: Date;
  /** The same each time this tick is delivered, by any host: an idempotency key. */
  id: string;
  /** 1, then 2, 3, … */
  attempt: number;
}

/** A timer of a plugin. */
export interface Timer<C = any> {
  /** When it is due, in UTC: an interval such as `10m`, or a cron expression. It may depend on the settings. */
  schedule: string | ((config: C) => string);
  /** What the host does with ticks that it could not deliver at their time. By default `once`: it delivers the last of them. */
  missed?: "skip" | "once" | "each";
  /** Does the work, on one host. What it throws decides about the tick as about an op. */
  tick(tick: Tick, config: C): void | Promise<void>;
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
  /** The work at set times, by the names of its timers. A plugin with timers and without `handle` gets no ops. */
  timers?: Readonly<Record<string, Timer<C>>>;
}
