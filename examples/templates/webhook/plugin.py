"""Sends each document that is written to a collection `orders` to a web server, as JSON."""

from __future__ import annotations

from gtm_plugin import Op, Reject, extended_json, handler, http, log, setting, settings


# Anybody who runs the plugin can set these: --set url=https://… The host refuses a setting that is not here.
@settings
class Settings:
    url: str = setting(doc="The address that gets each document.")
    token: str | None = setting(secret=True, doc="The token that is sent along.")


# A * stands for any characters: each database may have the collection. The host retries the op if the server cannot do it now, and rejects
# it if the server refuses it.
@handler(namespace="*.orders", operation=["insert", "update", "replace"])
def send(op: Op, settings: Settings) -> None:
    headers = {"content-type": "application/json"}
    if settings.token:
        headers["authorization"] = f"Bearer {settings.token}"
    if op.raw_document is None:
        raise Reject("the document was deleted meanwhile")
    body = extended_json.encode(op.raw_document)
    response = http.post(settings.url, headers=headers, content=body, idempotency_key=op.id)
    response.raise_for_status()
    log.debug(f"answered with status {response.status}")
