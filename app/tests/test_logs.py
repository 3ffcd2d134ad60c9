"""Log lines: one for each record, with its level for the journal, and the ids of its cause."""

import logging
import os
import re
import socket
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from config.celery import app
from config.log import OneLineFormatter, request_id, task_id
from tests.processes import APP, eventually
from tests.tasks import fine

LINE = re.compile(r"(<[2-7]>)?(DEBUG|INFO|WARNING|ERROR|CRITICAL) [\w.]+: .+")


def test_a_log_record_is_one_line():
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("shop", logging.ERROR, "", 0, "a\r\nb", (), sys.exc_info())
    line = OneLineFormatter().format(record)
    assert line.startswith("ERROR shop: a\\r\\nb\\nTraceback")
    assert len(line.splitlines()) == 1


@pytest.fixture
def lines():
    """A function that returns what is logged during the test, as it is written."""
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(OneLineFormatter())
    logging.getLogger().addHandler(handler)
    yield lambda: written.getvalue().splitlines()
    logging.getLogger().removeHandler(handler)


def test_lines_of_a_request_have_its_id_and_no_others(client, lines):
    client.get("/nowhere", headers={"X-Request-ID": "abc123"})
    client.get("/nowhere", headers={"X-Request-ID": "two words"})
    client.get("/nowhere")
    logging.getLogger("shop").warning("between requests")
    assert lines() == [
        "WARNING django.request: Not Found: /nowhere request_id=abc123",
        "WARNING django.request: Not Found: /nowhere",
        "WARNING django.request: Not Found: /nowhere",
        "WARNING shop: between requests",
    ]


def test_the_id_stands_before_a_traceback(lines):
    token = request_id.set("abc")
    try:
        raise ValueError
    except ValueError:
        logging.getLogger("shop").exception("Wrong")
    finally:
        request_id.reset(token)
    (line,) = lines()
    assert line.startswith("ERROR shop: Wrong request_id=abc\\nTraceback")


def test_a_task_has_the_id_of_the_request_that_sent_it(lines):
    token = request_id.set("abc123")
    fine.delay()
    request_id.reset(token)
    with app.connection_for_read() as broker, broker.SimpleQueue("celery") as queue:
        message = queue.get()
        message.ack()
    assert message.headers["request_id"] == "abc123"


def started(command: list, log: Path, **variables: str) -> subprocess.Popen:
    """A process whose standard error is a file that it takes for the journal."""
    with log.open("w") as file:
        there = os.fstat(file.fileno())
        journal = {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}
        return subprocess.Popen(
            command, cwd=APP, env={**os.environ, **journal, **variables}, stdout=file, stderr=file
        )


def get(path_of_socket: Path, path: str, request: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path_of_socket))
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: {request}\r\n"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
        while connection.recv(4096):
            pass


def test_gunicorn_and_django_write_lines_for_the_journal(tmp_path):
    web, log = tmp_path / "web.sock", tmp_path / "log"
    command = [sys.executable, "-m", "gunicorn", "--config", "python:config.gunicorn"]
    process = started([*command, f"--bind=unix:{web}", "config.wsgi"], log, WEB_WORKERS="1")
    try:
        eventually(lambda: "Booting worker" in log.read_text(), seconds=30)
        get(web, "/nowhere", "abc123")
        eventually(lambda: "Not Found" in log.read_text())
    finally:
        process.terminate()
        process.wait(30)
    lines = log.read_text().splitlines()
    assert "<4>WARNING django.request: Not Found: /nowhere request_id=abc123" in lines
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert all(line.startswith("<") for line in lines)


def test_the_worker_writes_lines_for_the_journal(tmp_path):
    log = tmp_path / "log"
    celery = [sys.executable, "-m", "celery", "--quiet", "--app=config", "worker"]
    options = ["--concurrency=1", "--include=tests.tasks", "--without-gossip", "--without-mingle"]
    process = started([*celery, *options], log)
    token = request_id.set("abc123")
    try:
        sent = fine.delay()
        eventually(lambda: "succeeded" in log.read_text(), seconds=30)
    finally:
        request_id.reset(token)
        process.terminate()
        process.wait(30)
    lines = log.read_text().splitlines()
    # Its handler of signals does not log; the journal leaves out the empty line before it.
    others = ["", "worker: Warm shutdown (MainProcess)"]
    assert [line for line in lines if not LINE.fullmatch(line)] == others
    (succeeded,) = (line for line in lines if "succeeded" in line)
    assert succeeded.startswith("<6>INFO celery.app.trace: Task tests.tasks.fine")
    assert succeeded.endswith(f" request_id=abc123 task_id={sent.id}")
    assert task_id.get() == ""
