// The world around a plugin in a test, of the harness that runs it now.

import { AsyncLocalStorage } from "node:async_hooks";

const worlds = new AsyncLocalStorage();

/** Runs a plugin's function in a world. */
export const enter = (world, work) => worlds.run(world, work);

export const current = () => worlds.getStore();

/** Returns the world, for a capability that works in a handler only. */
export function granted(capability) {
  const world = current();
  if (world.only) throw refused("not-granted", `${capability} can be used in handle only`);
  return world;
}

/** An error as it comes from the host. */
export function refused(tag, val) {
  return Object.assign(new Error(val), { payload: { tag, val } });
}
