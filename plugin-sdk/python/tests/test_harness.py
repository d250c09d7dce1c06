import unittest
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

from gtm_plugin import (
    CapabilityError, Conflict, Invalid, NotGranted, Op, Reject, Rejected, Retry, Tick, TooLarge, Unavailable, batch_handler, filter,
    handler, http, log, mail, metrics, state, timer,
)
from gtm_plugin.mongodb import Collection
from gtm_plugin.registry import registry
from gtm_plugin.testing import Harness, Request, Run, insert, update

OP = insert("app.users", {"_id": 1, "name": "Ada"})


class Harnesses(unittest.TestCase):
    def setUp(self) -> None:
        registry.__init__()  # type: ignore[misc]

    def run_with(self, work: Any, **options: Any) -> Run:
        handler(lambda op: work())
        return Harness(**options).run(OP)

    def test_the_effects_of_a_plugin_are_recorded(self) -> None:
        def work() -> None:
            mail.send(to="ada@example.com", subject="s", text="t")
            http.post("http://x/", json={"n": 1}, timeout=timedelta(seconds=2), idempotency_key="id")
            things = Collection("a.b")
            self.assertEqual(things.insert_one({"_id": 7}).inserted_id, 7)
            self.assertEqual(len(things.insert_many([{}, {"_id": 8}]).inserted_ids), 2)
            result = things.update_one({"_id": 7}, {"$set": {"n": 1}}, upsert=True)
            self.assertEqual((result.matched_count, result.modified_count, result.upserted_id), (1, 1, None))
            self.assertEqual(things.delete_many({}).deleted_count, 1)
            metrics.count("mails")
            metrics.count("mails", 2)
            metrics.gauge("level", 0.5)
            metrics.record("seconds", 0.01)
            log.info("done")

        run = self.run_with(work, server=lambda method, url: http.Response(200))
        self.assertIsNone(run.failure)
        self.assertEqual(len(run.mails), 1)
        headers = {"content-type": "application/json", "idempotency-key": "id"}
        self.assertEqual(run.requests, [Request("POST", "http://x/", headers, b'{"n": 1}', 2000)])
        self.assertEqual([(write.operation, write.namespace, write.many, write.upsert) for write in run.writes], [
            *[("insert", "a.b", False, False)] * 3, ("update", "a.b", False, True), ("delete", "a.b", True, False),
        ])
        self.assertEqual((run.counters, run.gauges, run.recorded), ({"mails": 3}, {"level": 0.5}, {"seconds": [0.01]}))
        self.assertEqual(run.log, [("info", "done")])

    def test_a_write_fails_if_the_test_says_so(self) -> None:
        run = self.run_with(lambda: Collection("a.b").insert_one({}), write_error=Conflict("exists"))
        self.assertEqual((type(run.failure), run.writes), (Conflict, []))

    def test_a_server_sees_the_request_and_answers_with_headers(self) -> None:
        def server(method: str, url: str, request: Request) -> http.Response:
            return http.Response(200, {"X-Own": request.headers["a"]}, request.content or b"")

        seen = []
        self.run_with(lambda: seen.append(http.request("PUT", "http://x/", headers={"a": "1"}, content="ü")), server=server)
        self.assertEqual((seen[0].headers, seen[0].text), ({"x-own": "1"}, "ü"))

    def test_a_server_that_asks_to_wait_is_asked_again_no_sooner(self) -> None:
        def failure(status: int, retry_after: str) -> Any:
            answer = http.Response(status, {"Retry-After": retry_after})
            return self.run_with(lambda: http.get("http://x/").raise_for_status(), server=lambda method, url: answer).failure

        self.assertEqual(failure(503, "120").after, timedelta(seconds=120))
        self.assertEqual(failure(429, " 3 ").after, timedelta(seconds=3))
        after = failure(503, format_datetime(datetime.now(timezone.utc) + timedelta(minutes=1), usegmt=True)).after
        self.assertTrue(timedelta(seconds=50) < after <= timedelta(minutes=1), after)
        self.assertEqual(failure(503, "Fri, 31 Dec 1999 23:59:59 GMT").after, timedelta())
        self.assertIsNone(failure(503, "soon").after)
        self.assertIsInstance(failure(404, "120"), Rejected)

    def test_a_retry_says_how_long_to_wait(self) -> None:
        self.assertEqual(Retry("busy", after=1.5).after, timedelta(seconds=1.5))
        self.assertIsNone(Retry("busy").after)
        with self.assertRaisesRegex(ValueError, "after is -1"):
            Retry("busy", after=-1)

    def test_each_error_of_a_capability_decides_what_happens_to_the_op(self) -> None:
        for kind, outcome in [
            (Unavailable, Retry), (NotGranted, Retry), (Invalid, Reject), (Rejected, Reject), (Conflict, Reject), (TooLarge, Reject),
        ]:
            run = self.run_with(lambda: mail.send(to="a@b.c", subject="s", text="t"), mail_error=kind("why"))
            self.assertIsInstance(run.failure, outcome)
            self.assertIsInstance(run.failure, CapabilityError)

    def test_a_filter_has_no_capability_with_an_effect(self) -> None:
        @filter
        def wants(op: Op) -> bool:
            with self.assertRaisesRegex(NotGranted, "state can be used in handle only"):
                state.get("k")
            return False

        self.assertFalse(self.run_with(lambda: None).wanted)

    def test_a_batch_has_an_outcome_for_each_op(self) -> None:
        batch_handler(lambda ops: [Reject("bad") if op.id == "bad" else None for op in ops])
        outcomes = Harness().run_batch([OP, insert("app.users", {}, id="bad")]).outcomes
        self.assertIsNone(outcomes[0])
        self.assertIsInstance(outcomes[1], Reject)
        self.assertTrue(Harness().run(OP).handled)
        batch_handler(lambda ops: [])
        self.assertIn("the batch handler returns 0 outcomes for 1 ops", str(Harness().run_batch([OP]).outcomes[0]))

    def test_a_timer_ticks(self) -> None:
        @timer("chime", lambda settings: settings["schedule"])
        def chime(tick: Tick) -> None:
            log.info(f"{tick.timer} {tick.at.isoformat()} {tick.id}")
            if tick.at.minute:
                raise Reject("not now")

        harness = Harness(config={"schedule": "1h"})
        self.assertEqual(harness.schedules(), {"chime": "1h"})
        run = harness.tick("chime", datetime(2026, 1, 31, 12, tzinfo=timezone.utc))
        self.assertTrue(run.handled)
        self.assertEqual(run.log, [("info", "chime 2026-01-31T12:00:00+00:00 1769860800.0.tick-chime")])
        failure = harness.tick("chime", datetime(2026, 1, 31, 12, 1, tzinfo=timezone.utc)).failure
        self.assertEqual((type(failure), str(failure)), (Reject, "not now"))
        with self.assertRaisesRegex(ValueError, "two timers 'chime'"):
            timer("chime", "1h")
        with self.assertRaisesRegex(ValueError, "use one of skip, once, each"):
            timer("other", "1h", missed="all")

    def test_an_update_has_its_description(self) -> None:
        changed = update("app.users", {"_id": 1, "n": 2}, {"updatedFields": {"n": 2}}, attempt=3)
        self.assertEqual((changed.update_description(), changed.attempt), ({"updatedFields": {"n": 2}}, 3))

    def test_state_has_numbers_pages_and_times_to_live(self) -> None:
        def work() -> None:
            self.assertEqual((state.increment("n"), state.increment("n", -3)), (1, -2))
            state.set("a", b"1", time_to_live=timedelta(minutes=1))
            state.set("past", b"1", time_to_live=0)
            self.assertIsNone(state.get("past"))
            self.assertTrue(state.compare_and_swap("a", b"1", b"2", time_to_live=60))
            found = [[one.key for one in page] for page in (state.list(), state.list("n"), state.list(limit=1), state.list(after="a"))]
            self.assertEqual(found, [["a", "n"], ["n"], ["a"], ["n"]])
            first, last = state.list()
            self.assertTrue(timedelta(seconds=50) < first.time_to_live <= timedelta(minutes=1))  # type: ignore[operator]
            self.assertIsNone(last.time_to_live)
            self.assertEqual(state.quota(), state.Quota(2, 100_000, 5, 256 << 20))
            state.set("a", b"text")
            state.increment("a")

        failure = self.run_with(work).failure
        self.assertEqual((type(failure), str(failure)), (Invalid, "the value of a is not a number"))
