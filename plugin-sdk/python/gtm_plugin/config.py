"""The plugin's own settings."""

from __future__ import annotations

from typing import overload

from . import _host
from .errors import expect


@overload
def get(key: str) -> str | None: ...
@overload
def get(key: str, default: str) -> str: ...
def get(key: str, default: str | None = None) -> str | None:
    """The value of a key, or the default."""
    value = _host.get_config(expect("key", key, str))
    return default if value is None else value


def all() -> dict[str, str]:
    """Every key and value."""
    return _host.all_config()
