import { bytes, string } from "../../bytes.js";
import { granted, refused } from "../world.js";

const same = (one, other) => (one && other ? Buffer.compare(one, other) === 0 : one === other);

/** Returns the values, without those whose time has passed, and the times at which the others end. */
function kept() {
  const { state, ends } = granted("state");
  for (const [key, end] of ends) {
    if (end > Date.now()) continue;
    state.delete(key);
    ends.delete(key);
  }
  return { state, ends };
}

export const get = (key) => kept().state.get(key);

export function set(key, value, timeToLive) {
  const { state, ends } = kept();
  state.set(key, value);
  if (timeToLive === undefined) ends.delete(key);
  else ends.set(key, Date.now() + timeToLive);
}

function remove(key) {
  kept().state.delete(key);
}
export { remove as delete };

export function compareAndSwap(key, expected, value, timeToLive) {
  const isExpected = same(get(key), expected ?? undefined);
  if (isExpected) set(key, value, timeToLive);
  return isExpected;
}

export function increment(key, by, timeToLive) {
  const { state, ends } = kept();
  const former = state.has(key) ? string(state.get(key)) : "0";
  if (!/^-?\d+$/.test(former)) throw refused("invalid", `the value of ${key} is not a number`);
  const sum = Number(former) + by;
  state.set(key, bytes(String(sum)));
  if (timeToLive !== undefined) ends.set(key, Date.now() + timeToLive);
  return sum;
}

export function listEntries(prefix, after, limit) {
  const { state, ends } = kept();
  const keys = [...state.keys()].filter((key) => key.startsWith(prefix)).sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
  const rest = after === undefined ? keys : keys.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
  const timeToLive = (key) => (ends.has(key) ? ends.get(key) - Date.now() : undefined);
  return rest.slice(0, Math.min(limit, 1000)).map((key) => ({ key, value: state.get(key), timeToLive: timeToLive(key) }));
}

export function getQuota() {
  const { state } = kept();
  const size = [...state].reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + value.length, 0);
  return { keys: state.size, maxKeys: 0, bytes: size, maxBytes: 0 };
}
