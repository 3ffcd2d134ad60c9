"""Django's settings. Everything that differs between machines comes from the environment."""

import sys
from datetime import timedelta

from config import env, log

# -- From the environment ------------------------------------------------------------------------

DEBUG = env.boolean("DJANGO_DEBUG", default=False)
SECRET_KEY = env.secret_key("DJANGO_SECRET_KEY")
ALLOWED_HOSTS = env.hosts("DJANGO_ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.origins(
    "DJANGO_CSRF_TRUSTED_ORIGINS",
    default=[f"https://{'*' if host.startswith('.') else ''}{host}" for host in ALLOWED_HOSTS],
)
TIME_ZONE = env.time_zone("TIME_ZONE", default="UTC")
# A release brings its static files along, beside its own Python.
STATIC_ROOT = env.absolute_path("STATIC_ROOT", default=f"{sys.prefix}/static")
LOG_LEVEL = env.choice(
    "DJANGO_LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), default="INFO"
)

_database = env.database("DATABASE_URL")
DATABASES = {
    "default": {
        **_database,
        "CONN_MAX_AGE": 60,  # seconds; each web thread keeps a connection
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 3,  # seconds
            "tcp_user_timeout": 15_000,  # ms until a server that vanished is noticed
            **_database.get("OPTIONS", {}),
        },
    }
}
# Seconds after which the database gives up a statement of a web process (config/wsgi.py): before
# nginx gives up the request (60 s), or it would work on when nobody waits any more.
WEB_STATEMENT_TIMEOUT = env.integer("WEB_STATEMENT_TIMEOUT", default=15, minimum=1)

CACHES = {
    "default": {
        "BACKEND": "django_prometheus.cache.backends.redis.RedisCache",
        "LOCATION": env.redis_url("CACHE_URL", example="redis://jewelry:PASSWORD@127.0.0.1:6380/0"),
        "KEY_PREFIX": "jewelry",
        "OPTIONS": {
            # Without the cache everything works, only slower. These failures are logged and
            # counted (django_cache_get_fail_total), and /readyz reports them.
            "IGNORE_EXCEPTIONS": True,
            "SOCKET_CONNECT_TIMEOUT": 0.3,  # seconds
            "SOCKET_TIMEOUT": 0.3,
            # Unlike pickle, JSON runs no code that somebody may have put into the cache.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
        },
    }
}
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True
DJANGO_REDIS_LOGGER = "jewelry.cache"

_mail = env.email("EMAIL_URL", default="consolemail://")
EMAIL_BACKEND = _mail.backend
EMAIL_HOST, EMAIL_PORT = _mail.host, _mail.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail.user, _mail.password
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.use_tls, _mail.use_ssl
EMAIL_FILE_PATH = _mail.file_path
EMAIL_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = env.email_address(
    "DEFAULT_FROM_EMAIL", default=f"no-reply@{env.mail_domain(ALLOWED_HOSTS[0])}"
)
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# -- The application -----------------------------------------------------------------------------

INSTALLED_APPS = [
    "django_prometheus",
    "config.apps.PlatformAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_migration_linter",
    "apps.core",
    "apps.inventory",
    "apps.sales",
    "apps.monitoring",
]

