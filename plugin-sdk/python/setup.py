"""Takes the contract along: it is beside this folder, in wit/ of gtm-host."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WIT = Path(__file__).resolve().parent.parent.parent / "wit"


class WithContract(build_py):
    def run(self) -> None:
        super().run()
        shutil.copytree(WIT, Path(self.build_lib) / "gtm_plugin" / "wit", dirs_exist_ok=True)


setup(cmdclass={"build_py": WithContract})
