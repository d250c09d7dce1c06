"""Write gtm-host plugins in Python.

A plugin is a module with functions that decorators register::

    from gtm_plugin import Op, filter, handler, mail

    @filter
    def is_new_user(op: Op) -> bool:
        return op.is_insert and op.collection == "users"

    @handler
    def welcome(op: Op) -> None:
        user = op.document()
        mail.send(to=user["email"], subject="Welcome", text=f"Hello {user['name']}")

``gtm-plugin build welcome.py -o welcome.wasm`` makes a component of it.

An exception decides what happens to the op. It becomes a dead letter for `Reject` and its kind (a document that cannot be decoded, a mail
that is refused for good), and is retried for any other.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._settings import Size, setting, settings
from .errors import CapabilityError, Conflict, DecodeError, Failure, Invalid, NotGranted, Reject, Rejected, Retry, TooLarge, Unavailable
from .op import Op, Timestamp, Transaction
from .registry import Subscription, Tick, batch_handler, filter, handler, init, subscriptions, timer

if TYPE_CHECKING:
    from . import config, extended_json, http, log, mail, metrics, mongodb, state

__all__ = [
    "CapabilityError", "Conflict", "DecodeError", "Failure", "Invalid", "NotGranted", "Op", "Reject", "Rejected", "Retry", "Size",
    "Subscription", "Tick", "Timestamp", "TooLarge", "Transaction", "Unavailable", "batch_handler", "config", "extended_json", "filter",
    "handler", "http", "init", "log", "mail", "metrics", "mongodb", "setting", "settings", "state", "subscriptions", "timer",
]

# Loaded when a plugin names them, so that it asks for these capabilities alone.
_MODULES = ("config", "extended_json", "http", "log", "mail", "metrics", "mongodb", "state")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
