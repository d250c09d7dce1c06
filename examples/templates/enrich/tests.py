import unittest

from gtm_plugin import Op, Reject
from gtm_plugin.http import Response
from gtm_plugin.testing import Harness, insert

import welcome  # noqa: F401


def harness(body: bytes) -> Harness:
    config = {"url": "https://api.example.com/places"}
    return Harness(config=config, server=lambda method, url: Response(200, content=body))


def user(zip_code: str) -> Op:
    return insert("app.users", {"_id": 1, "zip": zip_code})


class Tests(unittest.TestCase):
    def test_a_user_gets_a_city(self) -> None:
        run = harness(b'{"city": "Berlin"}').run(user("10115"))
        self.assertTrue(run.handled, run.failure)
        self.assertEqual(run.requests[0].url, "https://api.example.com/places/10115")
        written = [(write.namespace, write.document) for write in run.writes]
        self.assertEqual(written, [("app.users", ({"_id": 1}, {"$set": {"city": "Berlin"}}))])

    def test_a_zip_that_does_not_belong_into_a_url_is_rejected(self) -> None:
        run = harness(b"{}").run(user("../secrets"))
        self.assertIsInstance(run.failure, Reject)
        self.assertEqual(run.requests, [])

    def test_an_answer_without_a_city_is_rejected(self) -> None:
        self.assertIsInstance(harness(b"{}").run(user("10115")).failure, Reject)

    def test_a_user_without_a_zip_is_not_wanted(self) -> None:
        self.assertFalse(harness(b"{}").run(insert("app.users", {"_id": 1})).wanted)


if __name__ == "__main__":
    unittest.main()
