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

/** The limits of the host. */
const MAX_KEY_BYTES = 512;
const MAX_VALUE_BYTES = 2 ** 20;
const MAX_PAGE_ENTRIES = 1000;

function check(key, value) {
  const length = Buffer.byteLength(key);
  if (length < 1 || length > MAX_KEY_BYTES) throw refused("invalid", `a key has 1 to ${MAX_KEY_BYTES} bytes, and this one ${length}`);
  if (value?.length > MAX_VALUE_BYTES) {
    throw refused("too-large", `a value has at most ${MAX_VALUE_BYTES} bytes, and this one ${value.length}`);
  }
}

/** Stores a value if the quota has room for it. */
function store(state, key, value) {
  const former = state.get(key);
  const { keys, maxKeys, bytes: size, maxBytes } = getQuota();
  const more = value.length - (former ? former.length : -Buffer.byteLength(key));
  const isOver = (maxKeys > 0 && keys + (former ? 0 : 1) > maxKeys) || (maxBytes > 0 && size + more > maxBytes);
  if (isOver && (!former || more > 0)) throw refused("unavailable", "the plugin keeps as much state as it may");
  state.set(key, value);
}

export function get(key) {
  check(key);
  return kept().state.get(key);
}

export function set(key, value, timeToLive) {
  check(key, value);
  const { state, ends } = kept();
  store(state, key, value);
  if (timeToLive === undefined) ends.delete(key);
  else ends.set(key, Date.now() + timeToLive);
}

function remove(key) {
  check(key);
  kept().state.delete(key);
}
export { remove as delete };

export function compareAndSwap(key, expected, value, timeToLive) {
  check(key, value);
  const isExpected = same(get(key), expected ?? undefined);
  if (isExpected) set(key, value, timeToLive);
  return isExpected;
}

export function increment(key, by, timeToLive) {
  check(key);
  const { state, ends } = kept();
  const former = state.has(key) ? string(state.get(key)) : "0";
  if (!/^-?\d+$/.test(former)) throw refused("invalid", `the value of ${key} is not a number`);
  const sum = Number(former) + by;
  store(state, key, bytes(String(sum)));
  if (timeToLive !== undefined) ends.set(key, Date.now() + timeToLive);
  return sum;
}

export function listEntries(prefix, after, limit) {
  const { state, ends } = kept();
  if (limit < 1) throw refused("invalid", "a page has at least 1 entry, and the limit is 0");
  for (const text of [prefix, after ?? ""]) {
    const length = Buffer.byteLength(text);
    if (length > MAX_KEY_BYTES) throw refused("invalid", `a key has at most ${MAX_KEY_BYTES} bytes, and prefix or after has ${length}`);
  }
  const keys = [...state.keys()].filter((key) => key.startsWith(prefix)).sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
  const rest = after === undefined ? keys : keys.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
  const timeToLive = (key) => (ends.has(key) ? ends.get(key) - Date.now() : undefined);
  let size = 0;
  const isInPage = (key, at) => (size += Buffer.byteLength(key) + state.get(key).length) <= MAX_VALUE_BYTES || at === 0;
  const page = rest.slice(0, Math.min(limit, MAX_PAGE_ENTRIES)).filter(isInPage);
  return page.map((key) => ({ key, value: state.get(key), timeToLive: timeToLive(key) }));
}

export function getQuota() {
  const { state } = kept();
  const { maxKeys, maxBytes } = granted("state").stateQuota;
  const size = [...state].reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + value.length, 0);
  return { keys: state.size, maxKeys, bytes: size, maxBytes };
}
