"""The interfaces that the component exports. An exception of another type that leaves them ends the instance."""

from __future__ import annotations

import os
import random
import sys
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn

from bson.objectid import ObjectId
from componentize_py_types import Err, Ok
from wit_world.imports import types

# The plugin may not export them.
try:
    from wit_world.exports import lifecycle
except ImportError:
    pass
try:
    from wit_world.exports import schedule
except ImportError:
    pass

from . import _host, _trace, log
from ._settings import Declared
from .errors import Failure, Reject, Retry
from .op import Op, Timestamp, Transaction
from .registry import OPERATIONS, Tick, registry

TYPES = dict(zip(types.OperationType, OPERATIONS))
KINDS = {name: kind for kind, name in TYPES.items()}
ORIGINS = {origin: origin.name.lower().replace("_", "-") for origin in types.Origin}


class Instance:
    """The state of this instance."""

    is_begun = False
    settings: Any = None


def _settings() -> Any:
    """Begins the instance on its first call, and returns the settings, which do not change during its life."""
    if not Instance.is_begun:
        Instance.is_begun = True
        # The numbers that were drawn during the build would be the same in each instance.
        random.seed()
        ObjectId._ObjectId__random = os.urandom(5)  # type: ignore[attr-defined]
        ObjectId._inc = random.SystemRandom().randint(0, 0xFFFFFF)
        Instance.settings = registry.values(_host.all_config())
    return Instance.settings


def _op(op: Any) -> Op:
    transaction = op.transaction
    return Op(
        op.id, TYPES[op.operation_type], op.database, op.collection, Timestamp(op.timestamp.time, op.timestamp.increment),
        op.wall_time, op.document_key, op.full_document, op.full_document_before_change, op.update_description, op.command,
        None if transaction is None else Transaction(transaction.id, transaction.index), ORIGINS[op.origin], op.attempt,
    )


def _failed(error: BaseException) -> Any:
    if not isinstance(error, Failure):
        log.error(_trace.formatted(error))
    reason = _trace.reason(error)
    if isinstance(error, Reject):
        return types.Failure_Reject(reason)
    if isinstance(error, Retry) and error.after is not None:
        # Rounded up, so that the host does not come too soon.
        return types.Failure_RetryAfter(types.DelayedRetry(-(-error.after // timedelta(milliseconds=1)), reason))
    return types.Failure_Retry(reason)


def _is_wanted(op: Any) -> bool:
    try:
        return bool(registry.filter(_op(op), _settings()))  # type: ignore[misc]
    except Reject:
        # The handler cannot decode it either, and rejects the op.
        return True


def _end(error: BaseException) -> NoReturn:
    """Ends the instance, for a function whose contract has no error. The host takes what is printed for the reason."""
    print(_trace.reason(error), file=sys.stderr, flush=True)
    os._exit(1)


def _setting(declared: Declared) -> Any:
    kind = getattr(lifecycle, f"SettingType_{declared.type.capitalize()}")
    return lifecycle.Setting(
        declared.name, kind(declared.choices) if declared.type == "choice" else kind(), declared.default, declared.doc,
        declared.required, declared.secret, declared.former_names,
    )


class WitWorld:
    """The world itself exports no function."""


class Lifecycle:
    def settings(self) -> list[Any] | None:
        return None if registry.settings is None else [_setting(one) for one in registry.settings.settings]

    def init(self) -> list[Any]:
        try:
            subscriptions = registry.begin(_settings())
            return [lifecycle.Subscription(one.namespace, [KINDS[name] for name in one.operations]) for one in subscriptions]
        except BaseException as error:
            if not _trace.is_said(error):
                log.error(_trace.formatted(error))
            raise Err(_trace.refusal(error)) from None


class Filter:
    def filter(self, op: Any) -> bool:
        try:
            return _is_wanted(op)
        except BaseException as error:
            # Neither yes nor no is right: the host tries the op again.
            log.error(_trace.formatted(error))
            _end(error)


class BatchFilter:
    """Several ops per call are faster. If it fails, the host calls `filter` for each op, which logs the exception."""

    def filter(self, ops: list[Any]) -> list[bool]:
        try:
            return [_is_wanted(op) for op in ops]
        except BaseException as error:
            _end(error)


class Handler:
    def handle(self, op: Any) -> None:
        try:
            registry.handler(_op(op), _settings())  # type: ignore[misc]
        except BaseException as error:
            raise Err(_failed(error)) from None


class BatchHandler:
    def handle(self, ops: list[Any]) -> list[Any]:
        try:
            outcomes = list(registry.batch_handler([_op(op) for op in ops], _settings()))  # type: ignore[misc]
            if len(outcomes) != len(ops):
                raise ValueError(f"the batch handler returns {len(outcomes)} outcomes for {len(ops)} ops")
            return [Ok(None) if outcome is None else Err(_failed(outcome)) for outcome in outcomes]
        except BaseException as error:
            failure = _failed(error)
            return [Err(failure) for _ in ops]


class Schedule:
    def timers(self) -> list[Any]:
        try:
            settings = _settings()
            return [
                schedule.Timer(name, timer.schedule(settings), schedule.MissedTicks[timer.missed.upper()])
                for name, timer in registry.timers.items()
            ]
        except BaseException as error:
            log.error(_trace.formatted(error))
            _end(error)

    def tick(self, tick: Any) -> None:
        try:
            timer = registry.timers.get(tick.timer)
            if timer is None:
                raise Reject(f"this version has no timer {tick.timer}")
            at = datetime.fromtimestamp(tick.at / 1000, timezone.utc)
            timer.function(Tick(tick.timer, at, tick.id, tick.attempt), _settings())
        except BaseException as error:
            raise Err(_failed(error)) from None
