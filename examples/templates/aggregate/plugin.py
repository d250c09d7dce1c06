"""Adds up the orders of each day: for each order that is inserted into `shop.orders`, it updates the sum of its day."""

from datetime import datetime, timezone

from gtm_plugin import Conflict, Op, handler, mongodb, setting, settings


# Anybody who runs the plugin can set these: --set field=price. The host refuses a setting that is not here.
@settings
class Settings:
    target: str = setting(default="shop.daily_totals", doc="The collection of the sums.")
    field: str = setting(default="total", doc="The field of an order that is added up.")


@handler(namespace="shop.orders", operation="insert")
def add(op: Op, settings: Settings) -> None:
    # If it is missing or has another type, the host rejects the op with a reason that names the field.
    amount = op.field(settings.field, float)
    day = datetime.fromtimestamp(op.timestamp.time, timezone.utc).date().isoformat()

    sums = mongodb.Collection(settings.target)
    # An op that is delivered again is in the list already.
    uncounted = {"_id": day, "counted": {"$ne": op.id}}
    change = {"$inc": {"orders": 1, "sum": amount}, "$push": {"counted": {"$each": [op.id], "$slice": -1000}}}
    if sums.update_one(uncounted, change).matched_count:
        return
    # It was counted before, or it is the first one of its day.
    try:
        sums.update_one({"_id": day}, {"$setOnInsert": {"orders": 0, "sum": 0}}, upsert=True)
    except Conflict:
        # Another order of the day came first.
        pass
    sums.update_one(uncounted, change)
