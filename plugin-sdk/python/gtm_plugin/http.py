"""HTTP requests to the servers that the plugin is granted. In handlers only. Redirects are not followed."""

from __future__ import annotations

import json as _json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from . import _host
from .errors import Invalid, NotGranted, Rejected, TooLarge, Unavailable, expect

__all__ = ["Invalid", "NotGranted", "Rejected", "Response", "TooLarge", "Unavailable", "get", "post", "request"]


@dataclass
class Response:
    """A response, regardless of its status. The names of headers are in lowercase."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        return _json.loads(self.content)

    def raise_for_status(self) -> Response:
        """Raises Unavailable for the statuses 408, 425, 429 and 5xx, and Rejected for all others but 2xx.

        Unavailable is retried: after the time in the header ``Retry-After``, if the server sends it.
        """
        if 200 <= self.status < 300:
            return self
        said = f"the server answers with status {self.status}: {self.text[:200]}"
        if self.status in (408, 425, 429) or self.status >= 500:
            raise Unavailable(said, after=_pause(self.headers.get("retry-after", "").strip()))
        raise Rejected(said)


def _pause(retry_after: str) -> timedelta | None:
    """Returns the time that a `Retry-After` asks for, which has seconds or a date."""
    if retry_after.isascii() and retry_after.isdecimal():
        return timedelta(seconds=min(int(retry_after), 86400))
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(timedelta(), date.replace(tzinfo=date.tzinfo or timezone.utc) - datetime.now(timezone.utc))


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes | str | None = None,
    json: Any = None,
    timeout: float | timedelta | None = None,
    idempotency_key: str | None = None,
) -> Response:
    """Sends a request, and returns the response regardless of its status.

    ``timeout`` is the time to wait for an answer, in seconds or as a timedelta; the host's own limit applies in any case.
    ``idempotency_key`` is sent as the header ``Idempotency-Key``, by which a server recognizes a repeated request: ``op.id``.
    """
    sent = [(expect("headers", name, str), expect(name, value, str)) for name, value in (headers or {}).items()]
    if json is not None:
        content = _json.dumps(json)
        sent.append(("content-type", "application/json"))
    if idempotency_key is not None:
        sent.append(("idempotency-key", expect("idempotency_key", idempotency_key, str)))
    if isinstance(timeout, timedelta):
        timeout = timeout.total_seconds()
    body = content.encode() if isinstance(content, str) else content
    expect("content", body, bytes, optional=True)
    expect("timeout", timeout, float, optional=True)
    status, received, answer = _host.send_request(
        expect("method", method, str), expect("url", url, str), sent, body, None if timeout is None else int(timeout * 1000)
    )
    return Response(status, dict(received), answer)


def get(url: str, **options: Any) -> Response:
    """Sends a GET request. The options are those of `request`."""
    return request("GET", url, **options)


def post(url: str, **options: Any) -> Response:
    """Sends a POST request. The options are those of `request`."""
    return request("POST", url, **options)
