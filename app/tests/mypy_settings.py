"""The settings as mypy's plugin for Django loads them: with the tests' environment."""

import os

from tests.services import environment

os.environ.update(environment())

from config.settings import *  # noqa: F403
