"""Reads the topics as docs/reference/integration-events.md describes, with no code of this project.

    read.py BROKERS PREFIX EVENTS

Prints the revisions of each key in the order in which they came, once there are so many events,
each counted once. Every message must be as the AsyncAPI document and the JSON Schemas say.
"""

import json
import sys
import time
from pathlib import Path

from confluent_kafka import Consumer
from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).resolve().parents[3] / "event-schemas"
DOCUMENT = json.loads((SCHEMAS / "asyncapi.json").read_text())


def headers_of(message):
    return {name: value.decode() for name, value in message.headers() or []}


def check(topic, message, headers):
    described = {
        entry["name"]: entry
        for name, entry in DOCUMENT["components"]["messages"].items()
        if name in DOCUMENT["channels"][topic]["messages"]
    }[headers["ce_type"]]
    Draft202012Validator(DOCUMENT["components"]["schemas"]["headers"]).validate(headers)
    payload = SCHEMAS / described["payload"]["schema"]["$ref"]
    Draft202012Validator(json.loads(payload.read_text())).validate(json.loads(message.value()))
    assert message.key().decode() == headers["ce_subject"]


def main(brokers, prefix, events):
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": f"{prefix}.python",
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([f"{prefix}.{topic}" for topic in DOCUMENT["channels"]])
    seen, revisions, deadline = set(), {}, time.monotonic() + 90
    while len(seen) < events:
        assert time.monotonic() < deadline, f"only {len(seen)} events came"
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        headers = headers_of(message)
        check(message.topic().removeprefix(f"{prefix}."), message, headers)
        identity = (headers["ce_source"], headers["ce_subject"], headers["ce_id"])
        if identity in seen:
            continue
        seen.add(identity)
        revisions.setdefault(headers["ce_subject"], []).append(int(headers["ce_revision"]))
    consumer.close()
    print(json.dumps(revisions))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
