"""The plugin's own numbers, beside those of the host."""

from __future__ import annotations

from . import _host


def count(name: str, by: int = 1) -> None:
    """Adds to a counter."""
    _host.count(name, by)


def gauge(name: str, value: float) -> None:
    """Sets a gauge."""
    _host.gauge(name, value)


def record(name: str, value: float) -> None:
    """Adds a value to a histogram, in seconds for example."""
    _host.record(name, value)
