import json
import unittest

from gtm_plugin import Reject, Retry
from gtm_plugin.http import Response
from gtm_plugin.testing import Harness, insert

import welcome  # noqa: F401

ORDER = insert("shop.orders", {"_id": 1, "total": 120})


def harness(status: int) -> Harness:
    config = {"url": "https://api.example.com/orders", "token": "secret"}
    return Harness(config=config, server=lambda method, url: Response(status))


class Tests(unittest.TestCase):
    def test_an_order_is_sent(self) -> None:
        run = harness(200).run(ORDER)
        self.assertTrue(run.handled)
        self.assertEqual(run.requests[0].url, "https://api.example.com/orders")
        self.assertEqual(run.requests[0].headers["authorization"], "Bearer secret")
        self.assertEqual(json.loads(run.requests[0].content or b""), {"_id": 1, "total": 120})

    def test_a_busy_server_is_asked_again_and_a_refusal_is_final(self) -> None:
        self.assertIsInstance(harness(503).run(ORDER).failure, Retry)
        self.assertIsInstance(harness(400).run(ORDER).failure, Reject)

    def test_orders_are_subscribed_to(self) -> None:
        (subscription,) = harness(200).init()
        self.assertEqual(subscription.namespace, "*.orders")

    def test_the_url_is_required(self) -> None:
        with self.assertRaisesRegex(ValueError, "the setting url is missing"):
            Harness().init()


if __name__ == "__main__":
    unittest.main()
