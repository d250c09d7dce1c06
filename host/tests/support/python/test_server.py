"""Starts the test server with one correction: test_server.py OPTIONS, as for secantusd-py.

The server reads the first entries for a tailable cursor on the oplog, and only then takes the position from which the cursor continues.
It loses each entry that is written in between; mongod loses none. Here the position is taken first, and the cursor drops entries that
it has already returned.
"""

import sys
import threading

import bson
from secantus import commands
from secantus.cli import main

opening = threading.local()
find = commands._HANDLERS["find"]


def find_after_position(command, context):
    opening.position = context.storage.oplog_visible_tail_seq()
    return find(command, context)


def tail_oplog(wanted, first, batch_size, namespace, await_data, context):
    storage, position = context.storage, opening.position
    returned = {entry["ts"] for entry in first}

    def next_entries():
        nonlocal position
        rows = storage.read_oplog(start_seq=position + 1, limit=1000)
        if rows:
            position = rows[-1][0]
        entries = [entry for _, entry in rows if entry["ts"] not in returned]
        return [entry for entry in entries if not wanted or commands.matches(entry, wanted)]

    cursor = context.cursors.register_tailable(
        namespace, next_entries, await_data=await_data, initial_remaining=first[batch_size:]
    )
    return {"cursor": {"firstBatch": first[:batch_size], "id": bson.Int64(cursor), "ns": namespace}, "ok": 1.0}


commands._HANDLERS["find"] = find_after_position
commands._find_tailable_oplog = tail_oplog
sys.exit(main())
