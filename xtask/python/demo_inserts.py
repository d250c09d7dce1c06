"""Writes the documents of the demonstration: demo_inserts.py URI. Prints the number of mails that should follow."""

import sys

import pymongo

client = pymongo.MongoClient(sys.argv[1])
users = client["users"]["users"]
new_users = [
    {"name": "Ada Lovelace", "email": "ada@example.com"},
    {"name": "Grace Hopper", "email": "grace@example.com"},
    {"name": "Zoë Ångström", "email": "zoe@example.com"},
]
orders = client["shop"]["orders"]

# The server may have other data: this script changes and deletes only its own documents.
ada = users.insert_one(new_users[0]).inserted_id
loom = orders.insert_one({"item": "loom", "for": "ada@example.com"}).inserted_id
nobody = users.insert_one({"name": "no address"}).inserted_id
grace = users.insert_one(new_users[1]).inserted_id
users.update_one({"_id": grace}, {"$set": {"rank": "rear admiral"}})
zoe = users.insert_one(new_users[2]).inserted_id
orders.delete_one({"_id": loom})
users.delete_many({"_id": {"$in": [ada, nobody, grace, zoe]}})
print(len(new_users))
