"""Runs a parkgate built for aarch64 under qemu-user, between strangers, and looks at it from outside.

usage: smoke.py RUNNER... BINARY        (RUNNER as `qemu-aarch64-static -L /usr/aarch64-linux-gnu`; none runs it directly)

One device (pymodbus), one broker (mosquitto), one platform (paho-mqtt) that acknowledges. Checked, in this order: `check`
accepts the configuration; a poll (the device is asked, the values are right); a delivery (telemetry at the platform, numbered
without a hole, acknowledged); a page (/healthz, /readyz, and the device on /); SIGTERM ends it with exit code 0; a store
(`parkgate buffer` shows what was delivered, the next start counts a boot more and goes on numbering above it).

qemu-user translates instructions and system calls; pages, atomics and disks of a real board are not tested by it.
"""

import asyncio
import json
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import paho.mqtt.client as mqtt
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

# Emulated start-up on a busy machine; a state is waited for, never a time.
DEADLINE = 120
# The grace of SIGTERM is 10 s on a real machine.
STOP_DEADLINE = 60
BASE = "parkgate/v1/smoke-park/gw-smoke"
# tag: (address, encoding, scale, registers, value expected)
POINTS = {
    "TT101": (0, "u16", "0.1", [234], 23.4),
    "PT101": (1, "i16", "1", [0x10000 - 15], -15.0),
    "LT101": (2, "f32", "1", list(struct.unpack(">HH", struct.pack(">f", 5.71875))), 5.71875),
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def eventually(what, state):
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        found = state()
        if found:
            print(f"ok  {what}", flush=True)
            return found
        time.sleep(0.1)
    raise SystemExit(f"FAILED  {what}: not within {DEADLINE} s")


def expect(what, true, detail=""):
    if not true:
        raise SystemExit(f"FAILED  {what}: {detail}")
    print(f"ok  {what}", flush=True)


class Device:
    """Holding registers behind Modbus TCP, in a thread of its own; counts what it is asked."""

    def __init__(self):
        self.port, self.asked, self.writes = free_port(), 0, 0
        threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True).start()

    def note(self, sending, pdu):
        self.asked += not sending
        self.writes += pdu.function_code not in (1, 2, 3, 4) and not pdu.isError()
        return pdu

    async def serve(self):
        registers = [r for address, _, _, values, _ in sorted(POINTS.values()) for r in values]
        unit = SimDevice(1, simdata=[SimData(0, values=registers, datatype=DataType.REGISTERS)])
        await ModbusTcpServer([unit], address=("127.0.0.1", self.port), trace_pdu=self.note).serve_forever()


class Platform:
    """Takes telemetry and state, acknowledges every number it holds."""

    def __init__(self, port):
        self.lock, self.values, self.stored, self.boots, self.state = threading.Lock(), {}, set(), set(), {}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="smoke-platform")
        self.client.on_connect = lambda client, *_: client.subscribe(f"{BASE}/#", qos=1)
        self.client.on_message = lambda _client, _data, message: self.take(message)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def take(self, message):
        name = message.topic.removeprefix(BASE + "/")
        if name in ("ack",) or name.startswith("cmd/") or not message.payload:
            return
        envelope = json.loads(message.payload)
        if name == "state":
            self.state = envelope
            return
        records = envelope.get("records", [])
        ranges = [[record["seq"], record["seq"]] for record in records]
        with self.lock:
            self.boots.add(envelope["boot"])
            if name == "telemetry":
                self.stored.update(record["seq"] for record in records)
                for record in records:
                    self.values.update(record.get("values", {}))
        ack = {"epoch": envelope["epoch"], "stream": name, "stored": ranges}
        if ranges:
            self.client.publish(f"{BASE}/ack", json.dumps(ack), qos=1)

    def holds(self):
        with self.lock:
            return sorted(self.stored)


def write_configuration(folder, modbus, broker, web):
    (folder / "gateway.toml").write_text(
        f"""[gateway]
park = "smoke-park"
id = "gw-smoke"
name = "冒烟试验"
timezone = "Asia/Shanghai"

[store]
dir = "data/store"
mirror_dir = "data/mirror"
state_dir = "data/state"
quota = "1GiB"
ballast = "1MiB"
segment = "16MiB"
commit_interval = "500ms"

[web]
listen = "127.0.0.1:{web}"
"""
    )
    (folder / "devices.toml").write_text(
        f"""[classes]
normal = "500ms"

[defaults]
timeout = "5s"

[[device]]
id = "plc-smoke"
name = "冒烟罐区"
host = "127.0.0.1"
port = {modbus}
unit = 1
"""
    )
    (folder / "uplink.toml").write_text(f'[mqtt]\nhost = "127.0.0.1"\nport = {broker}\nack = "platform"\n')
    lines = ["uid,tag,name,device,table,address,encoding,scale,deadband,max_silence"]
    for tag, (address, encoding, scale, _, _) in POINTS.items():
        lines.append(f"u-{tag.lower()},{tag},测点 {tag},plc-smoke,holding,{address},{encoding},{scale},off,60s")
    (folder / "points.csv").write_text("\n".join(lines) + "\n")


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except OSError as error:
        return 0, str(error)


