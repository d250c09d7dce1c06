"""BSON as Extended JSON and back, by the host, which is exact in each type of BSON."""

from __future__ import annotations

from . import _host
from .errors import expect


def encode(document: bytes) -> str:
    """As JSON, with types only where JSON has none."""
    return _host.encode_json(expect("document", document, bytes))


def encode_canonical(document: bytes) -> str:
    """As JSON, each value with its type."""
    return _host.encode_canonical_json(expect("document", document, bytes))


def decode(text: str) -> bytes:
    """A document of JSON, in either form, as BSON."""
    return _host.decode_json(expect("text", text, str))
