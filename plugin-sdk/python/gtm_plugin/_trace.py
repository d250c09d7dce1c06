"""What is said of an exception: the reason of a failure, and a traceback with the author's own lines."""

from __future__ import annotations

import linecache
import os
import sys
import traceback
from collections.abc import Iterator

from .errors import Failure

PACKAGE = os.path.dirname(os.path.abspath(__file__))
GLUE = tuple(os.path.join(PACKAGE, name) for name in ("_component.py", "registry.py"))
LIBRARIES = (os.path.dirname(PACKAGE) + os.sep, os.path.dirname(os.path.abspath(os.__file__)) + os.sep, "<")


def keep_sources() -> None:
    """Keeps the text of the author's modules: a component has them without it. Called while one is built."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and _is_authors(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.readlines()
            # Without a time, it is not compared with the file, which is gone later.
            linecache.cache[path] = (sum(map(len, lines)), None, lines, path)


def _is_authors(path: str) -> bool:
    return not path.startswith(LIBRARIES)


def _shown(path: str) -> str:
    """The path of a module from where it was imported."""
    roots = [os.path.join(os.path.abspath(root), "") for root in sys.path]
    root = max((root for root in roots if path.startswith(root)), key=len, default="")
    return path[len(root):]


def place(error: BaseException) -> str | None:
    """The author's line that an exception went through last: `welcome.py:12`."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_authors(frame.filename)]
    return f"{_shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else None


def described(error: BaseException) -> str:
    """Its text, after its type if nobody raised it to say what becomes of the op."""
    text = str(error)
    if isinstance(error, Failure):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def reason(error: BaseException) -> str:
    """Its text with those of its causes, and with the author's line if nobody raised it to say what becomes of the op."""
    said = _with_causes(described(error), error)
    where = None if isinstance(error, Failure) else place(error)
    return f"{said} ({where})" if where else said


def is_said(error: BaseException) -> bool:
    """Returns whether an exception of `init` was raised to say what is wrong with the settings, which a type of a bug is not."""
    return isinstance(error, Failure) or type(error) in (ValueError, Exception)


def refusal(error: BaseException) -> str:
    """Returns why `init` refuses the settings: the text alone if it was raised to say that, or more if it is a bug."""
    return _with_causes(str(error), error) if is_said(error) and str(error) else reason(error)


def _with_causes(said: str, error: BaseException) -> str:
    for cause in _causes(error):
        if (text := described(cause)) not in said and str(cause) not in (said, ""):
            said += f": {text}"
    return said


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    while (error := error.__cause__) is not None and id(error) not in seen:  # type: ignore[assignment]
        seen.add(id(error))
        yield error


def formatted(error: BaseException) -> str:
    """The traceback, without the frames of this package's glue."""
    tracebacks = [traceback.TracebackException.from_exception(error)]
    for one in tracebacks:
        for frame in one.stack:
            # Looked up by the path, so before that is changed.
            _ = frame.line
        kept = [frame for frame in one.stack if frame.filename not in GLUE]
        for frame in kept:
            frame.filename = _shown(frame.filename)
        one.stack[:] = kept
        tracebacks += [before for before in (one.__cause__, one.__context__) if before is not None and before not in tracebacks]
    return "".join(tracebacks[0].format()).strip()
