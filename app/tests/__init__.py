"""The application's tests: `pg_virtualenv .venv/bin/pytest app` in the repository's root."""
