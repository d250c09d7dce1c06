"""Sends a mail to each user who is inserted into a collection `users`."""

from gtm_plugin import Op, config, filter, handler, log, mail


@filter
def is_new_user(op: Op) -> bool:
    return op.is_insert and op.collection == "users"


# To be asked about some changes only: @handler(namespace="app.users", operation="insert")
@handler
def greet(op: Op) -> None:
    user = op.document()
    log.debug(f"document: {op.canonical_json()}")

    # If it is missing or of another type, the op is rejected, and the reason names it.
    email = op.field("email", str)
    name = user.get("name")
    if not isinstance(name, str):
        name = "there"

    mail.send(to=email, subject=config.get("subject", "Welcome"), text=f"Hello {name}")
    log.info(f"welcomed {name}")
