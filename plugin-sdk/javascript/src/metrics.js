// The plugin's own numbers, beside those of the host.

import { assertRunning } from "#host/running";
import * as host from "#host/metrics";
import { text } from "./errors.js";
import { whole } from "./numbers.js";

export function count(name, by = 1) {
  assertRunning("metrics");
  host.count(text(name), whole(by, Number.MAX_SAFE_INTEGER));
}

export function gauge(name, value) {
  assertRunning("metrics");
  host.gauge(text(name), Number(value));
}

export function record(name, value) {
  assertRunning("metrics");
  host.recordValue(text(name), Number(value));
}
