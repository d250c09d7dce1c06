"""What becomes of an op that fails."""

from __future__ import annotations

from typing import Any, TypeVar

from ._types import is_a, mismatch

T = TypeVar("T")


class Failure(Exception):
    """An op could not be handled."""


class Retry(Failure):
    """It may work later: the host tries again after a pause."""


class Reject(Failure):
    """It will never work: the host keeps the op among the dead letters."""


class DecodeError(Reject):
    """The op has no such document, or it is no BSON."""


# The errors of the capabilities are one of the two, so that they can be let through.


class NotGranted(Retry):
    """The host does not let this plugin do it. Its text says how to grant it."""


class Unavailable(Retry):
    """The server cannot be reached now, or took too long."""


class Invalid(Reject):
    """It cannot be asked like that."""


class Rejected(Reject):
    """The server refuses it for good."""


class DuplicateKey(Reject):
    """There is a document with this key already."""


KINDS: dict[str, type[Failure]] = {
    "NotGranted": NotGranted,
    "Unavailable": Unavailable,
    "Invalid": Invalid,
    "Rejected": Rejected,
    "DuplicateKey": DuplicateKey,
}


def expect(what: str, value: Any, kind: type[T], optional: bool = False) -> T:
    """A value for the host, which takes no other type. Raises Invalid."""
    if not (is_a(value, kind) or optional and value is None):
        raise Invalid(mismatch(what, kind, value))
    return value
