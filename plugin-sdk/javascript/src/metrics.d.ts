/** Adds to a counter. A name has 1 to 100 bytes, and a plugin has at most 100 of each kind. Counted in `filter`, it is not. */
export function count(name: string, by?: number): void;

/** Sets a gauge. */
export function gauge(name: string, value: number): void;

/** Adds a value to a histogram, whose buckets double from 0.001 to about 1000: seconds, for example. */
export function record(name: string, value: number): void;
