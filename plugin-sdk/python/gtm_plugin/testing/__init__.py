"""Runs a plugin natively, with a host in memory.

::

    run = Harness(config={"subject": "Hi"}).run(insert("app.users", {"email": "ada@example.com"}))
    assert run.handled and run.mails[0]["to"] == ["ada@example.com"]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace as _changed
from datetime import datetime, timezone
from itertools import count
from typing import TYPE_CHECKING, Any

import bson

from .. import _memory, _trace
from .._memory import Effects, Request, Write
from ..errors import Failure, Retry
from ..op import Op, Timestamp
from ..registry import Subscription, Tick, registry, taking
from ._settings import checked

if TYPE_CHECKING:
    from ..http import Response

__all__ = ["Batch", "Effects", "Harness", "Request", "Run", "Write", "delete", "insert", "op", "replace", "update"]


@dataclass
class Run(Effects):
    """The result of an op, and the effects of the plugin."""

    wanted: bool = True
    failure: Failure | None = None

    @property
    def handled(self) -> bool:
        return self.wanted and self.failure is None


@dataclass
class Batch(Effects):
    """The outcomes of several ops, None for each that was handled, and the effects of the plugin."""

    outcomes: Sequence[Failure | None] = ()


class Harness:
    """An instance of the plugin whose module was imported, in a host in memory. State lasts from one op to the next."""

    def __init__(
        self,
        *,
        config: Mapping[str, Any] | None = None,
        server: Callable[[str, str], Response] | Callable[[str, str, Request], Response] | None = None,
        collections: Mapping[str, list[dict[str, Any]]] | None = None,
        mail_error: Failure | None = None,
        write_error: Failure | None = None,
        state_quota: tuple[int, int] | None = None,
    ) -> None:
        """Describes the world around the plugin.

        ``config`` has the settings as a user writes them, ``{"wait": "10s"}``, or as values of Python. They are checked if the plugin
        declares its settings. ``server`` answers requests, by method, URL and, if it takes a third argument, the `Request`.
        ``collections`` are found, whole, by their namespace. Each mail fails with ``mail_error``, and each write with ``write_error``. ``state_quota`` is the maximum number of keys, and of the bytes of keys and
        values; 0 means no limit. By default, it is that of the host.
        """
        self.host = _memory.Host({}, server and taking(server), dict(collections or {}), mail_error, write_error)
        if state_quota is not None:
            self.host.state_quota = state_quota
        self._config = dict(config or {})
        self._settings: Any = None
        self._subscriptions: list[Subscription] | None = None

    def init(self) -> list[Subscription]:
        """Checks the settings and initializes the plugin, and returns its subscriptions. `run` does it before the first op.

        Raises ValueError if the settings are not valid, or if the plugin refuses them.
        """
        if self._subscriptions is None:
            self.host.config = checked(registry.settings, self._config)
            self._settings = registry.values(self.host.config)
            self._begin(is_handling=False)
            try:
                self._subscriptions = registry.begin(self._settings)
            except Exception as error:
                raise ValueError(_trace.refusal(error)) from error
        return self._subscriptions

    def run(self, op: Op) -> Run:
        """Filters and handles an op, as the host does."""
        self.init()
        effects = self._begin(is_handling=False)
        if registry.filter is not None and not registry.filter(op, self._settings):
            return Run(**vars(effects), wanted=False)
        if registry.handler is None and registry.batch_handler is None:
            # A filter for other plugins handles nothing.
            return Run(**vars(effects))
        self.host.is_handling = True
        return Run(**vars(effects), failure=self._handle(op))

    def run_batch(self, ops: Sequence[Op]) -> Batch:
        """Handles ops in one call, regardless of the filter."""
        self.init()
        effects = self._begin(is_handling=True)
        return Batch(**vars(effects), outcomes=self._handle_all(list(ops)))

    def tick(self, timer: str, at: datetime | None = None) -> Run:
        """Does the work of a timer, as if it was due at this time, by default now."""
        self.init()
        effects = self._begin(is_handling=True)
        at = datetime.now(timezone.utc) if at is None else at
        try:
            registry.timers[timer].function(Tick(timer, at, f"{int(at.timestamp())}.0.tick-{timer}"), self._settings)
        except Exception as error:
            return Run(**vars(effects), failure=_failure(error))
        return Run(**vars(effects))

    def schedules(self) -> dict[str, str]:
        """Returns the schedule of each timer with these settings."""
        self.init()
        return {name: timer.schedule(self._settings) for name, timer in registry.timers.items()}

    def _begin(self, is_handling: bool) -> Effects:
        _memory.current = self.host
        self.host.is_handling = is_handling
        self.host.effects = Effects()
        return self.host.effects

    def _handle(self, op: Op) -> Failure | None:
        if registry.handler is None:
            return self._handle_all([op])[0]
        try:
            registry.handler(op, self._settings)
        except Exception as error:
            return _failure(error)
        return None

    def _handle_all(self, ops: list[Op]) -> list[Failure | None]:
        assert registry.batch_handler is not None, "the plugin has no @batch_handler"
        try:
            outcomes = list(registry.batch_handler(ops, self._settings))
            if len(outcomes) != len(ops):
                raise ValueError(f"the batch handler returns {len(outcomes)} outcomes for {len(ops)} ops")
        except Exception as error:
            outcomes = [error] * len(ops)
        return [None if outcome is None else _failure(outcome) for outcome in outcomes]


def _failure(error: Exception) -> Failure:
    return error if isinstance(error, Failure) else Retry(_trace.reason(error))


# The time of all ops, in seconds since 1970.
_TIME = 1_700_000_000
_made = count(1)


def op(operation_type: str, namespace: str, **fields: Any) -> Op:
    """Returns any op. Its documents are bytes: ``raw_document``, …

    Each has an id of its own, in the form that a host gives to ops of this source: for the oplog ``1700000000.1.0``.
    """
    database, _, collection = namespace.partition(".")
    increment = next(_made)
    made = Op(_id(increment, fields.get("origin", "oplog")), operation_type, database, collection, Timestamp(_TIME, increment), _TIME * 1000)
    return _changed(made, **fields)


def _id(number: int, origin: str) -> str:
    # A token begins with the timestamp.
    places = {"change-stream": f"82{_TIME:08X}{number:08X}", "snapshot": f"document-{number:032x}"}
    return f"{_TIME}.{number}.{places.get(origin, 0)}"


def insert(namespace: str, document: Mapping[str, Any], **fields: Any) -> Op:
    """Returns an insert of this document. Other fields of the op can be given: ``attempt=2``."""
    return op("insert", namespace, **{**_after(document), **fields})


def update(namespace: str, document: Mapping[str, Any], update_description: Mapping[str, Any] | None = None, **fields: Any) -> Op:
    """Returns an update, after which the document is this. Its description is ``{"updatedFields": …, "removedFields": …}``."""
    description = {} if update_description is None else {"raw_update_description": bson.encode(update_description)}
    return op("update", namespace, **{**_after(document), **description, **fields})


def replace(namespace: str, document: Mapping[str, Any], **fields: Any) -> Op:
    """Returns a replacement by this document."""
    return op("replace", namespace, **{**_after(document), **fields})


def delete(namespace: str, key: Mapping[str, Any], **fields: Any) -> Op:
    """Returns a deletion of the document with this key."""
    return op("delete", namespace, **{"raw_document_key": bson.encode(key), **fields})


def _after(document: Mapping[str, Any]) -> dict[str, bytes]:
    return {"raw_document": bson.encode(document), "raw_document_key": bson.encode({"_id": document.get("_id")})}
