"""A change, as a plugin sees it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TypeVar

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

from . import extended_json
from ._dates import date
from ._types import at, is_a, mismatch
from .errors import DecodeError

T = TypeVar("T")

# A date beyond the years of datetime is a DatetimeMS.
CODEC: CodecOptions[dict[str, Any]] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)


@dataclass(frozen=True)
class Timestamp:
    """Where in the oplog an op stands: seconds since 1970, and the ordinal within that second."""

    time: int
    increment: int


@dataclass(frozen=True)
class Transaction:
    """The place of an op in a transaction."""

    id: str
    index: int


@dataclass
class Op:
    """One change in MongoDB. Its documents are bytes until they are asked for."""

    id: str
    """The same each time this change is delivered: an idempotency key."""
    operation_type: str
    """As in MongoDB's change events: insert, update, dropDatabase, …"""
    database: str
    collection: str
    timestamp: Timestamp = Timestamp(0, 0)
    wall_time_ms: int | None = None
    raw_document_key: bytes | None = None
    raw_document: bytes | None = None
    raw_document_before_change: bytes | None = None
    raw_update_description: bytes | None = None
    raw_command: bytes | None = None
    transaction: Transaction | None = None
    origin: str = "oplog"
    """oplog, change-stream, snapshot or replay."""
    attempt: int = 1
    """1 at the first delivery."""
    _decoded: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def namespace(self) -> str:
        return f"{self.database}.{self.collection}" if self.collection else self.database

    @property
    def is_insert(self) -> bool:
        return self.operation_type == "insert"

    @property
    def is_update(self) -> bool:
        return self.operation_type == "update"

    @property
    def is_replace(self) -> bool:
        return self.operation_type == "replace"

    @property
    def is_delete(self) -> bool:
        return self.operation_type == "delete"

    @property
    def wall_time(self) -> datetime | None:
        """When the server wrote it. Old servers do not say."""
        if self.wall_time_ms is None:
            return None
        return datetime.fromtimestamp(self.wall_time_ms / 1000, timezone.utc)

    def document(self) -> dict[str, Any]:
        """The document after the change, decoded once. Raises DecodeError, as do the others."""
        return self._decode("document", self.raw_document)

    def field(self, path: str, kind: type[T]) -> T:
        """The value of a field of the document, by its path: ``op.field("address.street", str)``.

        If it is missing or of another type, raises a DecodeError that names it.
        """
        value = at(self.document(), path)
        if not is_a(value, kind):
            raise DecodeError(mismatch(path, kind, value))
        return value

    def document_before_change(self) -> dict[str, Any]:
        """The document before the change, where the server keeps it."""
        return self._decode("document before the change", self.raw_document_before_change)

    def document_key(self) -> dict[str, Any]:
        """The `_id`, and the shard key where there is one."""
        return self._decode("document key", self.raw_document_key)

    def update_description(self) -> dict[str, Any]:
        """`{updatedFields, removedFields, truncatedArrays}` of an update."""
        return self._decode("update description", self.raw_update_description)

    def command(self) -> dict[str, Any]:
        """What was done to a collection, a database or an index."""
        return self._decode("command", self.raw_command)

    def canonical_json(self) -> str:
        """The document after the change as canonical Extended JSON, with types that Python has none for."""
        return extended_json.encode_canonical(self._there("document", self.raw_document))

    def to_change_event(self, *, canonical: bool = False) -> str:
        """The op as one line of Extended JSON with the names of MongoDB's change events, as ``gtm-host tail`` prints it.

        It is the same for each attempt. If it is canonical, it has the type of each value.
        """
        head: dict[str, Any] = {"_id": {"_data": self.id}, "operationType": self.operation_type}
        if (self.timestamp.time, self.timestamp.increment) != (0, 0):
            head["clusterTime"] = {"$timestamp": {"t": self.timestamp.time, "i": self.timestamp.increment}}
        if self.wall_time_ms is not None:
            head["wallTime"] = {"$date": date(self.wall_time_ms, canonical)}
        head["ns"] = {"db": self.database, "coll": self.collection} if self.collection else {"db": self.database}
        write = extended_json.encode_canonical if canonical else extended_json.encode
        # One by one: together they may be larger than the host converts in one call.
        parts = [
            ("documentKey", self.raw_document_key), ("fullDocument", self.raw_document),
            ("fullDocumentBeforeChange", self.raw_document_before_change), ("updateDescription", self.raw_update_description),
            ("command", self.raw_command),
        ]
        documents = [f'"{name}":{write(raw)}' for name, raw in parts if raw is not None]
        tail: dict[str, Any] = {}
        if self.transaction is not None:
            index = self.transaction.index
            tail["transaction"] = {"id": self.transaction.id, "index": {"$numberLong": str(index)} if canonical else index}
        tail["origin"] = self.origin
        return ",".join([_json(head)[:-1], *documents, _json(tail)[1:]])

    def _there(self, what: str, raw: bytes | None) -> bytes:
        if raw is None:
            raise DecodeError(f"this op has no {what}")
        return raw

    def _decode(self, what: str, raw: bytes | None) -> dict[str, Any]:
        if what not in self._decoded:
            raw = self._there(what, raw)
            try:
                self._decoded[what] = bson.decode(raw, CODEC)
            # Bytes that are no BSON raise whatever the decoder comes upon.
            except Exception as error:
                raise DecodeError(f"the {what} cannot be decoded: {error}") from error
        return self._decoded[what]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
