import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from gtm_plugin import _world

PRINT = "import sys; sys.path.insert(0, sys.argv[1]); import plugin; from gtm_plugin import _world; print(_world.capabilities(), *_world.exports())"


class Worlds(unittest.TestCase):
    def world(self, source: str) -> str:
        """Returns the capabilities and the exports of a plugin, which a process of its own imports."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "plugin.py").write_text(source)
            command = [sys.executable, "-B", "-c", PRINT, folder]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def test_a_plugin_asks_for_the_capabilities_that_it_uses(self) -> None:
        handle = "\n@handler\ndef handle(op): ...\n"
        self.assertEqual(self.world("from gtm_plugin import handler, log, config" + handle), "[] handler")
        self.assertEqual(self.world("from gtm_plugin import handler, mail" + handle), "['mail'] handler")
        self.assertEqual(self.world("from gtm_plugin import handler\nfrom gtm_plugin.mongodb import Collection" + handle), "['mongodb'] handler")
        later = "import gtm_plugin as gtm\n@gtm.handler\ndef handle(op):\n    gtm.state.get('k')\n    from gtm_plugin import http\n"
        self.assertEqual(self.world(later), "['http', 'state'] handler")

    def test_a_plugin_exports_the_interfaces_that_it_has(self) -> None:
        source = "from gtm_plugin import *\n@init\ndef begin(): ...\n@filter\ndef wants(op): ...\n@batch_handler\ndef work(ops): ...\n"
        self.assertEqual(self.world(source).split("] ")[1], "lifecycle filter batch-filter batch-handler")
        self.assertEqual(self.world("from gtm_plugin import handler\nhandler(namespace='a.*')(print)").split("] ")[1], "lifecycle handler")

    def test_a_module_that_only_filters_exports_no_handler(self) -> None:
        source = "from gtm_plugin import filter\n@filter\ndef wants(op): ...\n"
        self.assertEqual(self.world(source).split("] ")[1], "filter batch-filter")

    def test_the_names_in_a_source_are_found(self) -> None:
        self.assertEqual(_world.named("import gtm_plugin.mail\nimport gtm_plugin\ngtm_plugin.http.get"), {"mail", "", "http"})
        self.assertEqual(_world.named("from gtm_plugin.state import get\nother.mail"), {"state"})
