// E-mail, through the mail server that the host is set up with.

import { assertRunning } from "#host/running";
import * as host from "#host/mail";
import { MailError, asked, text } from "./errors.js";

/** One address, several, or none. */
const addresses = (value) => (value == null ? [] : [value].flat().map(text));
const optional = (value) => (value == null ? undefined : text(value));

export function send(message) {
  assertRunning("mail");
  return asked(MailError, () =>
    host.send({
      from: optional(message.from),
      to: addresses(message.to),
      cc: addresses(message.cc),
      bcc: addresses(message.bcc),
      replyTo: optional(message.replyTo),
      subject: text(message.subject ?? ""),
      text: optional(message.text),
      html: optional(message.html),
    }),
  );
}
