"""The plugin's own settings, as texts. Durations are in milliseconds and sizes in bytes if the plugin declares them."""

from __future__ import annotations

from typing import overload

from . import _host
from .errors import expect


@overload
def get(key: str) -> str | None: ...
@overload
def get(key: str, default: str) -> str: ...
def get(key: str, default: str | None = None) -> str | None:
    """Returns the value of a setting, or the default."""
    value = _host.get_config(expect("key", key, str))
    return default if value is None else value


def all() -> dict[str, str]:
    """Returns the names and values of all settings that have a value."""
    return _host.all_config()
