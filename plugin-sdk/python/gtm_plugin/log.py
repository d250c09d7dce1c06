"""Lines in the host's log, under the plugin's name and beside the id of the op in hand."""

from __future__ import annotations

import logging

from . import _host


def debug(message: str) -> None:
    _host.write_log("debug", message)


def info(message: str) -> None:
    _host.write_log("info", message)


def warning(message: str) -> None:
    _host.write_log("warn", message)


def error(message: str) -> None:
    _host.write_log("error", message)


class Handler(logging.Handler):
    """Has the standard library's loggers write there: ``logging.getLogger().addHandler(log.Handler())``."""

    def emit(self, record: logging.LogRecord) -> None:
        number = record.levelno
        level = "error" if number >= 40 else "warn" if number >= 30 else "info" if number >= 20 else "debug"
        _host.write_log(level, self.format(record))
