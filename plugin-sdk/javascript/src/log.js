// Lines in the host's log, under the plugin's name and beside the id of the op in hand.

import { assertRunning } from "#host/running";
import * as host from "#host/log";
import { text } from "./errors.js";

function write(level, message) {
  assertRunning("log");
  host.log(level, text(message));
}

export const trace = (message) => write("trace", message);
export const debug = (message) => write("debug", message);
export const info = (message) => write("info", message);
export const warn = (message) => write("warn", message);
export const error = (message) => write("error", message);
