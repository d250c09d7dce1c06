// What a plugin throws, and what becomes of the op then.

import { placeOf, traced } from "./trace.js";

/** It may work later: the host tries again after a pause. */
export class Retry extends Error {
  name = "Retry";
}

/** It will never work: the host does not try again. */
export class Reject extends Error {
  name = "Reject";
}

/** A document of an op is not there, or no BSON. It will be no other at a later attempt. */
export class DecodeError extends Reject {
  name = "DecodeError";
}

/** What the host could not do for a plugin. `kind` says why. */
class CapabilityError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
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

/** The kinds that a later attempt may find gone: a server comes back, a grant is added. */
const PASSING = ["unavailable", "not-granted"];

/** The contract's failure for whatever was thrown. What nobody foresaw is tried again: the next version of the plugin may do it. */
export function failure(thrown) {
  if (thrown instanceof Reject) return { tag: "reject", val: whole(thrown) };
  if (thrown instanceof Retry) return { tag: "retry", val: whole(thrown) };
  if (thrown instanceof CapabilityError) return { tag: PASSING.includes(thrown.kind) ? "retry" : "reject", val: whole(thrown) };
  const place = placeOf(thrown?.stack);
  return { tag: "retry", val: described(thrown) + (place ? ` (${place})` : "") };
}

/** Whether it was thrown to say what becomes of the op. */
export function isForeseen(thrown) {
  return [Reject, Retry, CapabilityError].some((known) => thrown instanceof known);
}

/** `TypeError: cannot read property 'email' of undefined`, with its causes. Never throws, whatever was thrown. */
export function described(thrown) {
  return withCauses(plain(thrown), thrown);
}

/** The same without the type, of what was thrown to say what becomes of the op. */
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

/** The errors that led to this one, from the last to the first. */
function causesOf(thrown) {
  const causes = thrown instanceof AggregateError ? [...thrown.errors] : [];
  for (let cause = thrown?.cause; cause instanceof Error && !causes.includes(cause); cause = cause.cause) causes.push(cause);
  return causes;
}

/** A text with those of its causes that it does not repeat. */
function withCauses(said, thrown) {
  try {
    const more = causesOf(thrown).filter((cause) => !cause?.message || !said.includes(cause.message));
    return [said, ...more.map(plain)].join(": ");
  } catch {
    return said;
  }
}

/** An error for the log: its text, its stack in the author's files, and the same of its causes. */
export function shown(thrown) {
  const stack = (error) => (typeof error?.stack === "string" ? `\n${traced(error.stack).trimEnd()}` : "");
  const causes = causesOf(thrown).map((cause) => `\ncaused by ${plain(cause)}${stack(cause)}`);
  return text(`${plain(thrown)}${stack(thrown)}${causes.join("")}`);
}

/** What the host takes as a string: one without halves of surrogate pairs, on which the call would trap. */
export function text(value) {
  return String(value).toWellFormed();
}

/** Does what the host is asked to, and turns the errors of the contract into those of this class. */
export function asked(ErrorClass, work) {
  try {
    return work();
  } catch (thrown) {
    const { tag, val } = thrown?.payload ?? {};
    throw typeof tag === "string" ? new ErrorClass(tag, val) : thrown;
  }
}
