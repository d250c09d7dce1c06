"""What the demonstration writes: demo_inserts.py URI. Prints how many mails should come of it."""

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

users.insert_one(new_users[0])
orders.insert_one({"item": "loom", "for": "ada@example.com"})
users.insert_one({"name": "no address"})
users.insert_one(new_users[1])
users.update_one({"email": "grace@example.com"}, {"$set": {"rank": "rear admiral"}})
users.insert_one(new_users[2])
users.delete_one({"name": "no address"})
orders.delete_many({"item": "loom"})
users.delete_many({"_id": {"$in": [user["_id"] for user in new_users]}})
print(len(new_users))
