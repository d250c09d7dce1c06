"""Adds the city to each user who is inserted into `app.users` with a `zip`. A web server knows the cities."""

import re

from gtm_plugin import Op, Reject, filter, handler, http, log, mongodb, setting, settings


# Anybody who runs the plugin can set these: --set url=https://… The host refuses a setting that is not here.
@settings
class Settings:
    url: str = setting(doc="The address that knows the places. The plugin asks for URL/ZIP.")


@filter
def has_zip(op: Op) -> bool:
    return "zip" in op.document()


# The plugin updates documents, and does not subscribe to updates: it would see its own ones.
@handler(namespace="app.users", operation="insert")
def add_city(op: Op, settings: Settings) -> None:
    # If it is missing or has another type, the host rejects the op with a reason that names the field.
    zip_code = op.field("zip", str)
    # It becomes a part of the URL.
    if not re.fullmatch("[A-Za-z0-9]+", zip_code):
        raise Reject("zip: expected letters and digits")
    city = http.get(f"{settings.url}/{zip_code}").raise_for_status().json().get("city")
    if not isinstance(city, str):
        raise Reject(f"{settings.url}/{zip_code} has no city")

    mongodb.Collection(op.namespace).update_one(op.document_key(), {"$set": {"city": city}})
    log.debug(f"{zip_code} is in {city}")
