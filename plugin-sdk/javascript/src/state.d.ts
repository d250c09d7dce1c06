/**
 * The values that a plugin keeps by key, shared by all its instances and workers. In `handle` and `tick` only. An op may be delivered again, and would
 * then count again: store the id of the op with the value. Strings are stored as UTF-8. Each function may throw a StateError.
 */

export interface StateOptions {
  /** The milliseconds until the store forgets the value. Without it, the store keeps the value. */
  timeToLive?: number;
}

export interface StateEntry {
  key: string;
  value: Uint8Array;
  /** The milliseconds until the store forgets it. Undefined: it keeps the value. */
  timeToLive: number | undefined;
}

export interface StateQuota {
  keys: number;
  /** 0: no limit. */
  maxKeys: number;
  /** The bytes of the values and their keys. */
  bytes: number;
  /** 0: no limit. */
  maxBytes: number;
}

/** Returns the value of a key. */
export function get(key: string): Uint8Array | undefined;

/** Returns the value as a string. */
export function getString(key: string): string | undefined;

/** Sets the value, regardless of the former one and its time to live. */
export function set(key: string, value: string | Uint8Array, options?: StateOptions): void;

/** Removes the value, if there is one. */
declare function remove(key: string): void;
export { remove as delete };

/** Sets the value if the current one is `expected` (undefined: if the key has no value), in one step. Returns whether it did. */
export function compareAndSwap(
  key: string,
  expected: string | Uint8Array | undefined,
  value: string | Uint8Array,
  options?: StateOptions,
): boolean;

/**
 * Adds to a number, by default 1, in one step, and returns the sum. A key without a value counts as 0. The value of the key is the number in
 * decimal digits. Without a time to live, the value keeps the one that it has.
 */
export function increment(key: string, by?: number, options?: StateOptions): number;

/**
 * Returns the entries whose keys begin with `prefix`, sorted by the bytes of their keys: at most `limit`, 1,000 and 1 MiB. For the next page,
 * pass the last key as `after`. The page after the last entry is empty.
 */
export function list(prefix?: string, options?: { after?: string; limit?: number }): StateEntry[];

/** Returns what the plugin keeps, and its limits. */
export function quota(): StateQuota;
