"""Checks settings as the host does, and turns their units into milliseconds and bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from .._settings import Declaration, Declared, text_of

TIMES = {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
SIZES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def checked(declaration: Declaration | None, config: Mapping[str, Any]) -> dict[str, str]:
    """Returns the texts that the plugin gets. Raises ValueError, as the host refuses them."""
    texts = {name: text_of(value) for name, value in config.items()}
    if declaration is None:
        return texts
    known = {name for one in declaration.settings for name in (one.name, *one.former_names)}
    unknown = sorted(texts.keys() - known)
    if unknown:
        names = ", ".join(one.name for one in declaration.settings)
        raise ValueError(f"unknown setting {unknown[0]}: the settings of the plugin are {names}")
    values = {one.name: _value(one, texts) for one in declaration.settings}
    return {name: value for name, value in values.items() if value is not None}


def _value(declared: Declared, texts: Mapping[str, str]) -> str | None:
    given = [name for name in (declared.name, *declared.former_names) if name in texts]
    if len(given) > 1:
        raise ValueError(f"the settings {' and '.join(given)} are both set, and are the same")
    value = texts[given[0]] if given else declared.default
    if value is None or declared.required and value == "":
        if declared.required:
            raise ValueError(f"the setting {declared.name} is missing")
        return None
    try:
        return NORMALIZED[declared.type](value, declared.choices)
    except (ValueError, KeyError, OverflowError):
        raise ValueError(f"the setting {declared.name} is {value!r}, which is not valid for the type {declared.type}") from None


def _number(text: str, _: Any) -> str:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return str(number)


def _one_of(text: str, choices: list[str]) -> str:
    return choices[choices.index(text)]


def _sum(pattern: str, units: Mapping[str, float]) -> Callable[[str, Any], str]:
    def normalized(text: str, _: Any) -> str:
        if re.fullmatch(rf"\s*({pattern}\s*)+", text) is None:
            raise ValueError
        return str(int(sum(float(number) * units[unit.lower()] for number, unit in re.findall(pattern, text))))

    return normalized


NORMALIZED: dict[str, Callable[[str, Any], str]] = {
    "text": lambda text, _: text,
    "texts": lambda text, _: text,
    "integer": lambda text, _: str(int(text)),
    "number": _number,
    "boolean": lambda text, _: _one_of(text, ["true", "false"]),
    "duration": _sum(r"(\d+)\s*([a-zA-Z]+)", TIMES),
    "size": _sum(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)", SIZES),
    "choice": _one_of,
}
