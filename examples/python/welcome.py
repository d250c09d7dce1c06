"""Sends a mail to each user who is inserted into a collection `users`."""

from gtm_plugin import Op, filter, handler, log, mail, setting, settings


# Anybody who runs the plugin can set these: --set subject=Hello. The host refuses a setting that is not here.
@settings
class Settings:
    subject: str = setting(default="Welcome", doc="The subject of the mails.")


@filter
def is_new_user(op: Op) -> bool:
    return op.is_insert and op.collection == "users"


# To subscribe to some changes only: @handler(namespace="app.users", operation="insert")
@handler
def greet(op: Op, settings: Settings) -> None:
    user = op.document()
    log.debug(f"document: {op.canonical_json()}")

    # If it is missing or has another type, the host rejects the op with a reason that names the field.
    email = op.field("email", str)
    name = user.get("name")
    if not isinstance(name, str):
        name = "there"

    mail.send(to=email, subject=settings.subject, text=f"Hello {name}")
    log.info(f"welcomed {name}")
