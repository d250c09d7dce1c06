"""The exceptions that decide what happens to an op."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar

from ._types import is_a, mismatch

T = TypeVar("T")


class Failure(Exception):
    """An op could not be handled."""


class Retry(Failure):
    """It may work later: the host tries the op again after a pause.

    ``after``, in seconds or as a timedelta, is the least time until the next attempt, of an hour at most.
    """

    def __init__(self, *arguments: object, after: timedelta | float | None = None) -> None:
        super().__init__(*arguments)
        self.after = after if after is None or isinstance(after, timedelta) else timedelta(seconds=after)
        if self.after is not None and self.after < timedelta():
            raise ValueError(f"after is {after}, and must not be negative")


class Reject(Failure):
    """It will never work: the op becomes a dead letter."""


class DecodeError(Reject):
    """The op has no such document, or its bytes are not BSON."""


class CapabilityError(Failure):
    """The error of a capability, the same for all capabilities.

    Each is a Retry or a Reject too, so that a plugin can let it through.
    """


class NotGranted(CapabilityError, Retry):
    """The host does not let this plugin do it, or is not set up for it. Its text says how to grant it."""


class Unavailable(CapabilityError, Retry):
    """The other side cannot be reached, took too long, or asks for another attempt later."""


class Invalid(CapabilityError, Reject):
    """The request is not valid: it would fail in the same way each time."""


class Rejected(CapabilityError, Reject):
    """The other side refused it for good."""


class Conflict(CapabilityError, Reject):
    """It contradicts something that exists, such as a document with this key."""


class TooLarge(CapabilityError, Reject):
    """The request or the answer is too large. Its text names the limit."""


KINDS: dict[str, type[CapabilityError]] = {
    "NotGranted": NotGranted,
    "Invalid": Invalid,
    "Rejected": Rejected,
    "Unavailable": Unavailable,
    "Conflict": Conflict,
    "TooLarge": TooLarge,
}


def expect(what: str, value: Any, kind: type[T], optional: bool = False) -> T:
    """Returns a value for the host, which takes no other type. Raises Invalid."""
    if not (is_a(value, kind) or optional and value is None):
        raise Invalid(mismatch(what, kind, value))
    return value
