"""E-mail through the mail server that the host is set up with. In handlers only."""

from __future__ import annotations

from collections.abc import Sequence

from . import _host
from .errors import Invalid, NotGranted, Rejected, TooLarge, Unavailable, expect

__all__ = ["Invalid", "NotGranted", "Rejected", "TooLarge", "Unavailable", "send"]


def send(
    *,
    to: str | Sequence[str],
    subject: str,
    text: str | None = None,
    html: str | None = None,
    cc: str | Sequence[str] = (),
    bcc: str | Sequence[str] = (),
    from_: str | None = None,
    reply_to: str | None = None,
) -> str:
    """Sends a message, and returns its Message-ID, which is the same when the op is delivered again.

    Addresses are ``ada@example.com`` or ``Ada Lovelace <ada@example.com>``. At least one of text and html is needed.
    """
    message = {
        "from_": expect("from_", from_, str, optional=True), "to": _listed("to", to), "cc": _listed("cc", cc),
        "bcc": _listed("bcc", bcc), "reply_to": expect("reply_to", reply_to, str, optional=True),
        "subject": expect("subject", subject, str), "text": expect("text", text, str, optional=True),
        "html": expect("html", html, str, optional=True),
    }
    return _host.send_mail(message)


def _listed(what: str, addresses: str | Sequence[str]) -> list[str]:
    if not isinstance(addresses, (list, tuple)):
        return [expect(what, addresses, str)]
    return [expect(what, address, str) for address in addresses]
