/** How long the host is to wait, and the error that led to this one. */
export interface RetryOptions {
  /** The least number of milliseconds until the next attempt. The host waits an hour at most. Without it, the host chooses the pause. */
  after?: number;
  cause?: unknown;
}

/** It may work later: the host tries the op again after a pause. */
export class Retry extends Error {
  constructor(message: string, options?: RetryOptions);
  name: "Retry";
  readonly after: number | undefined;
}

/** It will never work: the op becomes a dead letter. */
export class Reject extends Error {
  name: string;
}

/** The op has no such document, or its bytes are not BSON. The host rejects the op. */
export class DecodeError extends Reject {
  name: "DecodeError";
}

/**
 * The reason of an error of a capability, the same for all capabilities:
 *
 * - `not-granted`: the host does not let this plugin do it, or is not set up for it.
 * - `invalid`: the request is not valid, and would fail in the same way each time.
 * - `rejected`: the other side refused it for good, such as a mail server with a 5xx reply.
 * - `unavailable`: the other side cannot be reached, took too long, or asks for another attempt later.
 * - `conflict`: it contradicts something that exists, such as a document with this key.
 * - `too-large`: the request or the answer is too large.
 */
export type ErrorKind = "not-granted" | "invalid" | "rejected" | "unavailable" | "conflict" | "too-large";

/** The error of a capability. If the plugin lets it through, the op is retried (`unavailable`, `not-granted`) or rejected (the others). */
export class CapabilityError extends Error {
  constructor(kind: ErrorKind, message: string, options?: RetryOptions);
  kind: ErrorKind;
  /** The milliseconds that a server said to wait. */
  readonly after: number | undefined;
}

/** The error of `mail`. */
export class MailError extends CapabilityError {}

/** The error of `http`. */
export class HttpError extends CapabilityError {}

/** The error of `mongodb`. */
export class MongodbError extends CapabilityError {}

/** The error of `state`. */
export class StateError extends CapabilityError {}
