// What the host calls, made of what a plugin exports. The build puts it around each plugin.

import * as host from "#host/log";
import { run } from "#host/running";
import { Reject, failure, isForeseen, shown } from "./errors.js";
import { Op } from "./op.js";
import { settled } from "./promise.js";
import { subscribed } from "./subscriptions.js";

/** @param plugin the module that its author wrote */
export function component(plugin) {
  const { filter: wants = () => true, handle: work, handleBatch: workAll, subscriptions } = plugin;
  // At the top of a module, while the plugin is built: what is wrong with it ends the build.
  const fixed = typeof subscriptions === "function" ? undefined : subscribed(subscriptions);

  function filter(contract) {
    run();
    try {
      return Boolean(settled("filter", () => wants(new Op(contract))));
    } catch (thrown) {
      // What cannot be decoded here cannot be decoded in handle either, where it can be said what becomes of the op.
      if (thrown instanceof Reject) return true;
      // The contract has no error here. A filter that traps is asked again by the host, and the op is not lost.
      throw failed(thrown).val;
    }
  }

  function handle(contract) {
    run();
    if (!work) {
      const outcome = handleBatch([contract])[0];
      if (outcome.tag === "err") throw outcome.val;
      return;
    }
    try {
      settled("handle", () => work(new Op(contract)));
    } catch (thrown) {
      throw failed(thrown);
    }
  }

  function handleBatch(contracts) {
    run();
    try {
      const given = settled("handleBatch", () => workAll(contracts.map((contract) => new Op(contract))));
      return outcomes(given, contracts.length).map(outcome);
    } catch (thrown) {
      const outcome = { tag: "err", val: failed(thrown) };
      return contracts.map(() => outcome);
    }
  }

  return {
    filter,
    handle,
    handleBatch,
    subscriptions: () => {
      run();
      return fixed ?? subscribed(settled("subscriptions", subscriptions));
    },
  };
}

/** An outcome for each op. Nothing given back: all are handled. */
function outcomes(given, count) {
  if (given == null) return new Array(count).fill(undefined);
  if (!Array.isArray(given)) throw new TypeError(`handleBatch gave back ${typeof given} and no list of outcomes`);
  if (given.length !== count) throw new TypeError(`handleBatch gave back ${given.length} outcomes of ${count} ops`);
  return [...given];
}

/** Handled is what is undefined or null; an error says why not. Anything else is a mistake, and not taken for a success. */
function outcome(given) {
  if (given == null) return { tag: "ok" };
  const known = given instanceof Error ? given : new TypeError(`handleBatch gave back an outcome that is ${typeof given}`);
  return { tag: "err", val: failed(known) };
}

/** The failure, and for what nobody foresaw the stack in the log. */
function failed(thrown) {
  if (!isForeseen(thrown)) host.log("error", shown(thrown));
  return failure(thrown);
}
