// What a library writes to the console goes to the host's log. While the plugin is built there is none.

import * as host from "#host/log";
import { isRunning } from "#host/running";
import { described } from "../errors.js";

function shown(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return described(value);
  try {
    return (typeof value === "object" && JSON.stringify(value)) || String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

function writer(level) {
  return (...values) => {
    if (isRunning()) host.log(level, values.map(shown).join(" ").toWellFormed());
  };
}

globalThis.console ??= {
  trace: writer("trace"),
  debug: writer("debug"),
  log: writer("info"),
  info: writer("info"),
  warn: writer("warn"),
  error: writer("error"),
};
