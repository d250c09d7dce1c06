import unittest

from gtm_plugin import Reject
from gtm_plugin.testing import Harness, delete, insert

import welcome  # noqa: F401


class Tests(unittest.TestCase):
    def test_a_new_user_gets_a_mail(self) -> None:
        user = {"_id": 1, "name": "Ada", "email": "ada@example.com"}
        run = Harness(config={"subject": "Hi"}).run(insert("app.users", user))
        self.assertTrue(run.handled)
        self.assertEqual(run.mails[0]["to"], ["ada@example.com"])
        self.assertEqual((run.mails[0]["subject"], run.mails[0]["text"]), ("Hi", "Hello Ada"))

    def test_a_misspelt_setting_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "unknown setting subjct"):
            Harness(config={"subjct": "Hi"}).init()

    def test_a_user_without_email_is_rejected(self) -> None:
        run = Harness().run(insert("app.users", {"_id": 1}))
        self.assertIsInstance(run.failure, Reject)
        self.assertEqual(str(run.failure), "email: expected a string, found nothing")

    def test_other_changes_are_not_wanted(self) -> None:
        for op in (insert("app.orders", {"_id": 1}), delete("app.users", {"_id": 1})):
            self.assertFalse(Harness().run(op).wanted)


if __name__ == "__main__":
    unittest.main()
