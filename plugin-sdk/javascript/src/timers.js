// The timers of a plugin, as the contract has them.

const MISSED = ["skip", "once", "each"];

/** Returns the timers by name. It throws if a declaration is not valid. */
export function timed(timers = {}) {
  return new Map(Object.entries(timers).map(([name, timer]) => [name, checked(name, timer)]));
}

function checked(name, { schedule, missed = "once", tick } = {}) {
  if (typeof schedule !== "string" && typeof schedule !== "function") throw new TypeError(`the timer ${name} has no schedule`);
  if (!MISSED.includes(missed)) throw new TypeError(`the timer ${name} has missed: ${missed}, and must have one of ${MISSED.join(", ")}`);
  if (typeof tick !== "function") throw new TypeError(`the timer ${name} has no function tick`);
  return { schedule: typeof schedule === "string" ? () => schedule : schedule, missed, tick };
}
