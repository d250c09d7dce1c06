// Runs a plugin in its own tests, in Node: without host, server and sandbox. It records the effects of the plugin.

import { failure, refusal } from "../errors.js";
import { values } from "../settings.js";
import { subscribed } from "../subscriptions.js";
import { timed } from "../timers.js";
import { checked } from "./settings.js";
import { enter } from "./world.js";

export { delete, insert, op, replace, update } from "./ops.js";

/** What a plugin may keep by default. */
const QUOTA = { maxKeys: 100_000, maxBytes: 256 * 2 ** 20 };

/** An instance of a plugin in a test. State lasts from one op to the next. */
export class Harness {
  #plugin;
  #options;
  #state = new Map();
  #ends = new Map();
  #begun;

  constructor(plugin, options = {}) {
    this.#plugin = plugin;
    this.#options = options;
  }

  /** The state of the plugin, by key. */
  get state() {
    return this.#state;
  }

  async init() {
    const { run, config, subscriptions } = await this.#init();
    return { ...run, config, subscriptions };
  }

  /** Initializes the instance once, as the host does before the first op. */
  #init() {
    return (this.#begun ??= this.#begin());
  }

  async #begin() {
    const { init, settings, subscriptions } = this.#plugin;
    const pairs = checked(settings, this.#options.config ?? {});
    const config = values(settings, pairs);
    const world = this.#world(pairs, "init");
    const work = async () => {
      await init?.(config);
      return subscribed(typeof subscriptions === "function" ? await subscriptions(config) : subscriptions);
    };
    try {
      return { run: world.run, config, pairs, subscriptions: await enter(world, work) };
    } catch (thrown) {
      throw new Error(refusal(thrown), { cause: thrown });
    }
  }

  async run(op) {
    const { filter = () => true, handle, handleBatch } = this.#plugin;
    const { config, pairs } = await this.#init();
    const world = this.#world(pairs);
    const { run } = world;
    const wanted = Boolean(await enter({ ...world, only: "filter" }, async () => filter(op, config)));
    // A filter for other plugins handles nothing.
    if (!wanted || !(handle || handleBatch)) return { ...run, wanted };
    const work = handle ?? (async (op) => this.#batch([op], config).then(([outcome]) => raised(outcome)));
    return { ...run, wanted, outcome: await enter(world, () => outcomeOf(() => work(op, config))) };
  }

  async tick(name, at = new Date()) {
    const { config, pairs } = await this.#init();
    const { tick } = timed(this.#plugin.timers).get(name) ?? {};
    if (tick === undefined) throw new Error(`the plugin has no timer ${name}`);
    const world = this.#world(pairs);
    const due = { timer: name, at, id: `${Math.floor(at.getTime() / 1000)}.0.tick-${name}`, attempt: 1 };
    return { ...world.run, outcome: await enter(world, () => outcomeOf(() => tick(due, config))) };
  }

  async runBatch(ops) {
    const { config, pairs } = await this.#init();
    const world = this.#world(pairs);
    const outcomes = await enter(world, () => this.#batch(ops, config));
    return { ...world.run, outcomes: await Promise.all(outcomes.map((outcome) => outcomeOf(() => raised(outcome)))) };
  }

  /** Returns the plugin's outcome of each op. */
  async #batch(ops, config) {
    try {
      const outcomes = (await this.#plugin.handleBatch(ops, config)) ?? ops.map(() => undefined);
      if (outcomes.length !== ops.length) throw new TypeError(`handleBatch returned ${outcomes.length} outcomes for ${ops.length} ops`);
      return outcomes;
    } catch (thrown) {
      return ops.map(() => thrown);
    }
  }

  #world(config, only) {
    const { server = () => ({}), collections = {}, mailError, writeError, stateQuota } = this.#options;
    const run = { mails: [], requests: [], writes: [], log: [], counters: {}, gauges: {}, recorded: {} };
    const host = { config, server, collections, mailError, writeError, only, state: this.#state, ends: this.#ends };
    return { ...host, stateQuota: { ...QUOTA, ...stateQuota }, run };
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
    return tag === "retry-after" ? { kind: "retry", reason: val.reason, after: val.delay } : { kind: tag, reason: val };
  }
}
