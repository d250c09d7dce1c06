import unittest

from gtm_plugin.testing import Harness, delete, insert

import welcome  # noqa: F401


class Tests(unittest.TestCase):
    def test_the_orders_of_the_regions_pass(self) -> None:
        harness = Harness(config={"values": "eu,uk"})
        for region, passes in (("eu", True), ("uk", True), ("us", False)):
            run = harness.run(insert("shop.orders", {"_id": 1, "region": region}))
            self.assertEqual(run.wanted, passes, region)
        self.assertFalse(harness.run(insert("shop.orders", {"_id": 1})).wanted)

    def test_a_deletion_passes(self) -> None:
        self.assertTrue(Harness(config={"values": "eu"}).run(delete("shop.orders", {"_id": 1})).wanted)

    def test_a_misspelt_setting_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "unknown setting value"):
            Harness(config={"value": "eu"}).init()


if __name__ == "__main__":
    unittest.main()
