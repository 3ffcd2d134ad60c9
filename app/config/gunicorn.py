"""gunicorn's settings: `gunicorn -c python:config.gunicorn config.wsgi`.

`bind` is left alone: under systemd the socket is inherited (LISTEN_FDS) and readiness is told
through NOTIFY_SOCKET, both by gunicorn itself; by hand it listens on 127.0.0.1:8000.
"""

from config import env

worker_class = "gthread"  # a slow view costs one thread, not the worker

# django-prometheus keeps its numbers in the process. With two workers each scrape would meet one
# of them at random and every counter would jump back and forth. Raise the threads first.
workers = env.integer("WEB_WORKERS", default=1, minimum=1)
threads = env.integer("WEB_THREADS", default=8, minimum=1)

graceful_timeout = 60  # seconds that a request may still take at a stop: as long as nginx waits
keepalive = 75  # longer than nginx keeps an idle connection: nginx closes first, none is reset

accesslog = None  # nginx writes the access log
errorlog = "-"
control_socket_disable = True  # systemd controls it
