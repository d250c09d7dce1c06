"""The settings that a plugin declares by a dataclass, and the values of their types."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .registry import registry

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        return lambda function: function


C = TypeVar("C")
MISSING = dataclasses.MISSING
UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


class Size(int):
    """A number of bytes. A user writes it with its unit: ``512 KiB``, ``1 MiB``."""


@dataclasses.dataclass
class Declared:
    """A setting, as the contract has it."""

    name: str
    type: str
    choices: list[str]
    default: str | None
    doc: str
    required: bool
    secret: bool
    former_names: list[str]
    read: Callable[[str], Any]
    """Returns the value of the text that the host has."""


def setting(
    *, default: Any = MISSING, default_factory: Any = MISSING, doc: str = "", secret: bool = False, former_names: Sequence[str] = ()
) -> Any:
    """Describes a field of the settings.

    ``gtm-host check`` shows ``doc``. The host keeps the value of a ``secret`` setting out of logs, errors and lists. It accepts
    ``former_names`` with a warning.
    """
    metadata = {"doc": doc, "secret": secret, "former_names": tuple(former_names)}
    return dataclasses.field(default=default, default_factory=default_factory, metadata=metadata)


def text_of(value: Any) -> str:
    """Returns a value as a user writes it: ``10s``, ``true``, ``a,b``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        milliseconds = value // timedelta(milliseconds=1)
        return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"
    if isinstance(value, Size):
        unit, name = next((unit, name) for unit, name in UNITS if value % unit == 0)
        return f"{value // unit} {name}"
    if isinstance(value, (list, tuple)):
        return ",".join(value)
    return str(value)


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


READERS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    str: ("text", str),
    bool: ("boolean", lambda text: text == "true"),
    int: ("integer", int),
    float: ("number", float),
    # The host turns the units into milliseconds and bytes.
    timedelta: ("duration", lambda text: timedelta(milliseconds=int(text))),
    Size: ("size", lambda text: Size(text)),
    list[str]: ("texts", _listed),
}


class Declaration:
    """The settings of a plugin, by the dataclass that declares them. Raises TypeError if it is not valid."""

    def __init__(self, settings: type[Any]) -> None:
        self.type = settings
        hints = typing.get_type_hints(settings)
        self.settings = [_declared(field, hints[field.name]) for field in dataclasses.fields(settings) if field.init]

    def values(self, texts: Mapping[str, str]) -> Any:
        """Returns the settings with these values, by name."""
        read = {one.name: one.read(texts[one.name]) for one in self.settings if one.name in texts}
        absent = {one.name: None for one in self.settings if not one.required and one.default is None}
        return self.type(**{**absent, **read})


def _declared(field: dataclasses.Field[Any], hint: Any) -> Declared:
    hint, is_optional = _without_none(hint)
    choices = list(typing.get_args(hint)) if typing.get_origin(hint) is Literal else []
    if choices and all(isinstance(one, str) for one in choices):
        kind, read = "choice", READERS[str][1]
    elif hint in READERS:
        kind, read = READERS[hint]
    else:
        known = "str, int, float, bool, timedelta, Size, list[str], Literal of str"
        raise TypeError(f"the setting {field.name} has a type that settings do not have: use one of {known}")
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    if default is not MISSING and default is not None and kind == "texts" and any("," in one for one in default):
        raise TypeError(f"the setting {field.name}: a text of its default has a comma, which separates them")
    return Declared(
        field.name, kind, choices, None if default is MISSING or default is None else text_of(default), field.metadata.get("doc", ""),
        default is MISSING and not is_optional, field.metadata.get("secret", False), list(field.metadata.get("former_names", ())), read,
    )


def _without_none(hint: Any) -> tuple[Any, bool]:
    """Returns the type of `X | None`, and whether it is one."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint, False
    others = [one for one in typing.get_args(hint) if one is not type(None)]
    return (others[0] if len(others) == 1 else hint), type(None) in typing.get_args(hint)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(setting, dataclasses.field))
def settings(declared: type[C]) -> type[C]:
    """Declares the settings of the plugin, by a class with a field for each. It becomes a frozen dataclass, unless it is one already.

    A field without a default is required. The host checks the values before it starts the plugin. Each function of the plugin with a
    parameter for it gets an instance as the last argument::

        @settings
        class Settings:
            url: str
            wait: timedelta = timedelta(seconds=10)
            mode: Literal["append", "replace"] = "append"
            token: str | None = setting(default=None, doc="The token of the server.", secret=True)

        @handler
        def forward(op: Op, settings: Settings) -> None: ...
    """
    if "__dataclass_fields__" not in declared.__dict__:
        declared = dataclasses.dataclass(frozen=True, kw_only=True)(declared)
    registry.settings = Declaration(declared)
    return declared
