"""Extended JSON as the host writes it, straight from the bytes: with all fields of a document, and each type."""

from __future__ import annotations

import json
import re
import struct
from typing import NamedTuple

import bson
from bson import json_util

from ._dates import date

# The names of fields that make a document look like another value, so that it is written as {"$document": …}.
_WRAPPER_NAMES = {
    "$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$binary", "$uuid", "$timestamp", "$regularExpression",
    "$code", "$symbol", "$undefined", "$minKey", "$maxKey", "$dbPointer", "$document",
}


class _Field(NamedTuple):
    name: str
    type: int
    value: bytes


def written(document: bytes, canonical: bool) -> str:
    """Returns a document, which is valid BSON, on one line."""
    fields = _fields(document)
    members = ",".join(f"{_text(field.name)}:{_value(field, canonical)}" for field in fields)
    return f'{{"$document":{{{members}}}}}' if any(field.name in _WRAPPER_NAMES for field in fields) else f"{{{members}}}"


def _fields(document: bytes) -> list[_Field]:
    fields, at = [], 4
    while at < len(document) - 1:
        begin = document.index(0, at + 1) + 1
        end = begin + _length(document[at], document, begin)
        fields.append(_Field(document[at + 1 : begin - 1].decode(), document[at], document[begin:end]))
        at = end
    return fields


_LENGTHS = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7F: 0, 0xFF: 0}
# The bytes that a value has beside those that its first four bytes count.
_BESIDE = {0x02: 4, 0x03: 0, 0x04: 0, 0x05: 5, 0x0C: 16, 0x0D: 4, 0x0E: 4, 0x0F: 0}


def _length(kind: int, document: bytes, at: int) -> int:
    if kind in _LENGTHS:
        return _LENGTHS[kind]
    if kind == 0x0B:
        return document.index(0, document.index(0, at) + 1) + 1 - at
    return _BESIDE[kind] + _int(document, at)


def _int(value: bytes, at: int = 0) -> int:
    return int.from_bytes(value[at : at + 4], "little")


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _string(value: bytes, at: int = 0) -> str:
    return _text(value[at + 4 : at + 3 + _int(value, at)].decode())


def _value(field: _Field, canonical: bool) -> str:
    kind, value = field.type, field.value
    if kind == 0x01:
        return _double(struct.unpack("<d", value)[0], canonical)
    if kind == 0x03:
        return written(value, canonical)
    if kind == 0x04:
        return f"[{','.join(_value(one, canonical) for one in _fields(value))}]"
    if kind == 0x06:
        return '{"$undefined":true}'
    if kind == 0x09:
        at = date(int.from_bytes(value, "little", signed=True), canonical)
        return json.dumps({"$date": at}, separators=(",", ":"))
    if kind == 0x0C:
        return f'{{"$dbPointer":{{"$ref":{_string(value)},"$id":{{"$oid":"{value[-12:].hex()}"}}}}}}'
    if kind == 0x0E:
        return f'{{"$symbol":{_string(value)}}}'
    if kind == 0x0F:
        return f'{{"$code":{_string(value, 4)},"$scope":{written(value[8 + _int(value, 4) :], canonical)}}}'
    one = struct.pack("<iBx", len(value) + 7, kind) + value + b"\0"
    options = json_util.CANONICAL_JSON_OPTIONS if canonical else json_util.RELAXED_JSON_OPTIONS
    return json_util.dumps(bson.decode(one), json_options=options, ensure_ascii=False, separators=(",", ":"))[4:-1]


def _double(number: float, canonical: bool) -> str:
    if number - number != 0:
        name = "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"
        return f'{{"$numberDouble":"{name}"}}'
    # Without the zeros before an exponent.
    text = re.sub(r"e([+-])0*", r"e\1", repr(number))
    return f'{{"$numberDouble":"{text.replace("+", "")}"}}' if canonical else text
