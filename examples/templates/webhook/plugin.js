// Sends each document that is written to a collection `orders` to a web server, as JSON.

import { http, log } from "gtm-plugin";

// Anybody who runs the plugin can set these: --set url=https://… The host refuses a setting that is not here.
export const settings = {
  url: { type: "text", required: true, doc: "The address that gets each document." },
  token: { type: "text", secret: true, doc: "The token that is sent along." },
};

// A * stands for any characters: each database may have the collection.
export const subscriptions = [{ namespace: "*.orders", operationTypes: ["insert", "update", "replace"] }];

// The host retries the op if the server cannot do it now, and rejects it if the server refuses it.
export function handle(op, config) {
  const headers = { "content-type": "application/json" };
  if (config.token) headers.authorization = `Bearer ${config.token}`;
  const body = JSON.stringify(op.json());
  const response = http.fetch(config.url, { method: "POST", headers, body, idempotencyKey: op.id }).check();
  log.debug(`answered with status ${response.status}`);
}
