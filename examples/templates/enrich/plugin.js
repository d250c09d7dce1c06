// Adds the city to each user who is inserted into `app.users` with a `zip`. A web server knows the cities.

import { Reject, http, log, mongodb } from "gtm-plugin";

// Anybody who runs the plugin can set these: --set url=https://… The host refuses a setting that is not here.
export const settings = {
  url: { type: "text", required: true, doc: "The address that knows the places. The plugin asks for URL/ZIP." },
};

// The plugin updates documents, and does not subscribe to updates: it would see its own ones.
export const subscriptions = [{ namespace: "app.users", operationTypes: ["insert"] }];

export function filter(op) {
  return op.document().zip !== undefined;
}

export function handle(op, config) {
  // If it is missing or has another type, the host rejects the op with a reason that names the field.
  const zip = op.field("zip", "string");
  // It becomes a part of the URL.
  if (!/^[A-Za-z0-9]+$/.test(zip)) throw new Reject("zip: expected letters and digits");
  const { city } = http.fetch(`${config.url}/${zip}`).check().json();
  if (typeof city !== "string") throw new Reject(`${config.url}/${zip} has no city`);

  mongodb.collection(op.namespace).updateOne(op.documentKey(), { $set: { city } });
  log.debug(`${zip} is in ${city}`);
}
