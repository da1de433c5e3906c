"""An HTTPS server that takes files by PUT and texts by POST, on Python's own ssl and http.server.

usage: https_server.py CERTIFICATE KEY AUTHORITY

Shows CERTIFICATE, and takes no one who does not show one signed by AUTHORITY. Prints {"port": N}; {"put": {"path", "length",
"sha256"}} for each file; {"post": {"path", "body"}} for each text, which it answers with {"code":0}; {"refused": why} for each
handshake that fails. Serves until its stdin closes.
"""

import hashlib
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def say(**what):
    print(json.dumps(what), flush=True)


class Taker(BaseHTTPRequestHandler):
    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        say(put={"path": self.path, "length": len(body), "sha256": hashlib.sha256(body).hexdigest()})
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        say(post={"path": self.path, "body": body})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"code":0}')

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def get_request(self):
        plain, peer = super().get_request()
        try:
            return self.context.wrap_socket(plain, server_side=True), peer
        except ssl.SSLError as error:
            say(refused=str(error))
            raise


certificate, key, authority = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.load_verify_locations(authority)
context.verify_mode = ssl.CERT_REQUIRED
server = Server(("127.0.0.1", 0), Taker)
server.context = context
threading.Thread(target=server.serve_forever, daemon=True).start()
say(port=server.server_address[1])
sys.stdin.read()
