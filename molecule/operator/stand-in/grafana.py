#!/usr/bin/python3
"""Stand in for Grafana: read its configuration, answer each request with what was asked."""

import configparser
import http.server
import json
from pathlib import Path


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with method, path and headers."""

    def do_GET(self):
        """Answer a GET."""
        asked = {"path": self.path, **{name.lower(): value for name, value in self.headers.items()}}
        body = json.dumps(asked).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET


settings = configparser.ConfigParser(interpolation=None)
settings.read_string(Path("/etc/grafana/grafana.ini").read_text())
for name in ("admin_password", "secret_key"):
    secret = settings["security"][name].removeprefix("$__file{").removesuffix("}")
    Path(secret).read_text()
Path(settings["paths"]["data"], "started").write_text("")
server = settings["server"]
address = (server["http_addr"], int(server["http_port"]))
http.server.ThreadingHTTPServer(address, Echo).serve_forever()
