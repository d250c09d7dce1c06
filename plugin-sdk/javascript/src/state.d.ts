/**
 * What a plugin keeps: values by key, shared by all its instances and workers. In `handle` only. An op may come again: what is counted
 * here is counted again, so keep the id of the op beside it. Strings are kept as UTF-8. Each function throws a StateError.
 */
export function get(key: string): Uint8Array | undefined;

/** The value as a string. */
export function getString(key: string): string | undefined;

/** Sets the value, whatever it was. */
export function set(key: string, value: string | Uint8Array): void;

/** Removes the value, if there is one. */
declare function remove(key: string): void;
export { remove as delete };

/** Sets the value if it is what is expected (undefined: if there is none), in one step. Gives back whether it was. */
export function compareAndSwap(key: string, expected: string | Uint8Array | undefined, value: string | Uint8Array): boolean;
