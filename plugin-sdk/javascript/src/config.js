// The plugin's settings: `--set KEY=VALUE`, or its `config` table in gtm.toml.

import { assertRunning } from "#host/running";
import * as host from "#host/config";
import { text } from "./errors.js";

export function get(key) {
  assertRunning("config");
  return host.get(text(key)) ?? undefined;
}

export function all() {
  assertRunning("config");
  return Object.fromEntries(host.getAll());
}
