// Welcomes each new user by mail.

import { type Config, type Op, defineSettings, extendedJson, log, mail } from "gtm-plugin";

// Anybody who runs the plugin can set these: --set subject=Hello. The host refuses a setting that is not here.
export const settings = defineSettings({
  subject: { type: "text", default: "Welcome", doc: "The subject of the mails." },
});

interface User {
  name?: unknown;
}

// To subscribe to some changes only:
// export const subscriptions = [{ namespace: "app.users", operationTypes: ["insert"] }];

export function filter(op: Op): boolean {
  return op.isInsert && op.collection === "users";
}

export function handle(op: Op, config: Config<typeof settings>): void {
  const { name } = op.document<User>();
  log.debug(`document: ${extendedJson.canonical(op.rawDocument())}`);

  // If it is missing or has another type, the host rejects the op with a reason that names the field.
  const email = op.field("email", "string");
  const who = typeof name === "string" ? name : "there";

  mail.send({ to: email, subject: config.subject, text: `Hello ${who}` });
  log.info(`welcomed ${who}`);
}
