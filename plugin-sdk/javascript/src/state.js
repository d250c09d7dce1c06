// The values that a plugin keeps by key, shared by all its instances and workers. In handle only.

import { assertRunning } from "#host/running";
import * as host from "#host/state";
import { bytes, string } from "./bytes.js";
import { StateError, asked, text } from "./errors.js";
import { U32, whole } from "./numbers.js";

function ask(work) {
  assertRunning("state");
  return asked(StateError, work);
}

export const get = (key) => ask(() => host.get(text(key))) ?? undefined;

export function getString(key) {
  const value = get(key);
  return value && string(value);
}

/** Returns a time to live as the contract has it. */
const lasting = ({ timeToLive } = {}) => (timeToLive == null ? undefined : whole(Math.ceil(timeToLive), Number.MAX_SAFE_INTEGER));

export const set = (key, value, options) => ask(() => host.set(text(key), bytes(value), lasting(options)));

const remove = (key) => ask(() => host.delete(text(key)));
export { remove as delete };

export function compareAndSwap(key, expected, value, options) {
  return ask(() => host.compareAndSwap(text(key), expected == null ? undefined : bytes(expected), bytes(value), lasting(options)));
}

export function increment(key, by = 1, options) {
  if (!Number.isSafeInteger(by)) throw new RangeError(`${by} is not a whole number`);
  return ask(() => host.increment(text(key), by, lasting(options)));
}

export function list(prefix = "", { after, limit = 1000 } = {}) {
  return ask(() => host.listEntries(text(prefix), after == null ? undefined : text(after), whole(limit, U32))).map(entry);
}

const entry = ({ key, value, timeToLive }) => ({ key, value, timeToLive: timeToLive ?? undefined });

export const quota = () => ask(() => host.getQuota());
