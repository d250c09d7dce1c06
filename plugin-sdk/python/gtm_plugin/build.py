"""``gtm-plugin build``: makes a component of a module."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import _world
from ._stamp import is_built_from, source_digest, stamped
from .registry import registry

RUN = "import sys, componentize_py; sys.exit(componentize_py.script())"
GLUE = """import {module}
{imports}
from gtm_plugin import _trace
_trace.keep_sources()
from gtm_plugin._component import WitWorld, {classes}
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="gtm-plugin", description="Makes gtm-host plugins of Python modules.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("build", help="make a component of a module")
    command.add_argument("module", type=Path, metavar="MODULE.py")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the plugin to write")
    arguments = parser.parse_args()
    try:
        build(arguments.module, arguments.output)
    except BuildError as error:
        sys.exit(f"gtm-plugin: error: {error}")


class BuildError(Exception):
    """Why there is no component. A sentence."""


def build(module: Path, output: Path) -> None:
    """Makes a component. Raises BuildError."""
    wit = Path(__file__).parent / "wit"
    if not wit.is_dir():
        raise BuildError("the contract is missing: install this package by pip install, not in editable mode")
    if not module.is_file():
        raise BuildError(f"there is no {module}")
    read: list[str] = []
    _import(module, read)
    world = _world.world(wit)
    if importlib.util.find_spec("componentize_py") is None:
        raise BuildError("componentize-py is missing: pip install componentize-py==0.25.1")
    source = source_digest(wit, (module.stem, world), read)
    if is_built_from(output, source):
        # What componentize-py makes of the same source differs in the seeds of hashes, so it would be another version.
        print(f"{output}: unchanged")
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        _world.write(wit, world, Path(directory) / "wit")
        # A component cannot import a module later, so that it imports also those that a function of the plugin imports.
        imports = "\n".join(f"import gtm_plugin.{name}" for name in _world.capabilities())
        glue = GLUE.format(module=module.stem, imports=imports, classes=", ".join(_world.exports().values()))
        (Path(directory) / "gtm_component.py").write_text(glue)
        command = [sys.executable, "-c", RUN, "--wit-path", f"{directory}/wit", "--world", "plugin", "componentize"]
        site = Path(__file__).parent.parent
        for path in (Path(directory), module.resolve().parent, site):
            command += ["--python-path", str(path)]
        component = Path(directory) / "component.wasm"
        command += ["gtm_component", "--output", str(component)]
        # Of a virtual environment it would take all that is there, with the compiler itself.
        environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        built = subprocess.run(command, env=environment, capture_output=True, text=True)
        if built.returncode != 0:
            raise BuildError(f"componentize-py failed:\n{built.stdout}{built.stderr}")
        # At once, since a host may watch it.
        beside = output.with_name(f"{output.name}.new")
        beside.write_bytes(stamped(component.read_bytes(), wit, source))
        beside.replace(output)
    print(f"{output}: {output.stat().st_size // 1024} KiB, see gtm-host check {output}")


def _import(module: Path, read: list[str]) -> None:
    """Imports the plugin, which registers its functions. Lists the files that it reads meanwhile."""
    if not module.stem.isidentifier():
        raise BuildError(f"{module.stem} is not a valid name of a module")
    sys.path.insert(0, str(module.resolve().parent))
    sys.addaudithook(lambda event, arguments: read.append(arguments[0]) if _is_read(event, arguments) else None)
    try:
        importlib.import_module(module.stem)
    except Exception as error:
        raise BuildError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    # A component that only filters ops runs before the filter of a plugin.
    if registry.handler is None and registry.batch_handler is None and registry.filter is None:
        raise BuildError(f"{module} has no function with @handler, @batch_handler or @filter")


def _is_read(event: str, arguments: Any) -> bool:
    return event == "open" and isinstance(arguments[0], str) and arguments[1] in (None, "r", "rb", "rt")


if __name__ == "__main__":
    main()
