import { granted, refused } from "../world.js";

export function send(message) {
  const { run, mailError } = granted("mail");
  if (mailError) throw refused(mailError.kind, mailError.message);
  if (message.to.length + message.cc.length + message.bcc.length === 0) throw refused("invalid", "the mail has no recipient");
  if (message.text === undefined && message.html === undefined) throw refused("invalid", "the mail has no body");
  run.mails.push(message);
  return `<${run.mails.length}@localhost>`;
}
