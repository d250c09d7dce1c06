"""The cases that all SDKs share."""

import json
import unittest
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import bson
from bson import json_util

from gtm_plugin import Invalid, Op, Reject, Retry, Tick, TooLarge, Unavailable, extended_json, handler, state, timer
from gtm_plugin.errors import KINDS
from gtm_plugin.op import Timestamp, Transaction
from gtm_plugin.registry import registry
from gtm_plugin.testing import Harness, delete, insert, op, replace, update

FOLDER = Path(__file__).parents[2] / "conformance"
DOCUMENTS = {
    "documentKey": "raw_document_key", "fullDocument": "raw_document", "fullDocumentBeforeChange": "raw_document_before_change",
    "updateDescription": "raw_update_description", "command": "raw_command",
}


def cases(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text("utf-8").strip().split("\n")]


def document(canonical: Any) -> dict[str, Any]:
    options = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL)
    return json_util.loads(json.dumps(canonical), json_options=options)


def op_of(case: dict[str, Any]) -> Op:
    documents = {field: bson.encode(document(case[name])) for name, field in DOCUMENTS.items() if name in case}
    return Op(
        case["id"], case["operationType"], case["database"], case["collection"], Timestamp(**case["timestamp"]), case.get("wallTime"),
        transaction=Transaction(**case["transaction"]) if "transaction" in case else None, origin=case["origin"], attempt=case["attempt"],
        **documents,
    )


class Conformance(unittest.TestCase):
    def setUp(self) -> None:
        registry.__init__()  # type: ignore[misc]

    def test_change_events_are_those_of_each_sdk(self) -> None:
        for case in cases("change_events.jsonl"):
            op = op_of(case["op"])
            self.assertEqual(op.to_change_event(), case["relaxed"])
            self.assertEqual(op.to_change_event(canonical=True), case["canonical"])

    def test_errors_become_the_failures_of_each_sdk(self) -> None:
        for case in cases("errors.jsonl"):
            kind = KINDS["".join(word.capitalize() for word in case["error"].split("-"))]
            expected = {"retry": Retry, "reject": Reject}[case["failure"]]
            self.assertTrue(issubclass(kind, expected), case)

    def test_documents_are_the_json_of_each_sdk(self) -> None:
        for case in cases("extended_json.jsonl"):
            document = bytes.fromhex(case["bson"])
            self.assertEqual(extended_json.encode(document), case["relaxed"])
            self.assertEqual(extended_json.encode_canonical(document), case["canonical"])

    def test_ids_of_a_test_have_the_form_that_a_host_gives(self) -> None:
        for case in cases("ids.jsonl"):
            if "timer" in case:
                ticks: list[Tick] = []
                timer(case["timer"], "1h")(ticks.append)
                Harness().tick(case["timer"], datetime.fromtimestamp(case["at"] / 1000, timezone.utc))
                self.assertEqual([tick.id for tick in ticks], [case["id"]])
            else:
                self.assertRegex(op("insert", "a.b", origin=case["source"]).id, case["form"])
            self.assertRegex(case["id"], case["form"])

    def test_ops_of_a_test_are_those_of_each_sdk(self) -> None:
        for case in cases("harness.jsonl"):
            namespace, part = case["namespace"], {name: document(case[name]) for name in case if isinstance(case[name], dict)}
            if case["make"] == "command":
                made = op(case["operationType"], namespace, raw_command=bson.encode(part["command"]))
            elif case["make"] == "update":
                made = update(namespace, part["document"], part["updateDescription"])
            else:
                make = {"insert": insert, "replace": replace, "delete": delete}[case["make"]]
                made = make(namespace, part["key" if case["make"] == "delete" else "document"])
            expected = case["canonical"].replace("{increment}", str(made.timestamp.increment))
            self.assertEqual(made.to_change_event(canonical=True), expected)

    def test_ops_of_a_test_have_ids_of_their_own(self) -> None:
        one, other = insert("a.b", {"_id": 1}), insert("a.b", {"_id": 1})
        self.assertRegex(one.id, r"^1700000000\.[0-9]+\.0$")
        self.assertNotEqual(one.id, other.id)
        self.assertEqual(other.timestamp.increment, one.timestamp.increment + 1)

    def test_state_has_the_limits_of_the_host(self) -> None:
        def work() -> None:
            with self.assertRaises(Invalid):
                state.set("", b"")
            with self.assertRaises(Invalid):
                state.get("ü" * 257)
            with self.assertRaises(TooLarge):
                state.set("k", bytes((1 << 20) + 1))
            with self.assertRaises(Invalid):
                state.list(limit=0)
            state.set("a", bytes(500))
            with self.assertRaises(Unavailable):
                state.set("b", bytes(500))
            state.set("b", bytes(100))
            with self.assertRaises(Unavailable):
                state.set("c", b"")
            state.set("a", b"")
            quota = state.quota()
            self.assertEqual((quota.keys, quota.max_keys, quota.bytes, quota.max_bytes), (2, 2, 102, 1000))

        handler(lambda op: work())
        self.assertIsNone(Harness(state_quota=(2, 1000)).run(insert("a.b", {"_id": 1})).failure)
