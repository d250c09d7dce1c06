"""The host in memory. Its functions are those of `gtm_plugin._host`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import bson
from bson import json_util

from ..errors import NotGranted


@dataclass
class Host:
    """What a test says, and what a plugin did."""

    config: dict[str, str] = field(default_factory=dict)
    server: Callable[[str, str], Any] | None = None
    collections: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    mail_error: Exception | None = None
    state: dict[str, bytes] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    mails: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], bytes | None]] = field(default_factory=list)
    writes: list[tuple[str, str, Any]] = field(default_factory=list)


current = Host()


def write_log(level: str, message: str) -> None:
    current.log.append((level, message))


def get_config(key: str) -> str | None:
    return current.config.get(key)


def all_config() -> dict[str, str]:
    return dict(current.config)


def encode_json(document: bytes) -> str:
    return json_util.dumps(bson.decode(document), json_options=json_util.RELAXED_JSON_OPTIONS)


def encode_canonical_json(document: bytes) -> str:
    return json_util.dumps(bson.decode(document), json_options=json_util.CANONICAL_JSON_OPTIONS)


def decode_json(text: str) -> bytes:
    return bson.encode(json_util.loads(text))


def send_mail(message: dict[str, Any]) -> str:
    if current.mail_error is not None:
        raise current.mail_error
    current.mails.append(message)
    return f"<{len(current.mails)}@test>"


def send_request(
    method: str, url: str, headers: list[tuple[str, str]], body: bytes | None, timeout: int | None
) -> tuple[int, list[tuple[str, str]], bytes]:
    current.requests.append((method, url, dict(headers), body))
    if current.server is None:
        raise NotGranted("the test has no server")
    response = current.server(method, url)
    return response.status, list(response.headers.items()), response.content


def count(name: str, by: int) -> None: ...
def gauge(name: str, value: float) -> None: ...
def record(name: str, value: float) -> None: ...


def get_state(key: str) -> bytes | None:
    return current.state.get(key)


def set_state(key: str, value: bytes) -> None:
    current.state[key] = value


def delete_state(key: str) -> None:
    current.state.pop(key, None)


def swap_state(key: str, expected: bytes | None, value: bytes) -> bool:
    if current.state.get(key) != expected:
        return False
    current.state[key] = value
    return True


def find(namespace: str, filter: bytes, *options: Any) -> list[bytes]:
    return [bson.encode(one) for one in current.collections.get(namespace, [])]


def aggregate(namespace: str, pipeline: list[bytes]) -> list[bytes]:
    return [bson.encode(one) for one in current.collections.get(namespace, [])]


def insert(namespace: str, documents: list[bytes]) -> None:
    current.writes.extend(("insert", namespace, bson.decode(one)) for one in documents)


def update(namespace: str, filter: bytes, update: bytes, many: bool, upsert: bool) -> tuple[int, int, bytes | None]:
    current.writes.append(("update", namespace, (bson.decode(filter), bson.decode(update))))
    return 1, 1, None


def replace(namespace: str, filter: bytes, replacement: bytes, upsert: bool) -> tuple[int, int, bytes | None]:
    current.writes.append(("replace", namespace, (bson.decode(filter), bson.decode(replacement))))
    return 1, 1, None


def delete(namespace: str, filter: bytes, many: bool) -> int:
    current.writes.append(("delete", namespace, bson.decode(filter)))
    return 1
