"""The exports of the component. An exception of any kind that leaves them ends the instance."""

from __future__ import annotations

import os
import random
import sys
from typing import Any

import wit_world
from bson.objectid import ObjectId
from componentize_py_types import Err, Ok
from wit_world.imports import subscriptions, types

from . import _trace, log
from .errors import Failure, Reject
from .op import Op, Timestamp, Transaction
from .registry import OPERATIONS, registry

TYPES = dict(zip(types.OperationType, OPERATIONS))
ORIGINS = {origin: origin.name.lower().replace("_", "-") for origin in types.Origin}
_seeded = False


def _seed() -> None:
    """What was drawn when the component was built would be the same in each instance."""
    global _seeded
    if not _seeded:
        _seeded = True
        random.seed()
        ObjectId._ObjectId__random = os.urandom(5)  # type: ignore[attr-defined]
        ObjectId._inc = random.SystemRandom().randint(0, 0xFFFFFF)


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
    return types.Failure_Reject(reason) if isinstance(error, Reject) else types.Failure_Retry(reason)


class WitWorld(wit_world.WitWorld):
    def subscriptions(self) -> list[Any]:
        kinds = {name: kind for kind, name in TYPES.items()}
        return [
            subscriptions.Subscription(namespace, [kinds[operation] for operation in operations])
            for namespace, operations in registry.subscriptions
        ]

    def filter(self, op: Any) -> bool:
        _seed()
        if registry.filter is None:
            return True
        try:
            return bool(registry.filter(_op(op)))
        except Reject:
            # What cannot be decoded here cannot be in the handler either, where it can be said what becomes of the op.
            return True
        except BaseException as error:
            # The contract has no error here, and neither yes nor no is right: the instance ends, and the op comes again.
            log.error(_trace.formatted(error))
            # The host takes what is printed for the reason.
            print(_trace.reason(error), file=sys.stderr, flush=True)
            os._exit(1)

    def handle(self, op: Any) -> None:
        _seed()
        try:
            if registry.handler is not None:
                registry.handler(_op(op))
            elif registry.batch_handler is not None:
                (failure,) = registry.batch_handler([_op(op)])
                if failure is not None:
                    raise failure
        except BaseException as error:
            raise Err(_failed(error)) from None

    def handle_batch(self, ops: list[Any]) -> list[Any]:
        _seed()
        try:
            outcomes = list(registry.batch_handler([_op(op) for op in ops]))  # type: ignore[misc]
            if len(outcomes) != len(ops):
                raise ValueError(f"the batch handler returns {len(outcomes)} outcomes for {len(ops)} ops")
            return [Ok(None) if outcome is None else Err(_failed(outcome)) for outcome in outcomes]
        except BaseException as error:
            failure = _failed(error)
            return [Err(failure) for _ in ops]
