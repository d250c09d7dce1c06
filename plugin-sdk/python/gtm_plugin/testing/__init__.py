"""Runs a plugin natively, with a host in memory.

::

    run = Harness(config={"subject": "Hi"}).run(insert("app.users", {"email": "ada@example.com"}))
    assert run.handled and run.mails[0]["to"] == ["ada@example.com"]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import bson

from .. import _trace
from ..errors import Failure, Reject, Retry
from ..http import Response
from ..op import Op
from ..registry import registry
from . import host


@dataclass
class Run:
    """What a plugin did with an op."""

    wanted: bool
    failure: Failure | None = None
    log: list[tuple[str, str]] = field(default_factory=list)
    mails: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], bytes | None]] = field(default_factory=list)

    @property
    def handled(self) -> bool:
        return self.wanted and self.failure is None


class Harness:
    """A host for the plugin whose module was imported."""

    def __init__(
        self,
        *,
        config: Mapping[str, str] | None = None,
        server: Callable[[str, str], Response] | None = None,
        collections: Mapping[str, list[dict[str, Any]]] | None = None,
        mail_error: Failure | None = None,
    ) -> None:
        """``server`` answers requests, by method and URL; ``collections`` are found, whole, by their namespace."""
        self.host = host.Host(dict(config or {}), server, dict(collections or {}), mail_error)

    def run(self, op: Op) -> Run:
        """Filters and handles an op, as the host does."""
        host.current = self.host
        self.host.log, self.host.mails, self.host.requests = [], [], []
        if registry.filter is not None and not registry.filter(op):
            return Run(False, log=self.host.log)
        failure = None
        try:
            if registry.batch_handler is not None:
                (failure,) = registry.batch_handler([op])
            elif registry.handler is not None:
                registry.handler(op)
        except Exception as error:
            failure = error if isinstance(error, Failure) else Retry(_trace.reason(error))
        return Run(True, failure, self.host.log, self.host.mails, self.host.requests)


def op(operation_type: str, namespace: str, **fields: Any) -> Op:
    """Any op. Documents are given by their raw fields."""
    database, _, collection = namespace.partition(".")
    return Op("1.1.0", operation_type, database, collection, **fields)


def insert(namespace: str, document: Mapping[str, Any]) -> Op:
    """An insert of this document."""
    return op("insert", namespace, raw_document=bson.encode(document), raw_document_key=_key(document))


def update(namespace: str, document: Mapping[str, Any]) -> Op:
    """An update, after which the document is this."""
    return op("update", namespace, raw_document=bson.encode(document), raw_document_key=_key(document))


def replace(namespace: str, document: Mapping[str, Any]) -> Op:
    """A replacement by this document."""
    return op("replace", namespace, raw_document=bson.encode(document), raw_document_key=_key(document))


def delete(namespace: str, key: Mapping[str, Any]) -> Op:
    """A deletion of the document with this key."""
    return op("delete", namespace, raw_document_key=bson.encode(key))


def _key(document: Mapping[str, Any]) -> bytes:
    return bson.encode({"_id": document.get("_id")})
