"""Runs a mail server on loopback that prints each mail as a line of JSON: smtp_sink.py PORT [utf8] [login]."""

import asyncio
import email
import email.policy
import json
import sys

from aiosmtpd.smtp import SMTP


class Sink:
    def __init__(self):
        self.put_off = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused@"):
            return "550 no such user"
        if address.startswith("later@") and address not in self.put_off:
            self.put_off.add(address)
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = mail.get_body(("plain", "html"))
        print(
            json.dumps(
                {
                    "id": mail["Message-ID"],
                    "from": mail["From"],
                    "to": envelope.rcpt_tos,
                    "subject": mail["Subject"],
                    "text": body.get_content() if body else "",
                }
            ),
            flush=True,
        )
        return "250 OK"


async def main():
    sink = Sink()
    options = {"enable_SMTPUTF8": "utf8" in sys.argv}
    if "login" in sys.argv:
        # No password is right.
        options |= {"auth_required": True, "auth_require_tls": False}
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(sink, hostname="localhost", **options), "127.0.0.1", int(sys.argv[1])
    )
    async with server:
        await server.serve_forever()


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
