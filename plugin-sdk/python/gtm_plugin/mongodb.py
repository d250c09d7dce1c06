"""Reads and writes on the cluster that the host follows, in the namespaces that the plugin is granted. In handlers only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import bson

from . import _host
from .errors import expect

Document = Mapping[str, Any]


@dataclass
class UpdateResult:
    """The result of an update or a replacement. The names of results are those of PyMongo."""

    matched_count: int
    modified_count: int
    upserted_id: Any = None


@dataclass
class InsertOneResult:
    """The result of an insert."""

    inserted_id: Any


@dataclass
class InsertManyResult:
    """The result of several inserts."""

    inserted_ids: list[Any]


@dataclass
class DeleteResult:
    """The result of a deletion."""

    deleted_count: int


class Collection:
    """A collection, as ``database.collection``."""

    def __init__(self, namespace: str) -> None:
        self.namespace = expect("namespace", namespace, str)

    def find(
        self,
        filter: Document | None = None,
        projection: Document | None = None,
        *,
        sort: Document | None = None,
        skip: int | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """The documents that match: at most 10,000, and 16 MiB."""
        expect("skip", skip, int, optional=True)
        expect("limit", limit, int, optional=True)
        found = _host.find(self.namespace, _bson(filter or {}), _optional(projection), _optional(sort), skip, limit)
        return [bson.decode(bytes(one)) for one in found]

    def find_one(self, filter: Document | None = None, projection: Document | None = None) -> dict[str, Any] | None:
        """The first document that matches."""
        return next(iter(self.find(filter, projection, limit=1)), None)

    def aggregate(self, pipeline: Iterable[Document]) -> list[dict[str, Any]]:
        """What a pipeline gives."""
        return [bson.decode(bytes(one)) for one in _host.aggregate(self.namespace, [_bson(stage) for stage in pipeline])]

    def insert_one(self, document: Document) -> InsertOneResult:
        """Inserts a document. Raises Conflict if a document with its key exists."""
        return InsertOneResult(self.insert_many([document]).inserted_ids[0])

    def insert_many(self, documents: Iterable[Document]) -> InsertManyResult:
        """Inserts at most 1,000 documents, in order, up to the first that fails. A document without `_id` gets one."""
        with_ids = [document if "_id" in document else {"_id": bson.ObjectId(), **document} for document in documents]
        _host.insert(self.namespace, [_bson(document) for document in with_ids])
        return InsertManyResult([document["_id"] for document in with_ids])

    def update_one(self, filter: Document, update: Document, *, upsert: bool = False) -> UpdateResult:
        """Updates the first document that matches."""
        return _result(_host.update(self.namespace, _bson(filter), _bson(update), False, upsert))

    def update_many(self, filter: Document, update: Document, *, upsert: bool = False) -> UpdateResult:
        """Updates all documents that match."""
        return _result(_host.update(self.namespace, _bson(filter), _bson(update), True, upsert))

    def replace_one(self, filter: Document, replacement: Document, *, upsert: bool = False) -> UpdateResult:
        """Replaces the first document that matches."""
        return _result(_host.replace(self.namespace, _bson(filter), _bson(replacement), upsert))

    def delete_one(self, filter: Document) -> DeleteResult:
        """Deletes the first document that matches."""
        return DeleteResult(_host.delete(self.namespace, _bson(filter), False))

    def delete_many(self, filter: Document) -> DeleteResult:
        """Deletes all documents that match."""
        return DeleteResult(_host.delete(self.namespace, _bson(filter), True))


def _bson(document: Document) -> bytes:
    return bson.encode(document)


def _optional(document: Document | None) -> bytes | None:
    return None if document is None else _bson(document)


def _result(result: tuple[int, int, bytes | None]) -> UpdateResult:
    matched, modified, upserted = result
    return UpdateResult(matched, modified, None if upserted is None else bson.decode(bytes(upserted)).get("_id"))
