// Runs a plugin in its own tests, natively: no host, no server, no sandbox. What it does to the world outside is taken down, and
// looked at afterwards.

import { failure } from "../errors.js";
import { enter } from "./world.js";

export { delete, insert, op, replace, update } from "./ops.js";

/** The world around a plugin in a test. State lasts from one op to the next. */
export class Harness {
  #plugin;
  #options;
  #state = new Map();

  constructor(plugin, options = {}) {
    this.#plugin = plugin;
    this.#options = options;
  }

  /** What the plugin keeps, by key. */
  get state() {
    return this.#state;
  }

  async run(op) {
    const { filter = () => true, handle } = this.#plugin;
    const world = this.#world();
    const wanted = Boolean(await enter({ ...world, isFilter: true }, async () => filter(op)));
    const { run } = world;
    if (!wanted) return { ...run, wanted };
    const work = handle ?? (async (op) => this.#batch([op]).then(([outcome]) => raised(outcome)));
    return { ...run, wanted, outcome: await enter(world, () => outcomeOf(() => work(op))) };
  }

  async runBatch(ops) {
    const world = this.#world();
    const outcomes = await enter(world, () => this.#batch(ops));
    return { ...world.run, outcomes: await Promise.all(outcomes.map((outcome) => outcomeOf(() => raised(outcome)))) };
  }

  /** What the plugin gave back for each op. */
  async #batch(ops) {
    try {
      const outcomes = (await this.#plugin.handleBatch(ops)) ?? ops.map(() => undefined);
      if (outcomes.length !== ops.length) throw new TypeError(`handleBatch gave back ${outcomes.length} outcomes of ${ops.length} ops`);
      return outcomes;
    } catch (thrown) {
      return ops.map(() => thrown);
    }
  }

  #world() {
    const { config = {}, server = () => ({}), collections = {}, mailError } = this.#options;
    const run = { mails: [], requests: [], writes: [], log: [], counters: {}, gauges: {}, recorded: {} };
    return { config, server, collections, mailError, state: this.#state, run };
  }
}

function raised(outcome) {
  if (outcome != null) throw outcome;
}

async function outcomeOf(work) {
  try {
    await work();
    return { kind: "ok" };
  } catch (thrown) {
    const { tag, val } = failure(thrown);
    return { kind: tag, reason: val };
  }
}
