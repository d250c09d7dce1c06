"""What a plugin does: the functions that its decorators name."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .errors import Failure
    from .op import Op

F = TypeVar("F", bound=Callable[..., Any])

OPERATIONS = (
    "insert", "update", "replace", "delete", "create", "drop", "rename", "dropDatabase", "createIndexes", "dropIndexes", "modify",
    "other",
)


class Registry:
    """Of the one plugin that there is in a component."""

    def __init__(self) -> None:
        self.filter: Callable[[Op], bool] | None = None
        self.handler: Callable[[Op], None] | None = None
        self.batch_handler: Callable[[list[Op]], Sequence[Failure | None]] | None = None
        self.subscriptions: list[tuple[str, list[str]]] = []


registry = Registry()


def filter(function: F) -> F:
    """Says whether an op is to be handled. Quick, and without effects. Without it, every op is.

    What it raises ends the instance, and the op comes again; but where a document cannot be decoded, the handler is to say so.
    """
    registry.filter = function
    return function


def handler(
    function: F | None = None, *, namespace: str | Sequence[str] | None = None, operation: str | Sequence[str] | None = None
) -> Any:
    """Does the work for an op. The next in order waits until it is done.

    ``@handler`` is asked about every change; ``@handler(namespace="users.*", operation="insert")`` about some.
    """
    return _named("handler", function, namespace, operation)


def batch_handler(
    function: F | None = None, *, namespace: str | Sequence[str] | None = None, operation: str | Sequence[str] | None = None
) -> Any:
    """Does the work for several ops at once, and returns for each, in their order, None or a Retry or Reject."""
    return _named("batch_handler", function, namespace, operation)


def _named(kind: str, function: F | None, namespace: Any, operation: Any) -> Any:
    operations = _listed(operation)
    unknown = builtins.list(builtins.filter(lambda one: one not in OPERATIONS, operations))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no operation: take one of {', '.join(OPERATIONS)}")
    registry.subscriptions = [(one, operations) for one in _listed(namespace) or (["*"] if operations else [])]

    def register(function: F) -> F:
        setattr(registry, kind, function)
        return function

    return register if function is None else register(function)


def _listed(value: str | Sequence[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