class Gateway:
    def __init__(self, command, folder, log):
        self.log = open(log, "ab")
        self.process = subprocess.Popen([*command, "run", "--config", str(folder)], stdout=self.log, stderr=self.log)

    def alive(self):
        code = self.process.poll()
        if code is not None:
            raise SystemExit(f"FAILED  the gateway ended by itself with {code}")
        return True

    def stop(self):
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SystemExit(f"FAILED  SIGTERM: still running after {STOP_DEADLINE} s") from None
        expect("SIGTERM ends it with exit code 0", code == 0, f"exit code {code}")
        print(f"    within {time.monotonic() - began:.1f} s", flush=True)


def start_broker(folder):
    port = free_port()
    conf = folder / "mosquitto.conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    broker = subprocess.Popen([program, "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually("mosquitto listens", lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
    return broker, port


def contents(command, folder):
    """What `parkgate buffer` says, and whether it succeeded."""
    said = subprocess.run([*command, "buffer", "--config", str(folder)], capture_output=True, text=True, timeout=DEADLINE)
    return said.returncode, said.stdout + said.stderr


def story(command, folder, broker_port):
    config, log = folder / "config", folder / "gateway.log"
    config.mkdir()
    device, platform, web = Device(), Platform(broker_port), free_port()
    write_configuration(config, device.port, broker_port, web)
    checked = subprocess.run([*command, "check", "--config", str(config)], capture_output=True, text=True, timeout=DEADLINE)
    expect("`check` accepts the configuration", checked.returncode == 0, checked.stdout + checked.stderr)

    gateway = Gateway(command, config, log)
    try:
        eventually("a poll: the device is asked", lambda: gateway.alive() and device.asked > 3)
        expected = {tag: value for tag, (_, _, _, _, value) in POINTS.items()}
        near = lambda: all(abs((platform.values.get(tag) or 0) - value) < 1e-6 for tag, value in expected.items())
        eventually(f"a delivery: {expected} at the platform", lambda: gateway.alive() and near())
        whole = lambda held: len(held) >= 20 and held == list(range(held[0], held[-1] + 1))
        eventually("20 records or more, numbered without a hole", lambda: gateway.alive() and whole(platform.holds()))
        expect("it only ever read", device.writes == 0, f"{device.writes} requests were no reads")
        eventually("a page: /healthz", lambda: gateway.alive() and get(f"http://127.0.0.1:{web}/healthz")[0] == 200)
        eventually("a page: /readyz", lambda: gateway.alive() and get(f"http://127.0.0.1:{web}/readyz")[0] == 200)
        has_device = lambda: "plc-smoke" in (page := get(f"http://127.0.0.1:{web}/")[1]) or "冒烟罐区" in page
        eventually("a page: / shows the device", lambda: gateway.alive() and has_device())
        code, said = contents(command, config)
        expect("`buffer` answers while the gateway runs", code == 0, said)
        gateway.stop()
        eventually("the platform knows that it went as planned", lambda: "planned" in json.dumps(platform.state))
        before, boots = max(platform.holds()), set(platform.boots)

        code, said = contents(command, config)
        expect("a store: closed cleanly", code == 0 and "closed cleanly" in said, said)
        # The line's columns: stream, first number, last number, ...
        line = next((line for line in said.splitlines() if line.startswith("telemetry")), "telemetry 0 0")
        first, last = (int(number) for number in line.split()[1:3])
        expect(f"a store: it holds telemetry from 1 to at least {before}", first == 1 and last >= before, said)
        print("    " + line.strip(), flush=True)

        gateway = Gateway(command, config, log)
        eventually("started again: a boot more", lambda: gateway.alive() and max(platform.boots) == max(boots) + 1)
        eventually("started again: numbers go on", lambda: gateway.alive() and max(platform.holds()) > before)
        gateway.stop()
    except BaseException:
        print("--- the gateway's log, its end:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-40:]), flush=True)
        raise
    finally:
        if gateway.process.poll() is None:
            gateway.process.kill()


def main():
    command = sys.argv[1:]
    if not command:
        raise SystemExit(__doc__)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="parkgate-smoke-") as name:
        folder = pathlib.Path(name)
        broker, port = start_broker(folder)
        try:
            story(command, folder, port)
        finally:
            broker.terminate()
            broker.wait(30)
    print(f"all well in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
