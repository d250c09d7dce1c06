"""The functions of a plugin, as its decorators register them."""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, Union, overload

if TYPE_CHECKING:
    from ._settings import Declaration

F = TypeVar("F", bound=Callable[..., Any])
Names = Union[str, Sequence[str], None]

OPERATIONS = (
    "insert", "update", "replace", "delete", "create", "drop", "rename", "dropDatabase", "createIndexes", "dropIndexes", "modify",
    "other",
)


@dataclass(frozen=True)
class Subscription:
    """A namespace pattern and operations that a plugin subscribes to.

    In ``database.collection``, ``*`` stands for any characters. Between two slashes it is a regular expression, in the syntax of Rust's
    crate ``regex``. No operations means all of them.
    """

    namespace: str = "*"
    operations: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        operations = _listed(self.operations)
        unknown = [one for one in operations if one not in OPERATIONS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not an operation: use one of {', '.join(OPERATIONS)}")
        object.__setattr__(self, "operations", tuple(operations))


MISSED = ("skip", "once", "each")


@dataclass(frozen=True)
class Tick:
    """One time at which a timer is due."""

    timer: str
    at: datetime
    """The time at which it is due, in UTC. The host delivers the tick then or later."""
    id: str
    """The same each time this tick is delivered, by any host: an idempotency key."""
    attempt: int = 1


@dataclass(frozen=True)
class Timer:
    """A timer, and the function that does its work."""

    schedule: Callable[[Any], str]
    missed: str
    function: Callable[[Tick, Any], None]


class Registry:
    """The functions of the one plugin in a component. Each takes the settings as its last argument."""

    def __init__(self) -> None:
        self.settings: Declaration | None = None
        self.init: Callable[[Any], None] | None = None
        self.filter: Callable[[Any, Any], bool] | None = None
        self.handler: Callable[[Any, Any], None] | None = None
        self.batch_handler: Callable[[Any, Any], Any] | None = None
        self.subscriptions: Callable[[Any], Sequence[Subscription]] | None = None
        self.timers: dict[str, Timer] = {}

    def values(self, texts: Mapping[str, str]) -> Any:
        """Returns the settings with these values: an instance of the class that declares them, or the texts if there is none."""
        return dict(texts) if self.settings is None else self.settings.values(texts)

    def begin(self, settings: Any) -> list[Subscription]:
        """Initializes the plugin, and returns its subscriptions."""
        if self.init is not None:
            self.init(settings)
        return [] if self.subscriptions is None else list(self.subscriptions(settings))


registry = Registry()


def init(function: F) -> F:
    """Prepares an instance, before any op: ``def prepare(settings: Settings) -> None``.

    An exception refuses the version: its text says which setting is wrong, and why. Only ``config`` and ``log`` work in it.
    """
    registry.init = taking(function)
    return function


def subscriptions(function: F) -> F:
    """Returns the changes that the plugin subscribes to, by its settings: ``def wanted(settings: Settings) -> list[Subscription]``.

    If they do not depend on settings, give them to ``@handler``.
    """
    registry.subscriptions = taking(function)
    return function


def filter(function: F) -> F:
    """Returns whether the handler gets an op. It must be quick. Without it, the plugin handles every op.

    A module with a filter and without a handler is a filter for other plugins, which runs before their own.

    An exception ends the instance, and the host tries the op again. If a document cannot be decoded, the handler gets the op and rejects it.
    """
    registry.filter = taking(function)
    return function


@overload
def handler(function: F, /) -> F: ...
@overload
def handler(*, namespace: Names = None, operation: Names = None) -> Callable[[F], F]: ...
def handler(function: F | None = None, *, namespace: Names = None, operation: Names = None) -> Any:
    """Handles an op. The next op in order waits until it is done.

    ``@handler`` subscribes to every change; ``@handler(namespace="users.*", operation="insert")`` to some.
    """
    return _named("handler", function, namespace, operation)


@overload
def batch_handler(function: F, /) -> F: ...
@overload
def batch_handler(*, namespace: Names = None, operation: Names = None) -> Callable[[F], F]: ...
def batch_handler(function: F | None = None, *, namespace: Names = None, operation: Names = None) -> Any:
    """Handles several ops per call, and returns None or a Retry or Reject for each, in their order."""
    return _named("batch_handler", function, namespace, operation)


def timer(name: str, schedule: str | Callable[..., str], *, missed: str = "once") -> Callable[[F], F]:
    """Does the work of a timer, on one host: ``@timer("digest", "0 6 * * *")`` before ``def send(tick: Tick) -> None``.

    The schedule is in UTC: an interval such as ``10m``, or a cron expression. It may depend on the settings:
    ``@timer("digest", lambda settings: settings.schedule)``. ``missed`` says what the host does with ticks that it could not deliver at
    their time: ``skip``, ``once`` (it delivers the last of them) or ``each``.
    """
    if missed not in MISSED:
        raise ValueError(f"{missed!r} does not say what to do with missed ticks: use one of {', '.join(MISSED)}")
    if name in registry.timers:
        raise ValueError(f"there are two timers {name!r}")

    def register(function: F) -> F:
        scheduled = taking(schedule) if callable(schedule) else lambda settings: schedule
        registry.timers[name] = Timer(scheduled, missed, taking(function))
        return function

    return register


def _named(kind: str, function: F | None, namespace: Any, operation: Any) -> Any:
    operations = _listed(operation)
    fixed = [Subscription(one, operations) for one in _listed(namespace) or (["*"] if operations else [])]
    if fixed:
        registry.subscriptions = lambda settings: fixed

    def register(function: F) -> F:
        setattr(registry, kind, taking(function))
        return function

    return register if function is None else register(function)


def taking(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that takes more arguments than the given one needs, and drops the last ones."""
    parameters = inspect.signature(function).parameters.values()
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return function
    needed = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty]
    return lambda *arguments: function(*arguments[: len(needed)])


def _listed(value: Names) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else builtins.list(value)
