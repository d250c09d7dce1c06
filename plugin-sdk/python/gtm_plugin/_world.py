"""The world of a plugin: the interfaces that it exports, and the capabilities that it uses."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from pathlib import Path

from .registry import registry

PACKAGE = __package__ or "gtm_plugin"
GRANTED = ("http", "mail", "metrics", "mongodb", "state")
"""The capabilities that a world has only if the plugin uses them. The others are always available."""
ALWAYS = ("config", "extended-json", "log")


def contract(wit: Path) -> str:
    """Returns the version of the contract in a folder."""
    version = re.search(r"^package gtm:plugin@([^;]+);", (wit / "types.wit").read_text(), re.MULTILINE)
    assert version is not None
    return version[1]


def exports() -> dict[str, str]:
    """Returns the interfaces that the plugin exports, each with the class that implements it."""
    has = {
        "lifecycle": registry.settings or registry.init or registry.subscriptions,
        "filter": registry.filter,
        "batch-filter": registry.filter,
        "handler": registry.handler,
        "batch-handler": registry.batch_handler,
        "schedule": registry.timers or None,
    }
    return {name: name.title().replace("-", "") for name, function in has.items() if function is not None}


def capabilities() -> list[str]:
    """Returns the capabilities that the imported modules use, also those that a function imports later."""
    used = {name for name in GRANTED if f"{PACKAGE}.{name}" in sys.modules}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and path.endswith(".py") and not module.__name__.startswith(PACKAGE):
            source = Path(path).read_text(encoding="utf-8", errors="replace")
            if PACKAGE in source:
                used |= named(source)
    return [name for name in GRANTED if name in used]


def named(source: str) -> set[str]:
    """Returns the modules of this package that a source names."""
    found: set[str] = set()
    bound: set[str] = set()
    nodes = list(ast.walk(ast.parse(source)))
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                package, _, module = alias.name.partition(".")
                if package == PACKAGE:
                    found.add(module)
                    bound.add(alias.asname or package)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            package, _, module = (node.module or "").partition(".")
            if package == PACKAGE:
                found |= {module} if module else {alias.name for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bound:
            found.add(node.attr)
    return found


def world(wit: Path) -> str:
    """Returns the text of the world."""
    version = contract(wit)
    lines = [f"import gtm:plugin/{name}@{version};" for name in (*ALWAYS, *capabilities())]
    lines += [f"export gtm:plugin/{name}@{version};" for name in exports()]
    return "package gtm:python;\n\nworld plugin {\n  " + "\n  ".join(lines) + "\n}\n"


def write(wit: Path, world: str, folder: Path) -> None:
    """Writes the world, and the contract that it depends on, into a folder."""
    shutil.copytree(wit, folder / "deps" / "gtm-plugin")
    (folder / "world.wit").write_text(world)
