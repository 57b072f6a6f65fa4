"""A subscriber with pyzmq and nothing of Spancast's: it checks every frame of
what it receives against docs/protocol.md and prints each change as JSON.

usage: subscriber.py ENDPOINT PREFIX COUNT
"""

import json
import re
import sys
import time

import zmq

TIMESTAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
HEADER = re.compile(rf"({TIMESTAMP})/([^ /]+)/([^ /]+)/(\d+) ([0-9a-f]{{16}}) (\d+(?:/\d+)*) (\{{.*\}})")
ALWAYS = {"table", "op", "capture", "schema", "records", "partitions", "last"}
SOMETIMES = {"tag", "system", "traceparent", "moved"}


def check(ok, what, message):
    if not ok:
        sys.exit(f"{what}: {message}")


def main(endpoint, prefix, count):
    socket = zmq.Context().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVTIMEO, 60000)
    socket.setsockopt_string(zmq.SUBSCRIBE, prefix)
    socket.connect(endpoint)
    level = prefix.count("/")
    last = None  # counter of the level
    schemas = set()
    seen = 0
    while seen < count:
        frames = socket.recv_multipart()
        check(len(frames) == 3, "frames", frames)
        topic, header, body = (f.decode("utf-8") for f in frames)
        check(topic.endswith("/") and topic.startswith(prefix) and len(frames[0]) <= 255, "topic", topic)
        match = HEADER.fullmatch(header)
        check(match and header.isascii(), "header", header)
        timestamp, transaction, sequence, mod, epoch, counters, attributes = match.groups()
        counters, attributes = [int(n) for n in counters.split("/")], json.loads(attributes)
        leaf = topic.split("/")[-2]
        if leaf.startswith("$"):
            check(attributes == {} and transaction == "-", "control header", header)
            content = json.loads(body)
            if leaf == "$schema":
                schemas.add(content["schema"])
                check(content["columns"][0].keys() == {"name", "type", "is_primary_key", "ordinal_position"}, "schema", body)
            if leaf == "$resolved" and topic == prefix + "$resolved/":
                if last is None:
                    print("active", flush=True)
                check(last is None or counters[level] == last, "lost before a resolved message", (last, header))
                last = counters[level]
            continue
        check(ALWAYS <= attributes.keys() <= ALWAYS | SOMETIMES, "attributes", attributes)
        check(topic == f"{attributes['table']}/{attributes['op']}/", "topic", topic)
        check(len(counters) == topic.count("/") + 1, "counters", header)
        check(last is None or counters[level] == last + 1, "lost", (last, header))
        last = counters[level]
        check(attributes["schema"] in schemas, "schema before its first use", attributes)
        content = json.loads(body)
        check(list(content) == ["keys", "new_values", "old_values"], "body", body)
        check(abs(time.time() - time.mktime(time.strptime(timestamp[:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone) < 3600, "commit time", timestamp)
        print(json.dumps({"topic": topic, "timestamp": timestamp, "mod": int(mod), "op": attributes["op"], "body": content}), flush=True)
        seen += 1


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
