"""The plugin's own numbers, beside those of the host."""

from __future__ import annotations

from . import _host
from .errors import expect


def count(name: str, by: int = 1) -> None:
    """Adds to a counter."""
    _host.count(expect("name", name, str), expect("by", by, int))


def gauge(name: str, value: float) -> None:
    """Sets a gauge."""
    _host.gauge(expect("name", name, str), float(expect("value", value, float)))


def record(name: str, value: float) -> None:
    """Adds a value to a histogram, in seconds for example."""
    _host.record(expect("name", name, str), float(expect("value", value, float)))
