"""What a plugin keeps: values by key, shared by all its instances and workers. In handlers only."""

from __future__ import annotations

from . import _host
from .errors import expect


def get(key: str) -> bytes | None:
    """The value, or None."""
    return _host.get_state(expect("key", key, str))


def set(key: str, value: bytes) -> None:
    """Sets the value, whatever it was."""
    _host.set_state(expect("key", key, str), expect("value", value, bytes))


def delete(key: str) -> None:
    """Removes the value, if there is one."""
    _host.delete_state(expect("key", key, str))


def compare_and_swap(key: str, expected: bytes | None, value: bytes) -> bool:
    """Sets the value if it is what is expected (None: if there is none), in one step. Returns whether it was."""
    expect("expected", expected, bytes, optional=True)
    return _host.swap_state(expect("key", key, str), expected, expect("value", value, bytes))
