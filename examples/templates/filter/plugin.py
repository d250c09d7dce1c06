"""Passes only documents whose field has one of some values: the orders of a region, for example."""

from __future__ import annotations

from gtm_plugin import Op, filter, setting, settings


# Anybody who runs the filter can set these: --set values=eu,uk. The host refuses a setting that is not here.
@settings
class Settings:
    field: str = setting(default="region", doc="The field that decides.")
    values: list[str] = setting(default_factory=lambda: ["eu"], doc="The values that pass, separated by commas.")


# A deletion has no document, so it passes: nobody knows its region.
@filter
def passes(op: Op, settings: Settings) -> bool:
    return op.raw_document is None or op.document().get(settings.field) in settings.values
