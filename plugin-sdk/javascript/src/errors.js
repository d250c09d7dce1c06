// What a plugin throws, and what becomes of the op then.

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
  if (thrown instanceof Reject) return { tag: "reject", val: text(thrown.message) };
  if (thrown instanceof Retry) return { tag: "retry", val: text(thrown.message) };
  if (thrown instanceof CapabilityError) {
    return { tag: PASSING.includes(thrown.kind) ? "retry" : "reject", val: text(thrown.message) };
  }
  return { tag: "retry", val: described(thrown) };
}

/** Whether it was thrown to say what becomes of the op. */
export function isForeseen(thrown) {
  return [Reject, Retry, CapabilityError].some((known) => thrown instanceof known);
}

/** `TypeError: cannot read property 'email' of undefined`. Never throws, whatever was thrown. */
export function described(thrown) {
  try {
    if (thrown instanceof Error) return text(thrown.message ? `${thrown.name}: ${thrown.message}` : thrown.name);
    return `thrown: ${text(typeof thrown === "object" ? JSON.stringify(thrown) : thrown)}`;
  } catch {
    return "thrown: what has no text";
  }
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
