import unittest

from gtm_plugin import Reject
from gtm_plugin.testing import Harness, insert

import welcome  # noqa: F401


class Tests(unittest.TestCase):
    def test_an_order_is_added_to_its_day(self) -> None:
        order = insert("shop.orders", {"_id": 1, "total": 120})
        run = Harness().run(order)
        self.assertTrue(run.handled, run.failure)
        write = run.writes[0]
        uncounted, change = write.document
        self.assertEqual((write.operation, write.namespace), ("update", "shop.daily_totals"))
        self.assertRegex(uncounted["_id"], r"^\d{4}-\d\d-\d\d$")
        self.assertEqual(uncounted["counted"], {"$ne": order.id})
        self.assertEqual(change["$inc"], {"orders": 1, "sum": 120})

    def test_the_collection_and_the_field_can_be_set(self) -> None:
        harness = Harness(config={"target": "a.sums", "field": "price"})
        run = harness.run(insert("shop.orders", {"_id": 1, "price": 2.5}))
        self.assertEqual(run.writes[0].namespace, "a.sums")

    def test_an_order_without_a_number_is_rejected(self) -> None:
        run = Harness().run(insert("shop.orders", {"_id": 1, "total": "much"}))
        self.assertIsInstance(run.failure, Reject)


if __name__ == "__main__":
    unittest.main()
