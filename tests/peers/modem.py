"""A modem that takes text messages over TCP, whose PDUs the library of python-gsmmodem reads.

usage: modem.py

Prints {"port": N}, and {"whole": {"number", "text"}} when all parts of a text are there. Serves one connection after the other
until its stdin closes.
"""

import json
import os
import socket
import sys
import threading

from gsmmodem import pdu


def say(**what):
    print(json.dumps(what), flush=True)


def take(line, parts):
    read = pdu.decodeSmsPdu(line)
    assert read["type"] == "SMS-SUBMIT", read
    headers = [header for header in read.get("udh", []) if isinstance(header, pdu.Concatenation)]
    if not headers:
        return say(whole={"number": read["number"], "text": read["text"]})
    header = headers[0]
    of = parts.setdefault(header.reference, {})
    of[header.number] = read["text"]
    if len(of) == header.parts:
        # A character of two units is one after the other to the library.
        text = "".join(of[number] for number in sorted(of)).encode("utf-16", "surrogatepass").decode("utf-16")
        say(whole={"number": read["number"], "text": text})


def serve(connection):
    parts, reference, pending = {}, 0, b""
    waits = None
    answers = {"AT+CPIN?": "+CPIN: READY", "AT+CREG?": "+CREG: 0,1", "AT+CSQ": "+CSQ: 20,99"}
    while byte := connection.recv(1):
        if byte == b"\x1b":
            waits, pending = None, b""
        elif byte == b"\x1a" and waits is not None:
            assert len(pending) // 2 - 1 == waits, (waits, pending)
            take(pending.decode(), parts)
            waits, pending, reference = None, b"", reference + 1
            connection.sendall(b"\r\n+CMGS: %d\r\n\r\nOK\r\n" % reference)
        elif byte == b"\r" and waits is None:
            line, pending = pending.decode().strip(), b""
            if line.startswith("AT+CMGS="):
                waits = int(line.removeprefix("AT+CMGS="))
                connection.sendall(b"\r\n> ")
            elif line:
                answer = answers.get(line)
                connection.sendall((f"\r\n{answer}\r\n" if answer else "").encode() + b"\r\nOK\r\n")
        else:
            pending += byte


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    say(port=listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        try:
            serve(connection)
        except ConnectionError:
            pass


main()
