"""What a component says of itself: a custom section, which the host reads before it links anything."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from ._world import contract

NAME = b"gtm:plugin"
COMPILER = "componentize-py"


def source_digest(wit: Path, parts: Iterable[str], read: Iterable[str]) -> str:
    """A digest of all that a component is made of: modules and what they read, the contract, the compiler."""
    digest = hashlib.sha256()
    for part in (f"{COMPILER} {version(COMPILER)}", *parts):
        digest.update(part.encode() + b"\0")
    package = Path(__file__).parent
    modules = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    files = {Path(path).resolve() for path in (*modules, *read) if path} | {*wit.rglob("*.wit"), *package.rglob("*.py")}
    # Neither where it is nor what the interpreter here has counts: a component has another one.
    standard = Path(json.__file__).parent.parent
    contents = {
        hashlib.sha256(file.read_bytes()).digest() + file.name.encode()
        for file in files
        if file.suffix not in (".pyc", ".so") and file.is_file()
        and ("site-packages" in file.parts or not file.is_relative_to(standard))
    }
    for content in sorted(contents):
        digest.update(content)
    return digest.hexdigest()


def stamped(component: bytes, wit: Path, source: str) -> bytes:
    """The component with the section at its end."""
    said = {"contract": contract(wit), "sdk": f"gtm-plugin {version('gtm-plugin')} (Python)", "source": source}
    content = _leb128(len(NAME)) + NAME + json.dumps(said, separators=(",", ":")).encode()
    # 0 is a custom section.
    return component + b"\0" + _leb128(len(content)) + content


def is_built_from(output: Path, source: str) -> bool:
    """Whether a component was built from this source."""
    try:
        with output.open("rb") as file:
            file.seek(-min(1024, output.stat().st_size), 2)
            return file.read().endswith(f'"source":"{source}"}}'.encode())
    except OSError:
        return False


def _leb128(number: int) -> bytes:
    """A number as WebAssembly writes it: seven bits in a byte, the lowest first."""
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)
