// What a plugin keeps: values by key, shared by all its instances and workers. In handle only.

import { assertRunning } from "#host/running";
import * as host from "#host/state";
import { bytes, string } from "./bytes.js";
import { StateError, asked, text } from "./errors.js";

function ask(work) {
  assertRunning("state");
  return asked(StateError, work);
}

export const get = (key) => ask(() => host.get(text(key))) ?? undefined;

export function getString(key) {
  const value = get(key);
  return value && string(value);
}

export const set = (key, value) => ask(() => host.set(text(key), bytes(value)));

const remove = (key) => ask(() => host.delete(text(key)));
export { remove as delete };

export function compareAndSwap(key, expected, value) {
  return ask(() => host.compareAndSwap(text(key), expected == null ? undefined : bytes(expected), bytes(value)));
}
