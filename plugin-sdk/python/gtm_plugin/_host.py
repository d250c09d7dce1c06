"""The host: in a component the real one, else one in memory, which `gtm_plugin.testing` sets up.

Each function raises an error of `gtm_plugin.errors`.
"""

from __future__ import annotations

import importlib
from typing import Any

from .errors import KINDS, Unavailable

try:
    from componentize_py_types import Err
    from wit_world.imports import config, extended_json, log
except ImportError:
    from ._memory import *  # noqa: F403
else:

    def _imported(name: str) -> Any:
        """Returns the bindings of a capability. None: the plugin does not use it, so that its world does not have it."""
        try:
            return importlib.import_module(f"wit_world.imports.{name}")
        except ModuleNotFoundError:
            return None

    http, mail, metrics, mongodb, state = map(_imported, ("http", "mail", "metrics", "mongodb", "state"))

    def _asked(function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Err as error:
            reason = error.value
            kind = KINDS.get(type(reason).__name__.removeprefix("Error_"), Unavailable)
            raise kind(reason.value) from None

    LEVELS = {level.name.lower(): level for level in log.Level}

    def write_log(level: str, message: str) -> None:
        log.log(LEVELS[level], message)

    def get_config(key: str) -> str | None:
        return config.get(key)

    def all_config() -> dict[str, str]:
        return dict(config.get_all())

    def encode_json(document: bytes) -> str:
        return _asked(extended_json.encode, document)

    def encode_canonical_json(document: bytes) -> str:
        return _asked(extended_json.encode_canonical, document)

    def decode_json(text: str) -> bytes:
        return _asked(extended_json.decode, text)

    def send_mail(message: dict[str, Any]) -> str:
        return _asked(mail.send, mail.Message(**message))

    def send_request(
        method: str, url: str, headers: list[tuple[str, str]], body: bytes | None, timeout: int | None
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        response = _asked(http.send, http.Request(method, url, headers, body, timeout))
        return response.status, response.headers, bytes(response.body)

    def count(name: str, by: int) -> None:
        metrics.count(name, by)

    def gauge(name: str, value: float) -> None:
        metrics.gauge(name, value)

    def record(name: str, value: float) -> None:
        metrics.record_value(name, value)

    def get_state(key: str) -> bytes | None:
        return _asked(state.get, key)

    def set_state(key: str, value: bytes, time_to_live: int | None) -> None:
        _asked(state.set, key, value, time_to_live)

    def delete_state(key: str) -> None:
        _asked(state.delete, key)

    def swap_state(key: str, expected: bytes | None, value: bytes, time_to_live: int | None) -> bool:
        return _asked(state.compare_and_swap, key, expected, value, time_to_live)

    def increment_state(key: str, by: int, time_to_live: int | None) -> int:
        return _asked(state.increment, key, by, time_to_live)

    def list_state(prefix: str, after: str | None, limit: int) -> list[tuple[str, bytes, int | None]]:
        return [(one.key, bytes(one.value), one.time_to_live) for one in _asked(state.list_entries, prefix, after, limit)]

    def state_quota() -> tuple[int, int, int, int]:
        quota = _asked(state.get_quota)
        return quota.keys, quota.max_keys, quota.bytes, quota.max_bytes

    def find(
        namespace: str, filter: bytes, projection: bytes | None, sort: bytes | None, skip: int | None, limit: int | None
    ) -> list[bytes]:
        return _asked(mongodb.find, namespace, filter, mongodb.FindOptions(projection, sort, skip, limit))

    def aggregate(namespace: str, pipeline: list[bytes]) -> list[bytes]:
        return _asked(mongodb.aggregate, namespace, pipeline)

    def insert(namespace: str, documents: list[bytes]) -> None:
        _asked(mongodb.insert, namespace, documents)

    def update(namespace: str, filter: bytes, update: bytes, many: bool, upsert: bool) -> tuple[int, int, bytes | None]:
        result = _asked(mongodb.update, namespace, filter, update, mongodb.UpdateOptions(many, upsert))
        return result.matched_count, result.modified_count, result.upserted_id

    def replace(namespace: str, filter: bytes, replacement: bytes, upsert: bool) -> tuple[int, int, bytes | None]:
        result = _asked(mongodb.replace, namespace, filter, replacement, upsert)
        return result.matched_count, result.modified_count, result.upserted_id

    def delete(namespace: str, filter: bytes, many: bool) -> int:
        return _asked(mongodb.delete, namespace, filter, many)
