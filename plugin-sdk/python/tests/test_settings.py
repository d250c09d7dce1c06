import unittest
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from gtm_plugin import Size, Subscription, handler, init, setting, settings, subscriptions
from gtm_plugin.registry import registry
from gtm_plugin.testing import Harness


class Settings(unittest.TestCase):
    def setUp(self) -> None:
        registry.__init__()  # type: ignore[misc]

    def declared(self) -> dict[str, tuple[str, str | None, bool]]:
        assert registry.settings is not None
        return {one.name: (one.type, one.default, one.required) for one in registry.settings.settings}

    def test_each_type_of_a_field_is_a_type_of_the_contract(self) -> None:
        @settings
        class _Settings:
            url: str
            port: int = 5
            share: float = 0.5
            on: bool = True
            wait: timedelta = timedelta(seconds=90)
            pause: timedelta = timedelta(milliseconds=1500)
            limit: Size = Size(3 << 20)
            tags: list[str] = setting(default_factory=lambda: ["a", "b"])
            mode: Literal["x", "y"] = "y"
            token: str | None = None

        self.assertEqual(self.declared(), {
            "url": ("text", None, True), "port": ("integer", "5", False), "share": ("number", "0.5", False),
            "on": ("boolean", "true", False), "wait": ("duration", "90s", False), "pause": ("duration", "1500ms", False),
            "limit": ("size", "3 MiB", False), "tags": ("texts", "a,b", False), "mode": ("choice", "y", False),
            "token": ("text", None, False),
        })
        harness = Harness(config={"url": "u", "wait": "1m 30s", "limit": "1.5 KiB", "tags": "c, d", "on": False})
        harness.init()
        read = harness._settings
        self.assertEqual((read.url, read.wait, read.limit, read.tags), ("u", timedelta(seconds=90), 1536, ["c", "d"]))
        self.assertEqual((read.on, read.mode, read.token, read.pause), (False, "y", None, timedelta(seconds=1.5)))

    def test_a_dataclass_is_taken_as_it_is(self) -> None:
        @settings
        @dataclass
        class Own:
            token: str = field(metadata={"doc": "d", "secret": True, "former_names": ["key"]})

        (one,) = registry.settings.settings  # type: ignore[union-attr]
        self.assertEqual((one.doc, one.secret, one.former_names), ("d", True, ["key"]))
        self.assertEqual(registry.values({"token": "x"}), Own("x"))

    def test_a_type_that_settings_do_not_have_is_refused(self) -> None:
        with self.assertRaisesRegex(TypeError, "the setting x has a type that settings do not have: use one of str"):

            @settings
            class _Settings:
                x: dict[str, str]

    def test_what_a_user_sets_is_checked(self) -> None:
        @settings
        class _Settings:
            url: str = setting(former_names=["address"])
            wait: timedelta = timedelta(seconds=10)
            mode: Literal["x", "y"] = "x"

        Harness(config={"address": "u"}).init()
        for config, said in [
            ({}, "the setting url is missing"),
            ({"url": "u", "wat": "5s"}, "unknown setting wat: the settings of the plugin are url, wait, mode"),
            ({"url": "u", "wait": "5"}, "the setting wait is '5', which is not valid for the type duration"),
            ({"url": "u", "mode": "z"}, "the setting mode is 'z', which is not valid for the type choice"),
            ({"url": "u", "address": "v"}, "the settings url and address are both set, and are the same"),
        ]:
            with self.assertRaises(ValueError, msg=said) as raised:
                Harness(config=config).init()
            self.assertEqual(str(raised.exception), said)

    def test_a_plugin_that_declares_nothing_accepts_any(self) -> None:
        seen = []
        init(lambda settings: seen.append(settings))
        Harness(config={"anything": "1"}).init()
        self.assertEqual(seen, [{"anything": "1"}])

    def test_init_runs_once_and_may_refuse_the_settings(self) -> None:
        seen = []

        @init
        def begin(settings: dict[str, str]) -> None:
            seen.append(settings)
            if "bad" in settings:
                raise ValueError("the setting bad is bad") from KeyError("why")

        harness = Harness()
        self.assertEqual((harness.init(), harness.init(), len(seen)), ([], [], 1))
        with self.assertRaisesRegex(ValueError, "^the setting bad is bad: KeyError: 'why'$"):
            Harness(config={"bad": "1"}).init()

    def test_subscriptions_may_depend_on_the_settings(self) -> None:
        @subscriptions
        def wanted(settings: dict[str, str]) -> list[Subscription]:
            return [Subscription(f"{settings['database']}.*", "insert")]

        self.assertEqual(Harness(config={"database": "shop"}).init(), [Subscription("shop.*", ("insert",))])
        handler(namespace=["a.*", "b.*"], operation="delete")(lambda op: None)
        self.assertEqual(Harness().init(), [Subscription("a.*", ("delete",)), Subscription("b.*", ("delete",))])
        with self.assertRaisesRegex(ValueError, "'inserts' is not an operation: use one of insert"):
            Subscription(operations=["inserts"])
