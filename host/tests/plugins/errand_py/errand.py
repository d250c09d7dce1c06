"""Does the errand that is written in each document inserted into a collection `errands`, and logs what came of it:
`NUMBER ok WHAT` or `NUMBER error WHAT`, where the number is the document's `_id`. The same as the plugin errand, in Python."""

import json
import random
import uuid
from datetime import timedelta
from typing import Any, Literal

from bson import ObjectId, json_util
from gtm_plugin import (
    CapabilityError, Op, Retry, Size, Tick, Unavailable, config, filter, handler, http, init, log, mail, metrics, setting, settings, state,
    timer,
)
from gtm_plugin.mongodb import Collection


@settings
class Settings:
    database: str | None = setting(default=None, doc="The database of the errands.")
    key: str | None = None
    pause: timedelta = setting(default=timedelta(seconds=10), doc="A time.")
    size: Size = setting(default=Size(1 << 20), doc="A size.")
    level: Literal["low", "high"] | None = setting(default=None, doc="A choice.", former_names=["grade"])
    token: str | None = setting(default=None, doc="A secret.", secret=True)


@init
def check(settings: Settings) -> None:
    if settings.key == "refused":
        raise ValueError("key must not be refused, ü")


@filter
def is_own(op: Op, settings: Settings) -> bool:
    errand = op.document()
    # Where it is asked to, it does what a filter may not.
    if errand.get("in_filter"):
        report(errand)
        return False
    # Each host of the tests has a database of its own.
    return settings.database in (None, op.database)


@handler(namespace="*.errands", operation="insert")
def handle(op: Op) -> None:
    if op.database == "shop":
        log.info(op.to_change_event())
        log.info(op.to_change_event(canonical=True))
        return
    errand = op.document()
    if errand["do"] == "fail":
        fail(errand)
    if errand["do"] == "later":
        raise Retry("later", after=errand["after"] / 1000)
    report(errand)


@timer("chime", lambda settings: "1h" if settings.level == "high" else "0 6 * * *", missed="each")
def chime(tick: Tick, settings: Settings) -> None:
    log.info(f"{tick.timer} {int(tick.at.timestamp() * 1000)} {tick.id} {tick.attempt} {settings.level}")
    if tick.attempt == 2:
        raise Retry("later", after=1.5)


def fail(errand: dict[str, Any]) -> None:
    try:
        errand["what is not there"]
    except KeyError as error:
        raise RuntimeError("it fails") from error


def report(errand: dict[str, Any]) -> None:
    try:
        log.info(f"{errand['_id']} ok {run(errand)}")
    except Exception as error:
        log.info(f"{errand['_id']} error {error}")


def run(errand: dict[str, Any]) -> object:
    what = errand["do"]
    own = Collection(errand.get("ns", ""))
    part = errand.get("filter", {})
    if what == "kind":
        # The kind of the error of another errand.
        try:
            run({**errand["of"], "ns": errand["ns"]})
        except CapabilityError as error:
            return type(error).__name__.lower()
    if what == "http":
        body = b"x" * errand["bytes"] if "bytes" in errand else errand.get("body")
        timeout = timedelta(milliseconds=errand["timeout"]) if "timeout" in errand else None
        response = http.request(errand.get("method", "GET"), errand["url"], headers=errand.get("headers"), content=body, timeout=timeout)
        return f"{response.status} {shown(response.content)}"
    if what == "pause":
        try:
            http.get(errand["url"], idempotency_key=str(errand["_id"])).raise_for_status()
        except Unavailable as error:
            return None if error.after is None else round(error.after.total_seconds() * 1000)
    if what == "find":
        return listed(own.find(part, sort=errand.get("sort"), limit=errand.get("limit")))
    if what == "aggregate":
        return listed(own.aggregate(errand["pipeline"]))
    if what == "insert":
        own.insert_one(errand["document"])
        return "inserted"
    if what == "update":
        many = errand.get("many", False)
        result = own.update_many(part, errand["update"]) if many else own.update_one(part, errand["update"], upsert=True)
        return f"{result.matched_count} {result.modified_count}"
    if what == "replace":
        result = own.replace_one(part, errand["document"], upsert=True)
        return f"{result.matched_count} {result.modified_count}"
    if what == "delete":
        return own.delete_many(part).deleted_count
    if what == "get":
        value = state.get(errand["key"])
        return "nothing" if value is None else shown(value)
    if what == "set":
        state.set(errand["key"], errand["value"].encode())
        return "set"
    if what == "forget":
        state.delete(errand["key"])
        return "forgotten"
    if what == "swap":
        expected = errand.get("expected")
        swapped = state.compare_and_swap(errand["key"], expected and expected.encode(), errand["value"].encode())
        return "true" if swapped else "false"
    if what == "increment":
        return state.increment(errand["key"], errand.get("by", 1), time_to_live=errand.get("ttl"))
    if what == "set-for":
        state.set(errand["key"], errand["value"].encode(), time_to_live=errand["ttl"])
        return "set"
    if what == "list":
        entries = state.list(errand["prefix"], after=errand.get("after"), limit=errand.get("limit", 1000))
        return " ".join(f"{one.key}={one.value.decode()}{'' if one.time_to_live is None else '!'}" for one in entries)
    if what == "quota":
        quota = state.quota()
        return f"{quota.keys} {quota.bytes}"
    if what == "mail":
        return mail.send(to=errand["to"], subject="an errand", text="done")
    if what == "count":
        metrics.count("errands")
        metrics.gauge("level", 0.5)
        metrics.record("seconds", 0.01)
        return "counted"
    if what == "config":
        return config.get(errand["key"], "nothing")
    if what == "random":
        return f"{random.random()} {ObjectId()} {uuid.uuid4()}"
    if what == "encode":
        return errand["text"].encode().decode()
    raise ValueError(f"{what} is no errand")


def listed(documents: list[dict[str, Any]]) -> str:
    shown = (json.dumps(json.loads(json_util.dumps(one)), separators=(",", ":")) for one in documents)
    return f"{len(documents)} [{','.join(shown)}]"


def shown(value: bytes) -> str:
    return value.decode() if len(value) <= 2000 else f"{len(value)} bytes"
