"""A subscriber with pyzmq that loses nothing: it notices a gap by the counters
and fetches what is missing from the recovery endpoint. It prints each change
once, in the order of its key, as JSON.

usage: recover.py ENDPOINT PREFIX [COUNT]

It follows one publisher at a time: the one at ENDPOINT, and its successors. For
several at once keep the state of every epoch, and take the lowest "fleet" of
them all; docs/subscriber.md tells what else there is to mind. docs/protocol.md
has the messages.
"""

import json
import sys

import zmq

TIMESTAMP = 30  # characters of a commit timestamp; they sort as text


class Subscriber:
    def __init__(self, endpoint, prefix):
        self.prefix = prefix
        self.level = prefix.count("/")  # our place in the counters
        self.context = zmq.Context()
        self.sub = self.context.socket(zmq.SUB)
        self.sub.setsockopt(zmq.RCVHWM, 0)  # messages wait here while a replay runs
        for topic in (prefix, "$hello/"):
            self.sub.setsockopt_string(zmq.SUBSCRIBE, topic)
        self.sub.connect(endpoint)
        self.dealer = None
        self.recovery = None  # endpoint, from the hello
        self.requests = 0
        self.last = {}  # epoch: counter of our level that came last
        self.complete = None  # every change that was committed before it was handed on
        self.seen = set()  # versions that were handed on, and committed later

    def changes(self):
        """Yields (topic, version, attributes, body) for ever."""
        while self.recovery is None:  # the first message that matters is the hello
            self.receive()
        yield from self.replay("now")  # from now on
        while True:
            topic, header, body, lost = self.receive()
            if lost:
                yield from self.replay(self.complete)
            if topic is None:
                continue
            version, _, _, attributes = header
            if self.is_new(version):
                yield topic, version, json.loads(attributes), json.loads(body)

    def receive(self):
        """Receives a message; returns the frames of a change, and whether some
        are missing before it."""
        topic, header, body = (f.decode() for f in self.sub.recv_multipart())
        header = header.split(" ", 3)
        epoch, counters = header[1], [int(n) for n in header[2].split("/")]
        if topic == "$hello/":
            hello = json.loads(body)
            for e in hello["endpoints"]:
                if e["epoch"] == epoch and e.get("recover"):
                    self.recovery = e["recover"][0]
        if topic.split("/")[-2].startswith("$"):
            if topic != self.prefix + "$resolved/":
                return None, None, None, False
            lost = self.last.get(epoch, 0) != counters[self.level]
            self.last[epoch] = counters[self.level]
            if not lost and self.recovery:  # nothing is missing up to here
                self.advance(json.loads(body).get("fleet"))
            return None, None, None, lost and self.complete is not None
        lost = self.last.get(epoch, 0) + 1 != counters[self.level]
        self.last[epoch] = counters[self.level]
        return topic, header, body, lost

    def replay(self, start):
        """Asks for everything from a commit timestamp up to now. Meanwhile what
        is published waits in the SUB socket."""
        self.requests += 1
        request = str(self.requests)
        if self.dealer is None or self.dealer.get_string(zmq.LAST_ENDPOINT) != self.recovery:
            self.dealer = self.context.socket(zmq.DEALER)
            self.dealer.setsockopt(zmq.LINGER, 0)
            self.dealer.setsockopt(zmq.RCVTIMEO, 10_000)
            self.dealer.connect(self.recovery)
        self.send("REPLAY", id=request, topics=[self.prefix], to="now", credit={"messages": 1000, "bytes": 1 << 20}, **{"from": start})
        used, count = 0, 0
        while True:
            frames = self.dealer.recv_multipart()
            answer, topic, header, body = (f.decode() for f in frames)
            if answer != request:
                continue
            if not topic.split("/")[-2].startswith("$"):
                count, used = count + 1, used + sum(len(f) for f in frames)
                if count % 500 == 0 or used > 1 << 19:  # grant what was used up
                    self.send("CREDIT", id=request, messages=500, bytes=used)
                    used = 0
                version, _, _, attributes = header.split(" ", 3)
                if self.is_new(version):
                    yield topic, version, json.loads(attributes), json.loads(body)
            elif topic == "$end/":
                self.advance(json.loads(body)["resolved"])
                print(f"replayed {count} changes from {start}", file=sys.stderr, flush=True)
                return
            elif topic in ("$gone/", "$error/"):
                sys.exit(f"cannot recover: {topic} {body}")

    def send(self, command, **request):
        self.dealer.send_multipart([command.encode(), json.dumps(request).encode()])

    def is_new(self, version):
        if self.complete and version[:TIMESTAMP] < self.complete or version in self.seen:
            return False
        self.seen.add(version)
        return True

    def advance(self, complete):
        if complete and complete > (self.complete or ""):
            self.complete = complete
            self.seen = {v for v in self.seen if v[:TIMESTAMP] >= complete}


def main(endpoint, prefix, count="0"):
    for n, (topic, version, attributes, body) in enumerate(Subscriber(endpoint, prefix).changes(), 1):
        print(json.dumps({"topic": topic, "version": version, "op": attributes["op"], "body": body}), flush=True)
        if n == int(count):
            break


main(*sys.argv[1:])
