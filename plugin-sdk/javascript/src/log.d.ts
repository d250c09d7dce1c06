/** Writes one event of the host's log; lines after the first are indented. One longer than 16 KiB is cut. */
export function trace(message: unknown): void;
export function debug(message: unknown): void;
export function info(message: unknown): void;
export function warn(message: unknown): void;
export function error(message: unknown): void;
