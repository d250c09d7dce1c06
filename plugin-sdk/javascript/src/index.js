// What a plugin imports from "gtm-plugin".

export * as config from "./config.js";
export * as extendedJson from "./extended-json.js";
export * as http from "./http.js";
export * as log from "./log.js";
export * as mail from "./mail.js";
export * as metrics from "./metrics.js";
export * as mongodb from "./mongodb.js";
export * as state from "./state.js";
export { CapabilityError, DecodeError, HttpError, MailError, MongodbError, Reject, Retry, StateError } from "./errors.js";
export { Op } from "./op.js";
export { defineSettings } from "./settings.js";
