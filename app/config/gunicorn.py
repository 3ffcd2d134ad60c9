"""gunicorn's settings: `gunicorn -c python:config.gunicorn config.wsgi`.

`bind` is left alone: under systemd the socket is inherited (LISTEN_FDS) and readiness is reported
through NOTIFY_SOCKET, both by gunicorn itself; by hand it listens on 127.0.0.1:8000.
"""

from apps.monitoring import sharing
from config import env, log

worker_class = "gthread"  # a slow view costs one thread, not the worker
workers = env.integer("WEB_WORKERS", default=2, minimum=1)
threads = env.integer("WEB_THREADS", default=8, minimum=1)

# Each process is replaced after so many requests, so that no leak grows for ever; the jitter
# keeps them from leaving all at once. 0: never.
max_requests = env.integer("WEB_MAX_REQUESTS", default=10_000, minimum=0)
max_requests_jitter = max_requests // 5

graceful_timeout = 60  # seconds that a request may still take at a stop: as long as nginx waits
keepalive = 75  # longer than nginx keeps an idle connection: nginx closes first, none is reset

# nginx refuses longer heads (8 kB a line, 32 kB in all), in the API's shape; what gunicorn itself
# refuses is HTML.
limit_request_line = 0  # none
limit_request_field_size = 32_768
limit_request_fields = 32_768

accesslog = None  # nginx writes the access log
logconfig_dict = log.CONFIG | {
    "root": {"handlers": ["stderr"]},
    "loggers": {"gunicorn.error": {"handlers": ["stderr"], "propagate": False}},
}
control_socket_disable = True  # systemd controls it


def post_fork(server, worker) -> None:
    """Let the worker count as itself."""
    sharing.join()
