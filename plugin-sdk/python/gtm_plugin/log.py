"""Lines in the host's log, under the plugin's name and beside the id of the op in hand."""

from __future__ import annotations

import logging

from . import _host


def trace(message: object) -> None:
    _host.write_log("trace", str(message))


def debug(message: object) -> None:
    _host.write_log("debug", str(message))


def info(message: object) -> None:
    _host.write_log("info", str(message))


def warning(message: object) -> None:
    _host.write_log("warn", str(message))


def error(message: object) -> None:
    _host.write_log("error", str(message))


class Handler(logging.Handler):
    """Has the standard library's loggers write there: ``logging.getLogger().addHandler(log.Handler())``."""

    def emit(self, record: logging.LogRecord) -> None:
        number = record.levelno
        names = {40: "error", 30: "warn", 20: "info", 10: "debug"}
        level = next((name for least, name in names.items() if number >= least), "trace")
        _host.write_log(level, self.format(record))
