"""What a value is, in the words of an error: `email: expected a string, found an object`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import Binary, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

# Of two that are both, such as bool and int, the narrower comes first.
NAMES: list[tuple[Any, str]] = [
    (type(None), "null"), (bool, "a boolean"), ((int, Int64), "an integer"), (float, "a double"), (str, "a string"),
    ((datetime, DatetimeMS), "a date"), (ObjectId, "an ObjectId"), (Decimal128, "a Decimal128"), (Regex, "a regular expression"),
    (Timestamp, "a timestamp"), ((bytes, Binary), "binary data"), (Mapping, "an object"), ((list, tuple), "an array"),
]


class Missing:
    """In place of a value that is not there."""


def named(value: Any) -> str:
    """`a string`."""
    if value is Missing:
        return "nothing"
    return next((name for kind, name in NAMES if isinstance(value, kind)), f"a {type(value).__name__}")


def named_type(kind: type) -> str:
    """The same for a type."""
    return next((name for known, name in NAMES if issubclass(kind, known)), f"a {kind.__name__}")


def is_a(value: Any, kind: type) -> bool:
    """Whether a value is of a type. A boolean is not an integer here, and an integer can be asked for as a double."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind) or kind is float and isinstance(value, int)


def mismatch(what: str, kind: type, value: Any) -> str:
    """The sentence for a value of another type."""
    return f"{what}: expected {named_type(kind)}, found {named(value)}"


def at(document: Any, path: str) -> Any:
    """What is at a path such as `address.street` or `tags.0`, or `Missing`."""
    if isinstance(document, Mapping) and path in document:
        return document[path]
    first, dot, rest = path.partition(".")
    if isinstance(document, Mapping):
        value = document.get(first, Missing)
    elif isinstance(document, list) and first.isdecimal() and int(first) < len(document):
        value = document[int(first)]
    else:
        return Missing
    return at(value, rest) if dot else value
