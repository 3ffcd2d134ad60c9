#!/usr/bin/python3
"""Take what Alertmanager sends, as mail server and as every kind of webhook, and keep it.

SMTP (aiosmtpd) listens on 127.0.0.1:8025 and wants a login; HTTP on 127.0.0.1:8026 answers any
POST with 200, as Slack, PagerDuty, a gateway for short messages, and (XML) as Amazon SNS. Each
message becomes one line of JSON in $STATE_DIRECTORY/messages: `channel` (who gets the mail, or the
first part of the path), `received` (seconds since 1970), `body`, and by what the sender is known:
`login`, or `path` and `authorization`.
"""

import email
import email.policy
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

MESSAGES = Path(os.environ["STATE_DIRECTORY"]) / "messages"
LOCK = threading.Lock()


def keep(channel, body, **proof):
    """Append one message."""
    line = json.dumps({"channel": channel, "received": time.time(), "body": body, **proof})
    with LOCK, MESSAGES.open("a") as messages:
        messages.write(line + "\n")


class Mail:
    """The mail server's handler."""

    async def handle_DATA(self, server, session, envelope):
        """Keep subject and both parts of a mail."""
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = {
            "subject": mail["Subject"],
            "text": mail.get_body(("plain",)).get_content(),
            "html": mail.get_body(("html",)).get_content(),
        }
        keep(envelope.rcpt_tos[0], body, login=session.auth_data)
        return "250 kept"


def log_in(server, session, envelope, mechanism, data):
    """Let everybody in, and remember as whom."""
    login = isinstance(data, LoginPassword) and f"{data.login.decode()}:{data.password.decode()}"
    return AuthResult(success=True, auth_data=login)


class Webhook(BaseHTTPRequestHandler):
    """Every webhook."""

    def do_POST(self):
        """Keep the body of a request."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        channel = self.path.split("/")[1]
        if channel == "sns":
            body = {name: values[0] for name, values in parse_qs(body).items()}
            answer = b"<PublishResponse><PublishResult/></PublishResponse>"
        else:
            body, answer = json.loads(body), b"ok" if channel == "slack" else b"{}"
        keep(channel, body, path=self.path, authorization=self.headers.get("Authorization", ""))
        self.send_response(202 if channel == "pagerduty" else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        """Say nothing: paths hold secrets."""


Controller(
    Mail(),
    hostname="127.0.0.1",
    port=8025,
    authenticator=log_in,
    auth_required=True,
    auth_require_tls=False,
    auth_exclude_mechanism=["LOGIN"],  # aiosmtpd's differs from other servers'
).start()
ThreadingHTTPServer(("127.0.0.1", 8026), Webhook).serve_forever()
