// Whether a harness runs the plugin now.

import { current } from "../world.js";

export function run() {}

export const isRunning = () => current() !== undefined;

export function assertRunning(what) {
  if (!isRunning()) {
    throw new Error(`${what} is used outside of a plugin's functions: in a test, call them by a Harness of gtm-plugin/testing`);
  }
}
