// The errors that a plugin throws or gets, and the failure that the host gets for each.

import { placeOf, traced } from "./trace.js";

/** It may work later: the host tries the op again after a pause, of at least `after` milliseconds if that is given. */
export class Retry extends Error {
  name = "Retry";

  constructor(message, { after, ...options } = {}) {
    super(message, options);
    this.after = pause(after);
  }
}

/** It will never work: the op becomes a dead letter. */
export class Reject extends Error {
  name = "Reject";
}

/** The op has no such document, or its bytes are not BSON. A later attempt would find the same. */
export class DecodeError extends Reject {
  name = "DecodeError";
}

/** The error of a capability, with the reason in `kind`. If a server said how long to wait, `after` has the milliseconds. */
export class CapabilityError extends Error {
  name = "CapabilityError";

  constructor(kind, message, { after, ...options } = {}) {
    super(message, options);
    this.kind = kind;
    this.after = pause(after);
  }
}

export class MailError extends CapabilityError {
  name = "MailError";
}

export class HttpError extends CapabilityError {
  name = "HttpError";
}

export class MongodbError extends CapabilityError {
  name = "MongodbError";
}

export class StateError extends CapabilityError {
  name = "StateError";
}

/** The kinds that a later attempt may not have: a server comes back, a grant is added. */
const PASSING = ["unavailable", "not-granted"];

/** Checks a number of milliseconds, and returns it as the contract has it. */
function pause(after) {
  if (after === undefined) return undefined;
  if (!(after >= 0)) throw new RangeError(`after is ${after}, and must be a number of milliseconds from 0`);
  return Math.min(Math.ceil(after), Number.MAX_SAFE_INTEGER);
}

/** Returns the contract's failure for a thrown value. An unforeseen error is retried: the next version of the plugin may handle the op. */
export function failure(thrown) {
  if (!isForeseen(thrown)) return { tag: "retry", val: unforeseen(thrown) };
  const reason = whole(thrown);
  const passes = thrown instanceof Retry || PASSING.includes(thrown.kind);
  if (!passes) return { tag: "reject", val: reason };
  return thrown.after === undefined ? { tag: "retry", val: reason } : { tag: "retry-after", val: { delay: thrown.after, reason } };
}

/** Returns why `init` refuses its settings: the text alone of an `Error`, which says it to a user; more of any other type, which is a bug. */
export function refusal(thrown) {
  return isRefusal(thrown) ? whole(thrown) : unforeseen(thrown);
}

/** Returns whether an error of `init` was thrown to say what is wrong with the settings. */
export function isRefusal(thrown) {
  return isForeseen(thrown) || (thrown instanceof Error && thrown.name === "Error");
}

/** Returns whether an error was thrown to decide what happens to the op. */
export function isForeseen(thrown) {
  return [Reject, Retry, CapabilityError].some((known) => thrown instanceof known);
}

/** Returns `TypeError: cannot read property 'email' of undefined (src/plugin.js:12:7)`, with the causes. */
function unforeseen(thrown) {
  const place = placeOf(thrown?.stack);
  return described(thrown) + (place ? ` (${place})` : "");
}

/** Returns `TypeError: cannot read property 'email' of undefined`, with the causes. It never throws. */
export function described(thrown) {
  return withCauses(plain(thrown), thrown);
}

/** Returns the same without the type. */
function whole(thrown) {
  return withCauses(text(thrown.message), thrown);
}

function plain(thrown) {
  try {
    if (thrown instanceof Error) return text(thrown.message ? `${thrown.name}: ${thrown.message}` : thrown.name);
    return `thrown: ${text(typeof thrown === "object" ? JSON.stringify(thrown) : thrown)}`;
  } catch {
    return "thrown: what has no text";
  }
}

/** Returns the errors that led to this one, from the last to the first. */
function causesOf(thrown) {
  const causes = thrown instanceof AggregateError ? [...thrown.errors] : [];
  for (let cause = thrown?.cause; cause instanceof Error && !causes.includes(cause); cause = cause.cause) causes.push(cause);
  return causes;
}

/** Adds the causes that a text does not repeat. */
function withCauses(said, thrown) {
  try {
    const more = causesOf(thrown).filter((cause) => !cause?.message || !said.includes(cause.message));
    return [said, ...more.map(plain)].join(": ");
  } catch {
    return said;
  }
}

/** Returns an error for the log: its text, its stack in the author's files, and the same of its causes. */
export function shown(thrown) {
  const stack = (error) => (typeof error?.stack === "string" ? `\n${traced(error.stack).trimEnd()}` : "");
  const causes = causesOf(thrown).map((cause) => `\ncaused by ${plain(cause)}${stack(cause)}`);
  return text(`${plain(thrown)}${stack(thrown)}${causes.join("")}`);
}

/** Returns a value as a string that the host accepts: without lone surrogates, on which the call would trap. */
export function text(value) {
  return String(value).toWellFormed();
}

/** Calls the host, and turns an error of the contract into one of this class. */
export function asked(ErrorClass, work) {
  try {
    return work();
  } catch (thrown) {
    const { tag, val } = thrown?.payload ?? {};
    throw typeof tag === "string" ? new ErrorClass(tag, val) : thrown;
  }
}
