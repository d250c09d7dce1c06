"""Writes each document to a table of PostgreSQL, as JSON. The connection stays open from op to op."""

import pg8000.native
from gtm_plugin import Op, Reject, Retry, Subscription, extended_json, handler, setting, settings, subscriptions

CREATE = "CREATE TABLE IF NOT EXISTS documents (namespace text, id text, document jsonb, PRIMARY KEY (namespace, id))"
UPSERT = (
    "INSERT INTO documents VALUES (:namespace, :id, CAST(:document AS jsonb)) "
    "ON CONFLICT (namespace, id) DO UPDATE SET document = excluded.document"
)
DELETE = "DELETE FROM documents WHERE namespace = :namespace AND id = :id"


@settings
class Settings:
    namespace: str = setting(doc="The collections: shop.orders, or shop.*.")
    host: str = setting(default="localhost", doc="The server, which the plugin must be granted: --grant tcp=HOST:PORT.")
    port: int = setting(default=5432, doc="Its port.")
    user: str = setting(default="postgres", doc="The user.")
    password: str | None = setting(default=None, doc="The password.", secret=True)
    database: str = setting(default="postgres", doc="The database.")


connection: pg8000.native.Connection | None = None


def connected(settings: Settings) -> pg8000.native.Connection:
    """Returns the open connection, or a new one."""
    global connection
    if connection is None:
        # Without TLS of its own: Python has no module ssl in WebAssembly.
        connection = pg8000.native.Connection(
            settings.user,
            host=settings.host,
            port=settings.port,
            database=settings.database,
            password=settings.password,
            timeout=10,
            ssl_context=False,
        )
        connection.run(CREATE)
    return connection


@subscriptions
def wanted(settings: Settings) -> list[Subscription]:
    return [Subscription(settings.namespace, ["insert", "update", "replace", "delete"])]


@handler
def write(op: Op, settings: Settings) -> None:
    global connection
    row = {"namespace": op.namespace, "id": str(op.document_key()["_id"])}
    try:
        if op.is_delete:
            connected(settings).run(DELETE, **row)
        else:
            document = extended_json.encode(op.raw_document)
            connected(settings).run(UPSERT, document=document, **row)
    except pg8000.native.DatabaseError as error:
        raise Reject(f"PostgreSQL refuses the row: {error}") from error
    except (pg8000.native.InterfaceError, OSError) as error:
        # The next attempt makes another connection.
        connection = None
        raise Retry(f"{settings.host}:{settings.port}: {error}") from error
