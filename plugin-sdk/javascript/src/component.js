// The interfaces that the host calls, made of a plugin's exports. The build puts it around each plugin.

import * as configHost from "#host/config";
import * as host from "#host/log";
import { run } from "#host/running";
import { Reject, failure, isForeseen, isRefusal, refusal, shown, text } from "./errors.js";
import { Op } from "./op.js";
import { settled } from "./promise.js";
import { declared, values } from "./settings.js";
import { subscribed } from "./subscriptions.js";
import { timed } from "./timers.js";

/** @param plugin the module that its author wrote */
export function component(plugin) {
  const { filter: wants, handle: work, handleBatch: workAll, init: begin, settings, subscriptions, timers } = plugin;
  // While the plugin is built: an error in a declaration ends the build.
  const known = declared(settings);
  const clock = timed(timers);
  const fixed = typeof subscriptions === "function" ? undefined : subscribed(subscriptions);

  /** The values of the settings, which do not change during the life of an instance. */
  let read;
  const config = () => (read ??= values(settings, configHost.getAll()));

  function init() {
    run();
    try {
      if (begin) settled("init", () => begin(config()));
      return fixed ?? subscribed(settled("subscriptions", () => subscriptions(config())));
    } catch (thrown) {
      if (!isRefusal(thrown)) host.log("error", shown(thrown));
      throw refusal(thrown);
    }
  }

  function isWanted(contract) {
    try {
      return Boolean(settled("filter", () => wants(new Op(contract), config())));
    } catch (thrown) {
      // handle cannot decode it either, and rejects the op.
      if (thrown instanceof Reject) return true;
      throw thrown;
    }
  }

  function filter(contract) {
    run();
    try {
      return isWanted(contract);
    } catch (thrown) {
      // The contract has no error here. The host calls a filter that traps again, so the op is not lost.
      const { val } = failed(thrown);
      throw val.reason ?? val;
    }
  }

  /** Several ops per call are a quarter faster. If it throws, the host calls `filter` for each op, which logs the error. */
  function filterAll(contracts) {
    run();
    return contracts.map(isWanted);
  }

  function handle(contract) {
    run();
    try {
      settled("handle", () => work(new Op(contract), config()));
    } catch (thrown) {
      throw failed(thrown);
    }
  }

  function handleAll(contracts) {
    run();
    try {
      const given = settled("handleBatch", () => workAll(contracts.map((contract) => new Op(contract)), config()));
      return outcomes(given, contracts.length).map(outcome);
    } catch (thrown) {
      const outcome = { tag: "err", val: failed(thrown) };
      return contracts.map(() => outcome);
    }
  }

  function declaredTimers() {
    run();
    return [...clock].map(([name, { schedule, missed }]) => ({ name, schedule: text(settled("schedule", () => schedule(config()))), missed }));
  }

  function tick({ timer: name, at, id, attempt }) {
    run();
    try {
      const timer = clock.get(name);
      if (timer === undefined) throw new Reject(`this version has no timer ${name}`);
      settled("tick", () => timer.tick({ timer: name, at: new Date(Number(at)), id, attempt }, config()));
    } catch (thrown) {
      throw failed(thrown);
    }
  }

  return {
    schedule: { timers: declaredTimers, tick },
    lifecycle: { settings: () => known, init },
    filter: { filter },
    batchFilter: { filter: filterAll },
    handler: { handle },
    batchHandler: { handle: handleAll },
  };
}

/** Returns an outcome for each op. A plugin that returns nothing has handled all. */
function outcomes(given, count) {
  if (given == null) return new Array(count).fill(undefined);
  if (!Array.isArray(given)) throw new TypeError(`handleBatch returned ${typeof given} and not a list of outcomes`);
  if (given.length !== count) throw new TypeError(`handleBatch returned ${given.length} outcomes for ${count} ops`);
  return [...given];
}

/** Returns the contract's outcome: success for undefined and null, a failure for an error. Anything else is a mistake, and not a success. */
function outcome(given) {
  if (given == null) return { tag: "ok" };
  const known = given instanceof Error ? given : new TypeError(`handleBatch returned an outcome that is ${typeof given}`);
  return { tag: "err", val: failed(known) };
}

/** Returns the failure. It logs the stack of an unforeseen error. */
function failed(thrown) {
  if (!isForeseen(thrown)) host.log("error", shown(thrown));
  return failure(thrown);
}
