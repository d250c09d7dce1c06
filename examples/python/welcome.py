"""Sends a mail to each user who is inserted into a collection `users`."""

from gtm_plugin import Op, config, filter, handler, log, mail


@filter
def is_new_user(op: Op) -> bool:
    return op.is_insert and op.collection == "users"


# To subscribe to some changes only: @handler(namespace="app.users", operation="insert")
@handler
def greet(op: Op) -> None:
    user = op.document()
    log.debug(f"document: {op.canonical_json()}")

    # If it is missing or has another type, the host rejects the op with a reason that names the field.
    email = op.field("email", str)
    name = user.get("name")
    if not isinstance(name, str):
        name = "there"

    mail.send(to=email, subject=config.get("subject", "Welcome"), text=f"Hello {name}")
    log.info(f"welcomed {name}")
