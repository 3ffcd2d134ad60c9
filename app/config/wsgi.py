"""What gunicorn serves: `gunicorn -c python:config.gunicorn config.wsgi`."""

import os

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class Request(WSGIRequest):
    """A request that is read as UTF-8, whatever it claims to be.

    Django reads even the address by the charset of Content-Type, and fails, before any middleware
    could answer, on those that Python knows and text does not have (hex). Ours refuses all others.
    """

    def _set_content_type_params(self, meta: dict) -> None:
        content_type = meta.get("CONTENT_TYPE", "")
        self.content_type, self.content_params = parse_header_parameters(content_type)


# Only here: migrations and tasks may take their time.
_options = settings.DATABASES["default"]["OPTIONS"]
_limit = f"-c statement_timeout={settings.WEB_STATEMENT_TIMEOUT}s"
_options["options"] = f"{_options.get('options', '')} {_limit}".strip()

application = get_wsgi_application()
application.request_class = Request
