/** A message. An address is `ada@example.com` or `Ada Lovelace <ada@example.com>`. */
export interface Message {
  /** Without it, the sender that the host is set up with. */
  from?: string;
  to?: string | string[];
  cc?: string | string[];
  bcc?: string | string[];
  replyTo?: string;
  subject?: string;
  /** At least one of `text` and `html`; with both, readers choose. */
  text?: string;
  html?: string;
}

/**
 * Sends a message and gives its Message-ID, which is the same when the op is delivered again. In `handle` and `tick` only.
 *
 * @throws MailError
 */
export function send(message: Message): string;
