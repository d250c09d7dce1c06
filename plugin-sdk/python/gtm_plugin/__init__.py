"""Write gtm-host plugins in Python.

A plugin is a module with functions that are named to the host by decorators::

    from gtm_plugin import Op, Reject, filter, handler, log, mail

    @filter
    def is_new_user(op: Op) -> bool:
        return op.is_insert and op.collection == "users"

    @handler
    def welcome(op: Op) -> None:
        user = op.document()
        mail.send(to=user["email"], subject="Welcome", text=f"Hello {user['name']}")

``gtm-plugin build welcome.py -o welcome.wasm`` makes a component of it.

An exception says what becomes of the op: `Reject` and its kind (a document that cannot be decoded, a mail that is refused for
good) is not tried again; anything else is.
"""

from . import config, extended_json, http, log, mail, metrics, mongodb, state
from .errors import DecodeError, Failure, Reject, Retry
from .op import Op, Timestamp, Transaction
from .registry import batch_handler, filter, handler

__all__ = [
    "DecodeError", "Failure", "Op", "Reject", "Retry", "Timestamp", "Transaction", "batch_handler", "config", "extended_json",
    "filter", "handler", "http", "log", "mail", "metrics", "mongodb", "state",
]
