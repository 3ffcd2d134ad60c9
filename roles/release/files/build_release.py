#!/usr/bin/env python3
"""Build a release of the application: everything a machine needs to install it without a network.

    build_release.py id SOURCE
    build_release.py build SOURCE ARCHIVE PYTHON ARCHITECTURE

`id` prints the release's id: the application's version and a hash of its source. `build` writes
an archive with the application's wheel, the wheels of its locked dependencies for CPython PYTHON
(such as 3.13) on ARCHITECTURE (such as x86_64), and its static files. The interpreter that runs
this must have the application's dependencies, pip and setuptools: `.venv/bin/python`.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

UNSHIPPED = {"tests", "__pycache__", "build", ".pytest_cache", ".ruff_cache"}


def sources(source: Path) -> list[Path]:
    """Return the files that make a release, sorted, relative to the source folder."""
    files = (path.relative_to(source) for path in source.rglob("*") if path.is_file())
    return sorted(
        path
        for path in files
        if not UNSHIPPED.intersection(path.parts) and ".egg-info" not in str(path)
    )


def release_id(source: Path) -> str:
    """Return the version and the first 12 hexadecimal digits of a hash over names and contents."""
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    total = hashlib.sha256()
    for path in sources(source):
        total.update(f"{path}\0".encode() + hashlib.sha256((source / path).read_bytes()).digest())
    return f"{project['version']}-{total.hexdigest()[:12]}"


def wheels(source: Path, into: Path, python: str, architecture: str) -> None:
    """Build the application's wheel and download those of its dependencies, checking hashes."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    tag = python.replace(".", "")
    platforms = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
    subprocess.run(
        [
            *pip, "download", "--require-hashes", f"--requirement={source}/requirements.lock",
            "--no-deps", "--only-binary=:all:", f"--dest={into}",
            "--implementation=cp", f"--python-version={python}",
            f"--abi=cp{tag}", "--abi=abi3", "--abi=none",
            *(f"--platform={platform}_{architecture}" for platform in platforms),
        ],
        check=True,
    )  # fmt: skip
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={into}", source],
        check=True,
    )


def static_files(source: Path, into: Path) -> None:
    """Collect the static files under the names (with hashes) by which pages ask for them."""
    # The settings want a whole environment; nothing of this one is used or shipped.
    unused = {
        "DJANGO_SECRET_KEY": os.urandom(32).hex(),
        "DJANGO_ALLOWED_HOSTS": "localhost",
        "DATABASE_URL": "postgres://nobody@localhost/nothing",
        "CACHE_URL": "redis://localhost",
        "BROKER_URL": "redis://localhost",
        "STATIC_ROOT": str(into),
    }
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0"],
        cwd=source,
        env={**os.environ, **unused, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
    )


def build(source: Path, archive: Path, python: str, architecture: str) -> None:
    """Write the release's archive, whole or not at all; its name is the release's id."""
    if archive.stem != release_id(source):
        sys.exit(
            f"build_release.py: {archive.stem} is not the release that {source} makes "
            f"({release_id(source)}), and {archive} is not there: check its source out"
        )
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="jewelry-release-") as work:
        copy, content = Path(work) / "source", Path(work) / "content"
        for path in sources(source):
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, copy / path)
        static_files(copy, content / "static")
        wheels(copy, content / "wheels", python, architecture)
        shutil.copyfile(copy / "requirements.lock", content / "requirements.lock")
        unfinished = archive.with_name(f".{archive.name}.unfinished")
        with tarfile.open(unfinished, "w") as tar:
            tar.add(content, arcname=".")
        unfinished.replace(archive)


if __name__ == "__main__":
    verb, source = sys.argv[1], Path(sys.argv[2])
    if not (source / "pyproject.toml").exists():
        sys.exit(f"build_release.py: {source} holds no application (no pyproject.toml)")
    if verb == "id":
        print(release_id(source))
        sys.exit()
    try:
        build(source, Path(sys.argv[3]), *sys.argv[4:])
    except subprocess.CalledProcessError as error:
        sys.exit(f"build_release.py: `{' '.join(map(str, error.cmd))}` failed: see above")
