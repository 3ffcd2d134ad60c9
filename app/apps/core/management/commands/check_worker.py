"""Let a Celery worker of this code run one task."""

import subprocess
import sys
import time
import uuid

from django.core.management.base import BaseCommand, CommandError

from config.celery import app

SECONDS = 60  # for the worker's start and the task


class Command(BaseCommand):
    """Used by the platform before it serves a release."""

    help = "Start a worker on a queue of its own, let it run a task of Celery's, and end it."
    requires_system_checks = ()

    def handle(self, **options) -> None:
        """Fail if the worker ends by itself, or the task does not end well in time."""
        queue = f"check-{uuid.uuid4().hex[:12]}"
        app.conf.update(result_backend="rpc://")  # the broker, which carries the answer back
        worker = subprocess.Popen(
            [
                sys.executable, "-m", "celery", "--quiet", "--app=config",
                "--result-backend=rpc://", "worker",
                f"--queues={queue}", f"--hostname={queue}@%h", "--concurrency=1",
                "--without-gossip", "--without-mingle", "--without-heartbeat",
            ],
            stdout=sys.stderr,
        )  # fmt: skip
        try:
            task = app.tasks["celery.accumulate"]
            result = task.apply_async(("pong",), queue=queue, ignore_result=False)
            deadline = time.monotonic() + SECONDS
            while not result.ready():
                if worker.poll() is not None:
                    raise CommandError(f"The worker ends at its start, with {worker.returncode}")
                if time.monotonic() > deadline:
                    raise CommandError(f"The worker runs no task within {SECONDS} s")
                time.sleep(0.1)
            result.get()
        finally:
            worker.terminate()
            worker.wait()
            with app.connection_for_write() as connection:
                own = app.amqp.queues[queue].bind(connection.default_channel)
                own.declare()  # what a connection has not declared it does not delete
                own.delete()
        self.stdout.write("A worker starts and runs tasks")
