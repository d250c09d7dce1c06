// Welcomes each new user by mail.

import { type Op, Reject, config, extendedJson, log, mail } from "gtm-plugin";

interface User {
  name?: unknown;
  email?: unknown;
}

// To be asked about some changes only:
// export const subscriptions = [{ namespace: "app.users", operationTypes: ["insert"] }];

export function filter(op: Op): boolean {
  return op.isInsert && op.collection === "users";
}

export function handle(op: Op): void {
  const { email, name } = op.document<User>();
  log.debug(`document: ${extendedJson.canonical(op.rawDocument())}`);

  if (typeof email !== "string") throw new Reject("the document has no email");
  const who = typeof name === "string" ? name : "there";

  mail.send({ to: email, subject: config.get("subject") ?? "Welcome", text: `Hello ${who}` });
  log.info(`welcomed ${who}`);
}
