"""A host in memory, for tests. Its functions are those of `gtm_plugin._host`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

import bson
from bson import json_util
from bson.codec_options import CodecOptions, DatetimeConversion

from . import _memory_json
from .errors import Invalid, NotGranted, TooLarge, Unavailable


class Request(NamedTuple):
    """A request that the plugin sent."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None
    timeout: int | None
    """In milliseconds."""


class Write(NamedTuple):
    """What the plugin wrote to a collection."""

    operation: str
    """insert, update, replace or delete."""
    namespace: str
    document: Any
    """The document, or the filter of a deletion, or the filter and what the plugin wrote."""
    many: bool = False
    upsert: bool = False


@dataclass
class Effects:
    """The effects of a call of the plugin."""

    log: list[tuple[str, str]] = field(default_factory=list)
    mails: list[dict[str, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    recorded: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Host:
    """The world around a plugin, as its test describes it."""

    config: dict[str, str] = field(default_factory=dict)
    server: Callable[..., Any] | None = None
    collections: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    mail_error: Exception | None = None
    write_error: Exception | None = None
    state: dict[str, bytes] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)
    """The times at which values of the state end."""
    state_quota: tuple[int, int] = (100_000, 256 << 20)
    """The maximum number of keys, and of the bytes of keys and values. 0: no limit."""
    effects: Effects = field(default_factory=Effects)
    is_handling: bool = True


current = Host()


def _granted(capability: str) -> Host:
    """Returns the host, for a capability that works in a handler only."""
    if not current.is_handling:
        raise NotGranted(f"{capability} can be used in handle only")
    return current


def write_log(level: str, message: str) -> None:
    current.effects.log.append((level, message))


def get_config(key: str) -> str | None:
    return current.config.get(key)


def all_config() -> dict[str, str]:
    return dict(current.config)


def encode_json(document: bytes) -> str:
    return _json(document, canonical=False)


def encode_canonical_json(document: bytes) -> str:
    return _json(document, canonical=True)


def _json(document: bytes, canonical: bool) -> str:
    """Returns a document on one line, as the host writes it."""
    try:
        bson.decode(document, _ANY_DATE)
    # Bytes that are not BSON raise whatever the decoder comes upon.
    except Exception as error:
        raise Invalid(f"not valid BSON: {error}") from error
    return _memory_json.written(document, canonical)


_ANY_DATE: CodecOptions[dict[str, Any]] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)


def decode_json(text: str) -> bytes:
    return bson.encode(json_util.loads(text))


def send_mail(message: dict[str, Any]) -> str:
    host = _granted("mail")
    if host.mail_error is not None:
        raise host.mail_error
    host.effects.mails.append(message)
    return f"<{len(host.effects.mails)}@test>"


def send_request(
    method: str, url: str, headers: list[tuple[str, str]], body: bytes | None, timeout: int | None
) -> tuple[int, list[tuple[str, str]], bytes]:
    host = _granted("http")
    request = Request(method, url, dict(headers), body, timeout)
    host.effects.requests.append(request)
    if host.server is None:
        raise NotGranted("the test has no server")
    response = host.server(method, url, request)
    return response.status, [(name.lower(), value) for name, value in response.headers.items()], response.content


def count(name: str, by: int) -> None:
    current.effects.counters[name] = current.effects.counters.get(name, 0) + by


def gauge(name: str, value: float) -> None:
    current.effects.gauges[name] = value


def record(name: str, value: float) -> None:
    current.effects.recorded.setdefault(name, []).append(value)


def _kept() -> Host:
    """Returns the host with its state, without the values whose time has passed."""
    host = _granted("state")
    for key in [key for key, end in host.ends.items() if end <= time.monotonic()]:
        del host.state[key], host.ends[key]
    return host


# The limits of the host.
_MAX_KEY_BYTES = 512
_MAX_VALUE_BYTES = 1 << 20
_MAX_PAGE_ENTRIES = 1000


def _checked(key: str, value: bytes = b"") -> None:
    length = len(key.encode())
    if not 1 <= length <= _MAX_KEY_BYTES:
        raise Invalid(f"a key has 1 to {_MAX_KEY_BYTES} bytes, and this one {length}")
    if len(value) > _MAX_VALUE_BYTES:
        raise TooLarge(f"a value has at most {_MAX_VALUE_BYTES} bytes, and this one {len(value)}")


