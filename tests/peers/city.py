"""A city platform that shares no line with parkgate: paho-mqtt, its own account, its own acknowledgements.

usage: city.py PORT PARK GATEWAY SCHEMA_DIR

Prints one JSON object per line on stdout:
  {"ready": true}                      once it is subscribed
  {"account": {...}}                   twice a second
Ends when its stdin closes, after a last account. The account holds, per stream: how many numbers, the ranges, repeats,
repeats with another content, numbers that fell back within their lane; the gaps told; the last `state`; the values of the
newest record per device; messages that could not be understood or broke the published schema.
"""

import json
import pathlib
import sys
import threading
import time

import paho.mqtt.client as mqtt

STREAMS = ["alarm", "passage", "event", "registry", "report", "telemetry"]
LANES = ("live", "history")


class Stream:
    def __init__(self):
        self.records = {}
        self.parts = {}
        self.highest = {}
        self.repeats = self.changed = self.fell_back = 0

    def whole(self, record):
        """A record too large for one message comes in parts; returns it once all are there."""
        part = record.get("part")
        if part is None:
            return record
        texts = self.parts.setdefault(record["seq"], {})
        texts[part["no"]] = part["text"]
        if len(texts) < part["of"]:
            return None
        del self.parts[record["seq"]]
        return json.loads("".join(texts[no] for no in range(1, part["of"] + 1)))

    def take(self, lane, record):
        # `unstored` says when it was told, not what happened.
        seq, text = record["seq"], json.dumps({k: v for k, v in record.items() if k != "unstored"}, sort_keys=True)
        if seq in self.records:
            self.repeats += 1
            self.changed += self.records[seq] != text
            return
        self.records[seq] = text
        self.fell_back += seq < self.highest.get(lane, 0)
        self.highest[lane] = max(seq, self.highest.get(lane, 0))

    def ranges(self):
        ranges = []
        for seq in sorted(self.records):
            if ranges and ranges[-1][1] == seq - 1:
                ranges[-1][1] = seq
            else:
                ranges.append([seq, seq])
        return ranges


class Platform:
    def __init__(self, park, gateway, schemas):
        self.base = f"parkgate/v1/{park}/{gateway}"
        self.gateway = gateway
        self.schemas = schemas
        self.lock = threading.Lock()
        self.streams = {name: Stream() for name in STREAMS + ["gap"]}
        self.gaps, self.newest, self.faults = [], {}, []
        self.state, self.epoch, self.first_counter, self.counters = None, None, {}, {}
        self.dirty = set()

    def on_connect(self, client, _userdata, _flags, _code, _properties):
        client.subscribe([(f"{self.base}/{name}", 1) for name in list(self.streams) + ["state"]])

    def on_subscribe(self, *_):
        print(json.dumps({"ready": True}), flush=True)

    def on_message(self, _client, _userdata, message):
        with self.lock:
            try:
                self.take(message.topic.rsplit("/", 1)[1], json.loads(message.payload))
            except Exception as fault:  # everything a wrong message can break is a fault of the message
                self.faults.append(f"{message.topic}: {type(fault).__name__}: {fault}")

    def take(self, what, message):
        for schema in self.schemas.get("state" if what == "state" else "envelope", []):
            schema.validate(message)
        if what == "state":
            self.state = message
            if message["state"] == "online":
                self.dirty.update(self.streams)
            return
        assert message["v"] == 1 and message["gateway"] == self.gateway, "version or gateway"
        assert message["stream"] == what and message["lane"] in LANES, "stream or lane"
        assert self.epoch in (None, message["epoch"]), "the epoch changed"
        self.epoch = message["epoch"]
        for record in filter(None, map(self.streams[what].whole, message["records"])):
            self.streams[what].take(message["lane"], record)
            if "gap" in record:
                self.gaps.append(record["gap"])
            if "values" in record:
                self.newest.setdefault(record["device"], {}).update(record["values"])
                self.count(record)
        self.dirty.add(what)

    def count(self, record):
        """Keeps every value of the tag COUNTER, by number: the oracle of the simulated device."""
        for tag, value in record["values"].items():
            if tag.startswith("COUNTER") and value is not None:
                self.counters.setdefault(record["device"], {})[record["seq"]] = value

    def acks(self):
        with self.lock:
            due, self.dirty = self.dirty, set()
            found = [(name, self.streams[name].ranges()) for name in sorted(due)]
        return [{"epoch": self.epoch, "stream": name, "stored": ranges} for name, ranges in found if ranges]

    def account(self):
        with self.lock:
            return {
                "epoch": self.epoch,
                "state": self.state,
                "streams": {
                    name: {"held": len(s.records), "ranges": s.ranges()[:50], "repeats": s.repeats,
                           "changed": s.changed, "fell_back": s.fell_back}
                    for name, s in self.streams.items()
                },
                "gaps": self.gaps[:50],
                "newest": self.newest,
                "counters": {d: [c[s] for s in sorted(c)] for d, c in self.counters.items()},
                "faults": self.faults[:20],
                "n_faults": len(self.faults),
            }


def validators(folder):
    """The published schemas, where they are: what is published must describe what is sent."""
    import jsonschema

    found = {}
    for file in sorted(pathlib.Path(folder).glob("*.schema.json")):
        kind = file.name.split(".")[0]
        schema = json.loads(file.read_text(encoding="utf-8"))
        cls = jsonschema.validators.validator_for(schema)
        cls.check_schema(schema)
        found.setdefault(kind, []).append(cls(schema))
    return found


def main():
    port, park, gateway, schemas = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    platform = Platform(park, gateway, validators(schemas))
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho-platform", clean_session=True)
    client.on_connect, client.on_message = platform.on_connect, platform.on_message
    client.on_subscribe = platform.on_subscribe
    client.reconnect_delay_set(min_delay=1, max_delay=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    last = 0.0
    while not ended.wait(0.05):
        for ack in platform.acks():
            client.publish(f"{platform.base}/ack", json.dumps(ack), qos=1)
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            print(json.dumps({"account": platform.account()}, ensure_ascii=False), flush=True)
    print(json.dumps({"account": platform.account()}, ensure_ascii=False), flush=True)
    client.loop_stop()


if __name__ == "__main__":
    main()
