"""Makes a mongod on loopback a replica set of one member, and waits until it accepts writes: initiate.py PORT."""

import sys
import time

import pymongo

host = f"127.0.0.1:{sys.argv[1]}"
client = pymongo.MongoClient(host, directConnection=True)
client.admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": host}]})
while not client.admin.command("hello")["isWritablePrimary"]:
    time.sleep(0.05)
