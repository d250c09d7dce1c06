// Welcomes each new user by mail.

import { config, extendedJson, log, mail } from "gtm-plugin";

// To subscribe to some changes only:
// export const subscriptions = [{ namespace: "app.users", operationTypes: ["insert"] }];

export function filter(op) {
  return op.isInsert && op.collection === "users";
}

export function handle(op) {
  const { name } = op.document();
  log.debug(`document: ${extendedJson.canonical(op.rawDocument())}`);

  // If it is missing or has another type, the host rejects the op with a reason that names the field.
  const email = op.field("email", "string");
  const who = typeof name === "string" ? name : "there";

  mail.send({ to: email, subject: config.get("subject") ?? "Welcome", text: `Hello ${who}` });
  log.info(`welcomed ${who}`);
}
