"""Dates as Extended JSON has them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

# The first millisecond of the year 10000.
_YEAR_10000 = 253_402_300_800_000


def date(millis: int, canonical: bool) -> Any:
    """Returns a date as text if it is relaxed and of the years 1970 to 9999, otherwise as a number."""
    if canonical or not 0 <= millis < _YEAR_10000:
        return {"$numberLong": str(millis)}
    seconds, rest = divmod(millis, 1000)
    text = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:03}Z" if rest else f"{text}Z"
