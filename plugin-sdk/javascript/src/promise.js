// Promises whose jobs are done before the host gets its answer.
//
// The host calls a plugin and waits: QuickJS's own promises would never be gone on with. So the build turns `async` functions into
// others over the global Promise, which is this one. An `async` handle works then, and so does a library that is written with promises.

import { Reject } from "./errors.js";

let jobs = [];
/** The promises that were rejected while nobody waits for them, and why. */
const unasked = new Map();

export class Promise {
  #state = "pending";
  #value;
  #reactions = [];
  #isAsked = false;

  constructor(executor) {
    if (typeof executor !== "function") throw new TypeError("a Promise is made with a function");
    const { resolve, reject } = this.#resolvers();
    try {
      executor(resolve, reject);
    } catch (thrown) {
      reject(thrown);
    }
  }

  /** Of these two, only the first call counts. */
  #resolvers() {
    let isDone = false;
    const once = (work) => (value) => {
      if (isDone) return;
      isDone = true;
      work(value);
    };
    return { resolve: once((value) => this.#resolve(value)), reject: once((reason) => this.#settle("rejected", reason)) };
  }

  #resolve(value) {
    if (value === this) return this.#settle("rejected", new TypeError("a promise cannot be its own value"));
    let then;
    try {
      then = isObject(value) ? value.then : undefined;
    } catch (thrown) {
      return this.#settle("rejected", thrown);
    }
    if (typeof then !== "function") return this.#settle("fulfilled", value);
    const { resolve, reject } = this.#resolvers();
    jobs.push(() => {
      try {
        then.call(value, resolve, reject);
      } catch (thrown) {
        reject(thrown);
      }
    });
  }

  #settle(state, value) {
    this.#state = state;
    this.#value = value;
    if (state === "rejected" && !this.#isAsked) unasked.set(this, { reason: value });
    for (const reaction of this.#reactions) this.#react(reaction);
    this.#reactions = [];
  }

  #react({ onFulfilled, onRejected, capability }) {
    const handler = this.#state === "fulfilled" ? onFulfilled : onRejected;
    jobs.push(() => {
      try {
        if (typeof handler === "function") capability.resolve(handler(this.#value));
        else if (this.#state === "fulfilled") capability.resolve(this.#value);
        else capability.reject(this.#value);
      } catch (thrown) {
        capability.reject(thrown);
      }
    });
  }

  then(onFulfilled, onRejected) {
    const capability = capabilityOf(this.constructor?.[Symbol.species] ?? Promise);
    const reaction = { onFulfilled, onRejected, capability };
    this.#isAsked = true;
    unasked.delete(this);
    if (this.#state === "pending") this.#reactions.push(reaction);
    else this.#react(reaction);
    return capability.promise;
  }

  catch(onRejected) {
    return this.then(undefined, onRejected);
  }

  finally(work) {
    if (typeof work !== "function") return this.then(work, work);
    return this.then(
      (value) => Promise.resolve(work()).then(() => value),
      (reason) =>
        Promise.resolve(work()).then(() => {
          throw reason;
        }),
    );
  }

  get [Symbol.toStringTag]() {
    return "Promise";
  }

  static get [Symbol.species]() {
    return this;
  }

  static resolve(value) {
    if (value instanceof Promise && value.constructor === this) return value;
    const { promise, resolve } = capabilityOf(this);
    resolve(value);
    return promise;
  }

  static reject(reason) {
    const { promise, reject } = capabilityOf(this);
    reject(reason);
    return promise;
  }

  static withResolvers() {
    return capabilityOf(this);
  }

  static try(work, ...args) {
    return new this((resolve) => resolve(work(...args)));
  }

  static race(values) {
    return new this((resolve, reject) => {
      for (const value of values) this.resolve(value).then(resolve, reject);
    });
  }

  static all(values) {
    return new this((resolve, reject) => {
      const results = gathered(resolve);
      for (const value of values) this.resolve(value).then(results.place(), reject);
      results.end();
    });
  }

  static allSettled(values) {
    return new this((resolve) => {
      const results = gathered(resolve);
      for (const one of values) {
        const place = results.place();
        this.resolve(one).then(
          (value) => place({ status: "fulfilled", value }),
          (reason) => place({ status: "rejected", reason }),
        );
      }
      results.end();
    });
  }

  static any(values) {
    return new this((resolve, reject) => {
      const reasons = gathered((errors) => reject(new AggregateError(errors, "all promises were rejected")));
      for (const value of values) this.resolve(value).then(resolve, reasons.place());
      reasons.end();
    });
  }
}

const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

function capabilityOf(Class) {
  const capability = {};
  capability.promise = new Class((resolve, reject) => Object.assign(capability, { resolve, reject }));
  return capability;
}

/** A list whose places are filled in any order; when the last one is, `done` gets it. */
function gathered(done) {
  const list = [];
  let missing = 1;
  const end = () => {
    if (--missing === 0) done(list);
  };
  const place = () => {
    const index = list.length;
    list.push(undefined);
    missing++;
    return (value) => {
      list[index] = value;
      end();
    };
  };
  return { place, end };
}

export function queueMicrotask(job) {
  if (typeof job !== "function") throw new TypeError("queueMicrotask takes a function");
  // What it throws is nobody's: it is told as a promise that was rejected is.
  jobs.push(() => void new Promise(() => job()));
}

/** Does all jobs, and those that come of them. */
function drain() {
  while (jobs.length > 0) {
    const now = jobs;
    jobs = [];
    for (const job of now) job();
  }
}

/** What a function gives back, or throws, when all that it has begun is done. */
export function settled(name, work) {
  let outcome;
  try {
    outcome = { value: work() };
  } catch (thrown) {
    outcome = { thrown };
  }
  if (isObject(outcome.value) && typeof outcome.value.then === "function") outcome = awaited(outcome.value);
  drain();
  const [forgotten] = unasked.values();
  unasked.clear();
  if ("thrown" in outcome) throw outcome.thrown;
  if (!("value" in outcome)) {
    throw new Reject(
      `${name} returned a promise that nothing resolves: a plugin has nothing to wait for, because each call to the host is done when it returns`,
    );
  }
  // What fails while nobody waits for it fails the op all the same.
  if (forgotten) throw forgotten.reason;
  return outcome.value;
}

/** What comes of a promise, when the jobs are done. */
function awaited(promise) {
  const outcome = {};
  Promise.resolve(promise).then(
    (value) => Object.assign(outcome, { value }),
    (thrown) => Object.assign(outcome, { thrown }),
  );
  return outcome;
}