def _store(host: Host, key: str, value: bytes) -> None:
    """Stores a value if the quota has room for it."""
    former = host.state.get(key)
    keys, _, size, _ = state_quota()
    max_keys, max_bytes = host.state_quota
    room = len(value) if former is None else len(value) - len(former)
    size += room + (len(key.encode()) if former is None else 0)
    is_over = 0 < max_keys < keys + (former is None) or 0 < max_bytes < size
    if is_over and (former is None or room > 0):
        raise Unavailable("the plugin keeps as much state as it may")
    host.state[key] = value


def get_state(key: str) -> bytes | None:
    _checked(key)
    return _kept().state.get(key)


def set_state(key: str, value: bytes, time_to_live: int | None) -> None:
    _checked(key, value)
    host = _kept()
    _store(host, key, value)
    host.ends.pop(key, None)
    _end(host, key, time_to_live)


def _end(host: Host, key: str, time_to_live: int | None) -> None:
    if time_to_live is not None:
        host.ends[key] = time.monotonic() + time_to_live / 1000


def delete_state(key: str) -> None:
    _checked(key)
    host = _kept()
    host.state.pop(key, None)
    host.ends.pop(key, None)


def swap_state(key: str, expected: bytes | None, value: bytes, time_to_live: int | None) -> bool:
    _checked(key, value)
    if _kept().state.get(key) != expected:
        return False
    set_state(key, value, time_to_live)
    return True


def increment_state(key: str, by: int, time_to_live: int | None) -> int:
    _checked(key)
    host = _kept()
    try:
        total = int(host.state.get(key, b"0")) + by
    except ValueError:
        raise Invalid(f"the value of {key} is not a number") from None
    if not -(2**63) <= total < 2**63:
        raise Invalid("the sum does not fit")
    _store(host, key, str(total).encode())
    _end(host, key, time_to_live)
    return total


def list_state(prefix: str, after: str | None, limit: int) -> list[tuple[str, bytes, int | None]]:
    host = _kept()
    if limit < 1:
        raise Invalid("a page has at least 1 entry, and the limit is 0")
    for text in (prefix, after or ""):
        if len(text.encode()) > _MAX_KEY_BYTES:
            raise Invalid(f"a key has at most {_MAX_KEY_BYTES} bytes, and prefix or after has {len(text.encode())}")
    keys = sorted((key for key in host.state if key.startswith(prefix)), key=str.encode)
    keys = [key for key in keys if after is None or key.encode() > after.encode()][: min(limit, _MAX_PAGE_ENTRIES)]
    sizes = accumulate(len(key.encode()) + len(host.state[key]) for key in keys)
    keys = [key for at, (key, size) in enumerate(zip(keys, sizes)) if at == 0 or size <= _MAX_VALUE_BYTES]
    rest = {key: int((end - time.monotonic()) * 1000) for key, end in host.ends.items()}
    return [(key, host.state[key], rest.get(key)) for key in keys]


def state_quota() -> tuple[int, int, int, int]:
    host = _kept()
    max_keys, max_bytes = host.state_quota
    return len(host.state), max_keys, sum(len(key.encode()) + len(value) for key, value in host.state.items()), max_bytes


def find(
    namespace: str, filter: bytes, projection: bytes | None, sort: bytes | None, skip: int | None, limit: int | None
) -> list[bytes]:
    found = _granted("mongodb").collections.get(namespace, [])
    start = skip or 0
    return [bson.encode(one) for one in found[start : None if limit is None else start + limit]]


def aggregate(namespace: str, pipeline: list[bytes]) -> list[bytes]:
    return [bson.encode(one) for one in _granted("mongodb").collections.get(namespace, [])]


def _write(*write: Any, **options: bool) -> None:
    host = _granted("mongodb")
    if host.write_error is not None:
        raise host.write_error
    host.effects.writes.append(Write(*write, **options))


def insert(namespace: str, documents: list[bytes]) -> None:
    for one in documents:
        _write("insert", namespace, bson.decode(one))


def update(namespace: str, filter: bytes, update: bytes, many: bool, upsert: bool) -> tuple[int, int, bytes | None]:
    _write("update", namespace, (bson.decode(filter), bson.decode(update)), many=many, upsert=upsert)
    return 1, 1, None


def replace(namespace: str, filter: bytes, replacement: bytes, upsert: bool) -> tuple[int, int, bytes | None]:
    _write("replace", namespace, (bson.decode(filter), bson.decode(replacement)), upsert=upsert)
    return 1, 1, None


def delete(namespace: str, filter: bytes, many: bool) -> int:
    _write("delete", namespace, bson.decode(filter), many=many)
    return 1
