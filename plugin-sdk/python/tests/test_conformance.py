"""The cases that all SDKs share."""

import json
import unittest
from pathlib import Path
from typing import Any

import bson
from bson import json_util

from gtm_plugin import Invalid, Op, Reject, Retry, TooLarge, Unavailable, handler, state
from gtm_plugin.errors import KINDS
from gtm_plugin.op import Timestamp, Transaction
from gtm_plugin.registry import registry
from gtm_plugin.testing import Harness, insert

FOLDER = Path(__file__).parents[2] / "conformance"
DOCUMENTS = {
    "documentKey": "raw_document_key", "fullDocument": "raw_document", "fullDocumentBeforeChange": "raw_document_before_change",
    "updateDescription": "raw_update_description", "command": "raw_command",
}


def cases(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text("utf-8").splitlines()]


def op_of(case: dict[str, Any]) -> Op:
    canonical = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL)
    documents = {
        field: bson.encode(json_util.loads(json.dumps(case[name]), json_options=canonical)) for name, field in DOCUMENTS.items() if name in case
    }
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
