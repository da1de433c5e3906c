"""An OPC UA server by strangers (asyncua): a small DCS whose certificate, users, nodes, history and faults the tests choose.

Takes its settings as JSON in the first argument; says {"port": …} when it serves, and one object per command; ends when its
standard input closes. Commands, one JSON object per line:

  {"set": "v0", "value": 1.5, "status": 0, "t": "2026-…"}   writes a variable ({"set": "v0", "values": […]}: one after the other)
  {"add": "v7"} {"remove": "v7"}                                   a variable comes or goes
  {"down": true}  {"up": 5}                                        stops serving; serves again with that many variables
  {"forget": true}                                                 forgets all sessions, as after a restart

Each is answered by {"done": …, "sessions": n}: CreateSession calls since the start.
"""

import asyncio
import datetime
import json
import logging
import os
import sys

from asyncua import Server, ua
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.user_managers import User, UserRole
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
import ipaddress

logging.basicConfig(level=logging.CRITICAL)
URI = "urn:park:dcs"
SPACE = "http://park.example/dcs"
sessions = 0


async def discards_say_so(self, mid, eventdata, size, queue):
    """asyncua 2.1 discards the oldest value of a full queue and does not say so; the standard's overflow bit (OPC 10000-4
    §7.39.1, on the value that then is the oldest) is added here."""
    if mid not in queue:
        queue[mid] = [eventdata]
        return
    if size != 0 and len(queue[mid]) >= size:
        queue[mid].pop(0)
        queue[mid].append(eventdata)
        oldest = queue[mid][0]
        value = oldest.Value
        code = ua.StatusCode(value.StatusCode.value | 0x480)
        oldest.Value = ua.DataValue(value.Value, code, value.SourceTimestamp, value.ServerTimestamp)
        return
    queue[mid].append(eventdata)


InternalSubscription._enqueue_event = discards_say_so


class Users:
    """Names and passwords, or one certificate; anonymous sessions where there are none."""

    def __init__(self, users, holder):
        self.users = users
        self.holder = holder

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if self.holder:
            return User(role=UserRole.Admin) if certificate == self.holder else None
        if not self.users or (username in self.users and self.users[username] == password):
            return User(role=UserRole.Admin)
        return None


def certificate(folder, expired, name="server"):
    """Makes key and certificate once per folder and name."""
    cert, key = os.path.join(folder, f"{name}.der"), os.path.join(folder, f"{name}.pem")
    if os.path.exists(cert):
        return cert, key
    secret = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = datetime.datetime.now(datetime.timezone.utc)
    until = now - datetime.timedelta(days=1) if expired else now + datetime.timedelta(days=30)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dcs"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "park")])
    names = [
        x509.UniformResourceIdentifier(URI),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    usage = x509.KeyUsage(True, True, True, True, False, True, False, False, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    with open(key, "wb") as file:
        pem = serialization.Encoding.PEM
        file.write(secret.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    with open(cert, "wb") as file:
        file.write(made.public_bytes(serialization.Encoding.DER))
    return cert, key


class Dcs:
    """One server, started and stopped as told."""

    def __init__(self, settings):
        self.settings = settings
        self.port = settings.get("port", 0)
        self.server = None
        self.nodes = {}

    async def up(self, count):
        global sessions
        holder = None
        if self.settings.get("holder"):
            # The user's certificate, and one that nobody knows.
            with open(certificate(self.settings["folder"], False, "user")[0], "rb") as file:
                holder = file.read()
            certificate(self.settings["folder"], False, "stranger")
        server = Server(user_manager=Users(self.settings.get("users", {}), holder))
        await server.init()
        if holder:
            server.set_identity_tokens([ua.X509IdentityToken])
        original = InternalServer.create_session

        def counted(this, name, user=User(role=UserRole.Anonymous), external=False):
            global sessions
            sessions += 1 if external else 0
            return original(this, name, user, external)

        if not getattr(InternalServer, "counted", False):
            InternalServer.create_session, InternalServer.counted = counted, True
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}/park")
        await server.set_application_uri(URI)
        policies = [getattr(ua.SecurityPolicyType, name) for name in self.settings.get("policies", ["NoSecurity"])]
        server.set_security_policy(policies)
        if policies != [ua.SecurityPolicyType.NoSecurity]:
            cert, key = certificate(self.settings["folder"], self.settings.get("expired", False))
            await server.load_certificate(cert)
            await server.load_private_key(key)
        self.index = await server.register_namespace("urn:something-else") if self.settings.get("shift") else 0
        self.index = await server.register_namespace(SPACE)
        self.server, self.nodes = server, {}
        self.folder = await server.nodes.objects.add_object(self.index, "Tanks")
        for n in range(count):
            await self.add(f"v{n}")
        await server.start()

    async def add(self, name):
        kind = self.settings.get("types", {}).get(name, "Double")
        value = float(len(self.nodes)) if kind == "Double" else "12.5"
        node = await self.folder.add_variable(ua.NodeId(name, self.index), name, value, getattr(ua.VariantType, kind))
        self.nodes[name] = node
        if self.settings.get("analog"):
            await node.add_property(0, "EURange", ua.Range(Low=-20.0, High=80.0))
            unit = ua.EUInformation(UnitId=4408652, DisplayName=ua.LocalizedText("°C"), Description=ua.LocalizedText("degree Celsius"))
            await node.add_property(0, "EngineeringUnits", unit)
        if self.settings.get("history"):
            await self.server.historize_node_data_change(node, count=10000)

    async def down(self):
        await self.server.stop()
        self.server = None

    async def set(self, name, command):
        values = command.get("values", [command.get("value")])
        kind = ua.VariantType.Double
        for value in values:
            data = ua.DataValue(
                ua.Variant(value, kind) if value is not None else ua.Variant(),
                ua.StatusCode(command.get("status", 0)),
                datetime.datetime.fromisoformat(command["t"]) if "t" in command else datetime.datetime.now(datetime.timezone.utc),
            )
            await self.server.write_attribute_value(self.nodes[name].nodeid, data)
            await asyncio.sleep(0.01)  # each in a millisecond of its own

    async def obey(self, command):
        if "set" in command:
            await self.set(command["set"], command)
        elif "add" in command:
            await self.add(command["add"])
        elif "remove" in command:
            await self.server.delete_nodes([self.nodes.pop(command["remove"])])
        elif "forget" in command:
            self.server.iserver._external_sessions.clear()
        elif "down" in command:
            await self.down()
        elif "up" in command:
            await self.up(command["up"])
        say({"done": command.get("no", 0), "sessions": sessions})


def say(what):
    print(json.dumps(what), flush=True)


async def main():
    settings = json.loads(sys.argv[1])
    if not settings.get("port"):
        import socket

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            settings["port"] = probe.getsockname()[1]
    dcs = Dcs(settings)
    await dcs.up(settings.get("nodes", 3))
    say({"port": settings["port"]})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await dcs.obey(json.loads(line))
    if dcs.server:
        await dcs.down()


asyncio.run(main())