MIDDLEWARE = [
    "apps.monitoring.middleware.CountRequests",
    "apps.core.middleware.refuse_malformed_requests",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "apps.core.middleware.RefusedLogins",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
AUTH_USER_MODEL = "core.User"
AUTHENTICATION_BACKENDS = ["apps.core.login.Backend"]
LOGINS_PER_ADDRESS = env.integer("LOGINS_PER_ADDRESS", default=10, minimum=1)  # a minute
LOGINS_PER_ACCOUNT = env.integer("LOGINS_PER_ACCOUNT", default=30, minimum=1)  # an hour
LOGINS_AT_ONCE = env.integer("LOGINS_AT_ONCE", default=2, minimum=1)  # in one process
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
USE_TZ = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

STATIC_URL = "/static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # Names carry a hash of the content: proxies may keep them for ever, and a release that is
    # being replaced still finds its own files.
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.core.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["apps.core.api.IsStaffOfActiveTenant"],
    "DEFAULT_PAGINATION_CLASS": "apps.core.api.Pagination",
    "DEFAULT_PARSER_CLASSES": ["apps.core.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.core.errors.handle",
    "URL_FORMAT_OVERRIDE": None,  # JSON is all there is, and ?format= a parameter that nobody knows
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS would describe forms, and nobody has forms
    "NUM_PROXIES": 1,  # nginx: the last address of X-Forwarded-For is the client's
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

# The database holds the hashes of tokens. Use renews a token, at most once an hour.
REST_KNOX = {
    "TOKEN_TTL": timedelta(hours=env.integer("TOKEN_HOURS", default=12, minimum=2)),
    "AUTO_REFRESH": True,
    "AUTO_REFRESH_MAX_TTL": timedelta(days=env.integer("TOKEN_DAYS", default=30, minimum=1)),
    "MIN_REFRESH_INTERVAL": 3600,  # seconds
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Jewelry SaaS Platform",
    "DESCRIPTION": "Stock and sales of a shop, for its programs.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": [],
    "SERVE_AUTHENTICATION": [],
    # From our own static files: the page asks no other host for anything.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.core.schema.add_problems",
    ],
}

# -- Behind a proxy that speaks TLS --------------------------------------------------------------

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
SILENCED_SYSTEM_CHECKS = [
    "security.W004",  # HSTS: nginx sends it
    "security.W008",  # redirecting to https: nginx does it; it must not hit the probes on loopback
]

# -- Celery --------------------------------------------------------------------------------------

CELERY_BROKER_URL = env.redis_url("BROKER_URL", example="redis://jewelry:PASSWORD@127.0.0.1:6379/0")
CELERY_TASK_DEFAULT_QUEUE = "celery"
# Tasks of other queues, by name, each with {"queue": NAME}. The worker reads all that stand here.
CELERY_TASK_ROUTES: dict[str, dict[str, str]] = {}
CELERY_TIMEZONE = TIME_ZONE
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = None  # there are none, so beat need not have them cleaned up
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

# A task is taken off the queue when it has ended, so a worker that dies loses none; a task may
# then run twice, and all of ours allow it.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 240  # seconds
CELERY_TASK_TIME_LIMIT = 300

CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Seconds after which an unfinished task is given to another worker. Below the hard time
    # limit it would run twice at the same time.
    "visibility_timeout": 900,
    # A web request that publishes a task must not hang on a broker that is down.
    "socket_connect_timeout": 1,
    "socket_timeout": 2,
    "max_retries": 0,
}
CELERY_TASK_PUBLISH_RETRY = False

CELERY_BEAT_SCHEDULER = "apps.monitoring.beat.Scheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 10  # seconds; how old its heartbeat may look

# -- Releases ------------------------------------------------------------------------------------

# What the web processes of a new release are asked for before they are served (`check_web`).
CHECKED_PATHS = [
    "/", "/healthz", "/readyz", "/admin/login/", "/api/v1/", "/api/v1/schema/", "/api/v1/docs/",
    "/api/v1/items/", "/api/v1/sales/", "/api/v1/token/",
]  # fmt: skip

# A release's migrations are applied while the release that it replaces still runs; those that do
# not suit that are refused. Names of accepted ones, with the reason: `ignore_name`.
MIGRATION_LINTER_OPTIONS = {
    "no_cache": True,
    "ignore_name": [
        "0005_sale_number_unique",  # the database (0003) numbers the sales of every release
    ],
}

# -- Monitoring ----------------------------------------------------------------------------------

# Seconds, for requests and for queries. The usual buckets begin at 10 ms, above most of ours.
PROMETHEUS_LATENCY_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75,
    1.0, 2.5, 5.0, 7.5, 10.0, 25.0, 50.0, 75.0, float("inf"),
)  # fmt: skip
# It would query the database while the process starts, and a database that is down would keep
# the web processes from starting.
PROMETHEUS_EXPORT_MIGRATIONS = False
# Tenants that have labels of their own in the business's numbers.
METRICS_TENANTS = env.integer("METRICS_TENANTS", default=50, minimum=0)

LOGGING = log.CONFIG | {
    "filters": {
        "reason_only": {"()": log.ReasonOnly},
        "reason_only_of_database": {"()": log.ReasonOnlyOfDatabase},
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # Django's own handlers (the console under DEBUG, mail to ADMINS) would say all of it twice.
    "loggers": {
        "django.request": {"filters": ["reason_only_of_database"]},
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        DJANGO_REDIS_LOGGER: {"filters": ["reason_only"]},
        "knox": {"level": "WARNING"},  # it notes every request with a token near its end
    },
}
