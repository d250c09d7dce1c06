/** It may work later: the host tries again after a pause. */
export class Retry extends Error {
  name: "Retry";
}

/** It will never work: the host does not try again. */
export class Reject extends Error {
  name: string;
}

/** A document of an op is not there, or no BSON: a reject. */
export class DecodeError extends Reject {
  name: "DecodeError";
}

/** What the host could not do. Let through, it is tried again (`unavailable`, `not-granted`) or rejected (the others). */
declare class CapabilityError<Kind extends string> extends Error {
  constructor(kind: Kind, message: string);
  kind: Kind;
}

/**
 * Why a message was not sent. `unavailable`: the mail server cannot be reached or asks to be tried again later (a 4xx reply).
 * `not-granted`: the host has no mail server, or does not let this plugin use it. `invalid`: an address that is none, no recipient, no
 * body. `rejected`: the mail server refused the message for good (a 5xx reply).
 */
export class MailError extends CapabilityError<"unavailable" | "not-granted" | "invalid" | "rejected"> {}

/**
 * Why there is no response, or none that is of use. `not-granted`: the host does not let this plugin send requests there. `invalid`: a
 * URL, a method or a header that is none, a body that is too large. `unavailable`: the server cannot be reached, took too long, or says
 * that it cannot do it now. `rejected`: the server refuses it for good; see `check` of the response.
 */
export class HttpError extends CapabilityError<"unavailable" | "not-granted" | "invalid" | "rejected"> {}

/**
 * Why something is not read or written. `not-granted`: the host does not let this plugin do it there. `invalid`: it cannot be asked like
 * that. `duplicate-key`: there is a document with this key already. `rejected`: the server refuses it for good. `unavailable`: the server
 * cannot be reached now, or took too long.
 */
export class MongodbError extends CapabilityError<"unavailable" | "not-granted" | "invalid" | "duplicate-key" | "rejected"> {}

/**
 * Why a value is not read or kept. `not-granted`: the host does not let this plugin use it. `invalid`: the key is empty or longer than 512
 * bytes, or the value longer than 1 MiB. `unavailable`: the store cannot be reached now.
 */
export class StateError extends CapabilityError<"unavailable" | "not-granted" | "invalid"> {}
