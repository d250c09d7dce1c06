"""HTTP requests to the servers that the plugin is granted. In handlers only. Redirects are not followed."""

from __future__ import annotations

import json as _json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import _host
from .errors import Invalid, NotGranted, Rejected, Unavailable, expect

__all__ = ["Invalid", "NotGranted", "Rejected", "Response", "Unavailable", "get", "post", "request"]


@dataclass
class Response:
    """What came back, whatever its status. The names of headers are in small letters."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        return _json.loads(self.content)

    def raise_for_status(self) -> Response:
        """Unavailable, which is tried again, for 408, 425, 429 and 5xx; Rejected for others but 2xx."""
        if 200 <= self.status < 300:
            return self
        kind = Unavailable if self.status in (408, 425, 429) or self.status >= 500 else Rejected
        raise kind(f"the server answers with status {self.status}: {self.text[:200]}")


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes | str | None = None,
    json: Any = None,
    timeout: float | None = None,
) -> Response:
    """Sends a request. ``timeout`` is in seconds; the host waits no longer than it lets a plugin wait."""
    sent = [(expect("headers", name, str), expect(name, value, str)) for name, value in (headers or {}).items()]
    if json is not None:
        content = _json.dumps(json)
        sent.append(("content-type", "application/json"))
    body = content.encode() if isinstance(content, str) else content
    expect("content", body, bytes, optional=True)
    expect("timeout", timeout, float, optional=True)
    status, received, answer = _host.send_request(
        expect("method", method, str), expect("url", url, str), sent, body, None if timeout is None else int(timeout * 1000)
    )
    return Response(status, dict(received), answer)


def get(url: str, **options: Any) -> Response:
    """Reads what is there."""
    return request("GET", url, **options)


def post(url: str, **options: Any) -> Response:
    """Has the server do something."""
    return request("POST", url, **options)
