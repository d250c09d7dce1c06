// Whether the host calls the plugin now. While it is built it runs too, up to the end of its modules, with no host around it.

let running = false;

/** The host calls. */
export function run() {
  running = true;
}

export const isRunning = () => running;

/** A call to the host while the plugin is built would end the build with a trace of addresses. */
export function assertRunning(what) {
  if (!running) {
    throw new Error(
      `${what} is used where the plugin is built: use it in init, filter, handle or a function that they call, not at the top of a module`,
    );
  }
}
