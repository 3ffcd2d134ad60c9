"""`manage export_metrics`: the exporter, which Prometheus scrapes."""

import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler

from django.core.management.base import BaseCommand, CommandParser
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from typing_extensions import override

from apps.monitoring import exporter

logger = logging.getLogger(__name__)

FIRST_INHERITED = 3  # sd_listen_fds(3)
JOBS = ("django", "celery")


class Command(BaseCommand):
    """Serves until it is stopped."""

    help = "Serve the metrics of web, worker and beat, at one address for each job of Prometheus."
    requires_system_checks = ()  # they would load all views

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--directory",
            type=Path,
            default=Path("/run/jewelry-metrics"),
            help="where web, worker and beat each have their directory of files",
        )
        parser.add_argument(
            "--node", action="append", default=[], help="a Celery worker that should run here"
        )
        for port, job in enumerate(JOBS, start=9807):
            parser.add_argument(
                f"--{job}", default=f"127.0.0.1:{port}", metavar="ADDRESS",
                help=f"where to serve job {job}, unless systemd hands over the sockets",
            )  # fmt: skip

    @override
    def handle(self, *, directory: Path, node: list[str], **options) -> None:
        sockets = inherited_sockets() or [listen(options[job]) for job in JOBS]
        registries = exporter.registries(directory, node)
        servers = [serve(sockets[number], registries[job]) for number, job in enumerate(JOBS)]
        for server in servers:
            server.join()


def inherited_sockets() -> list[socket.socket]:
    """The listening sockets that systemd has opened for this process, in its order."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ["LISTEN_FDS"])
    return [socket.socket(fileno=FIRST_INHERITED + number) for number in range(count)]


def listen(address: str) -> socket.socket:
    """A socket that listens on host:port."""
    host, _, port = address.rpartition(":")
    return socket.create_server((host, int(port)))


def serve(listening: socket.socket, registry: CollectorRegistry) -> threading.Thread:
    """Answer on the socket from now on, in threads."""
    server = ThreadingWSGIServer(listening.getsockname(), Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.server_name, server.server_port = listening.getsockname()[:2]
    server.setup_environ()
    server.set_app(application(registry))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    return thread


def application(registry: CollectorRegistry) -> Callable:
    """prometheus_client's own, at /metrics alone and with HEAD; what fails is logged."""
    metrics = make_wsgi_app(registry)
    text = [("Content-Type", "text/plain; charset=utf-8")]

    def answer(environ: dict, start_response: Callable) -> list[bytes]:
        if environ["PATH_INFO"] != "/metrics":
            start_response("404 Not Found", text)
            return [b"The metrics are at /metrics.\n"]
        if environ["REQUEST_METHOD"] != "HEAD":
            return metrics(environ, start_response)
        head = []
        (body,) = metrics(environ | {"REQUEST_METHOD": "GET"}, lambda *said: head.extend(said))
        status, headers = head
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return []

    def answer_or_log(environ: dict, start_response: Callable) -> list[bytes]:
        try:
            return answer(environ, start_response)
        except Exception:
            logger.exception("The metrics cannot be collected")
            start_response("500 Internal Server Error", text)
            return [b"The metrics cannot be collected: see the log.\n"]

    return answer_or_log


class Quiet(WSGIRequestHandler):
    """Logs no request: one comes every few seconds."""

    timeout = 10  # seconds that a client may take

    @override
    def log_message(self, format: str, *args) -> None:
        pass
