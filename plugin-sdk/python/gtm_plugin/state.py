"""The values that a plugin keeps by key, shared by all its instances and workers. In handlers only.

An op may be delivered again, and would then count again: store the id of the op with the value.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import timedelta
from typing import Union

from . import _host
from .errors import expect

Time = Union[timedelta, float, None]
"""A time to live, in seconds or as a timedelta. None: the store keeps the value."""


@dataclass
class Entry:
    """A value with its key, and the time until the store forgets it. None: it keeps the value."""

    key: str
    value: bytes
    time_to_live: timedelta | None


@dataclass
class Quota:
    """What the plugin keeps, and its limits. A limit of 0 means that there is none. The bytes are those of the values and their keys."""

    keys: int
    max_keys: int
    bytes: int
    max_bytes: int


def get(key: str) -> bytes | None:
    """Returns the value of a key, or None."""
    return _host.get_state(expect("key", key, str))


def set(key: str, value: bytes, *, time_to_live: Time = None) -> None:
    """Sets the value, regardless of the former one and its time to live."""
    _host.set_state(expect("key", key, str), expect("value", value, bytes), _milliseconds(time_to_live))


def delete(key: str) -> None:
    """Removes the value, if there is one."""
    _host.delete_state(expect("key", key, str))


def compare_and_swap(key: str, expected: bytes | None, value: bytes, *, time_to_live: Time = None) -> bool:
    """Sets the value if the current one is `expected` (None: if the key has no value), in one step. Returns whether it did."""
    expect("expected", expected, bytes, optional=True)
    return _host.swap_state(expect("key", key, str), expected, expect("value", value, bytes), _milliseconds(time_to_live))


def increment(key: str, by: int = 1, *, time_to_live: Time = None) -> int:
    """Adds to a number, in one step, and returns the sum. A key without a value counts as 0.

    The value of the key is the number in decimal digits. Without a time to live, it keeps the one that it has.
    """
    return _host.increment_state(expect("key", key, str), expect("by", by, int), _milliseconds(time_to_live))


def list(prefix: str = "", *, after: str | None = None, limit: int = 1000) -> builtins.list[Entry]:
    """Returns the entries whose keys begin with `prefix`, in the order of the bytes of their keys: at most `limit`, 1,000 and 1 MiB.

    For the next page, pass the last key as `after`. The page after the last entry is empty.
    """
    expect("after", after, str, optional=True)
    entries = _host.list_state(expect("prefix", prefix, str), after, expect("limit", limit, int))
    return [Entry(key, value, None if rest is None else timedelta(milliseconds=rest)) for key, value, rest in entries]


def quota() -> Quota:
    """Returns what the plugin keeps, and its limits."""
    return Quota(*_host.state_quota())


def _milliseconds(time: Time) -> int | None:
    if time is None:
        return None
    time = time if isinstance(time, timedelta) else timedelta(seconds=expect("time_to_live", time, float))
    if time < timedelta():
        raise ValueError(f"time_to_live is {time}, and must not be negative")
    return -(-time // timedelta(milliseconds=1))
