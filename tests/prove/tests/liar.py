#!/usr/bin/env python3
"""A bridge that answers 200 and stores nothing: what the oracle is for.

    liar.py run --config FILE
"""
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Liar(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


ports = re.findall(r'listen: "127\.0\.0\.1:(\d+)"', open(sys.argv[3]).read())
servers = [ThreadingHTTPServer(("127.0.0.1", int(port)), Liar) for port in ports]
print("/livez", flush=True)
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
