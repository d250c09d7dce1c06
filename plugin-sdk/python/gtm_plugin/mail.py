"""E-mail through the mail server that the host is set up with. In handlers only."""

from __future__ import annotations

from collections.abc import Sequence

from . import _host
from .errors import Invalid, NotGranted, Rejected, Unavailable

__all__ = ["Invalid", "NotGranted", "Rejected", "Unavailable", "send"]


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
        "from_": from_, "to": _listed(to), "cc": _listed(cc), "bcc": _listed(bcc), "reply_to": reply_to, "subject": subject,
        "text": text, "html": html,
    }
    return _host.send_mail(message)


def _listed(addresses: str | Sequence[str]) -> list[str]:
    return [addresses] if isinstance(addresses, str) else list(addresses)
