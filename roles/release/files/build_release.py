#!/usr/bin/env python3
"""Build a release of the application: everything a machine needs to install it without a network.

    build_release.py id SOURCE
    build_release.py build SOURCE ARCHIVE PYTHON ARCHITECTURE

`id` prints the release's id: the application's version and the last commit that changed what is
packaged; a hash of its contents follows if they differ from that commit, and stands in its place
where there is no history. `build` writes an archive with the application's wheel, the wheels of its
locked dependencies for CPython PYTHON (such as 3.13) on ARCHITECTURE (such as x86_64), its static
files and RELEASE.json. The same source gives the same bytes. The interpreter that runs this must
have the application's dependencies, pip and setuptools: `.venv/bin/python`.
"""

import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

# What of the session's environment is needed to reach a package index; all else stays outside.
KEPT_VARIABLES = (
    *("PATH", "HOME", "PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"),
    *("PIP_TRUSTED_HOST", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_CACHE_DIR", "NETRC"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_DEFAULT_TIMEOUT"),
)
WITHOUT_HISTORY = 315532800  # 1980, the first year that a wheel can name


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which the same commands do the same, for every user."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", "PYTHONNOUSERSITE": "1", **more}


def project(source: Path) -> dict:
    """Return the application's pyproject.toml."""
    return tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))


class Packaged:
    """Which files of the source are packaged, as its pyproject.toml says to setuptools."""

    def __init__(self, source: Path) -> None:
        """Read pyproject.toml."""
        setuptools = project(source)["tool"]["setuptools"]
        modules = [f"{module}.py" for module in setuptools["py-modules"]]
        self.roots = ["pyproject.toml", "requirements.lock", *modules]
        self.packages = [name.rstrip("*.") for name in setuptools["packages"]["find"]["include"]]
        self.data = [
            (PurePosixPath(*package.split(".")), pattern)
            for package, patterns in setuptools.get("package-data", {}).items()
            for pattern in patterns
        ]

    def __contains__(self, path: str) -> bool:
        """Tell it of a path relative to the source."""
        parts = PurePosixPath(path).parts
        if path in self.roots:
            return True
        if parts[0] not in self.packages:
            return False
        # What systems and editors leave: hidden files, backups, locks.
        if any(
            part.startswith((".", "#")) or part.endswith(("~", ".swp", ".orig")) for part in parts
        ):
            return False
        return path.endswith(".py") or any(
            path.startswith(f"{folder}/")
            and fnmatch.fnmatch(path, f"{folder}/{pattern}".replace("**/", ""))
            for folder, pattern in self.data
        )


def blob(content: bytes) -> str:
    """Return the hash by which git knows a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def git(source: Path, *command: str) -> str | None:
    """Return what git says of the source, or None where it has no history."""
    # A checkout may belong to another user than the one who runs this.
    words = ["git", "-c", "safe.directory=*", "-C", str(source), *command]
    try:
        done = subprocess.run(words, env=environment(), capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return os.fsdecode(done.stdout) if done.returncode == 0 else None


class Source:
    """The application's source: which files make a release, and what it is called."""

    def __init__(self, folder: Path) -> None:
        """Look at the files, and at the history if there is one."""
        self.folder = folder
        packaged = Packaged(folder)
        found = (
            path for root in (*packaged.roots, *packaged.packages) for path in _files(folder / root)
        )
        names = (path.relative_to(folder).as_posix() for path in found)
        self.files = sorted(name for name in names if name in packaged)
        contents = {name: blob((folder / name).read_bytes()) for name in self.files}
        listing = json.dumps(contents, sort_keys=True).encode()
        self.hash = hashlib.sha256(listing).hexdigest()[:12]
        said = git(
            folder, "log", "-1", "--format=%H %ct", "--", *packaged.roots, *packaged.packages
        )
        commit, seconds = said.split() if said and said.strip() else ("", WITHOUT_HISTORY)
        self.commit: str | None = commit or None
        self.seconds = int(seconds)
        tree = git(folder, "ls-tree", "-rz", "HEAD", ".") if self.commit else None
        entries = (entry.split("\t", 1) for entry in (tree or "").split("\0") if entry)
        committed = {name: about.split()[2] for about, name in entries if name in packaged}
        self.dirty = bool(self.commit) and committed != contents

    @property
    def release_id(self) -> str:
        """Return the id of the release that this source makes."""
        version = project(self.folder)["project"]["version"]
        named = self.commit[:12] if self.commit else self.hash
        return "-".join([version, named, *([self.hash] if self.dirty else [])])

    def description(self) -> dict:
        """Return what RELEASE.json says; `built` is the source's date: same source, same bytes."""
        return {
            "release": self.release_id,
            "commit": self.commit,
            "dirty": self.dirty,
            "built": datetime.fromtimestamp(self.seconds, UTC).isoformat(),
        }


def _files(path: Path) -> list[Path]:
    """Return a file, or the files in a folder."""
    return [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]


def dependencies(source: Path, into: Path, python: str, architecture: str) -> None:
    """Download the wheels of the locked dependencies, checking their hashes."""
    tag = python.replace(".", "")
    platforms = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
    subprocess.run(
        [
            *PIP, "download", "--require-hashes", f"--requirement={source}/requirements.lock",
            "--no-deps", "--only-binary=:all:", f"--dest={into}",
            "--implementation=cp", f"--python-version={python}",
            f"--abi=cp{tag}", "--abi=abi3", "--abi=none",
            *(f"--platform={platform}_{architecture}" for platform in platforms),
        ],
        env=environment(),
        check=True,
    )  # fmt: skip


PIP = [sys.executable, "-I", "-m", "pip", "--quiet", "--disable-pip-version-check"]


def application(source: Source, copy: Path, content: Path) -> None:
    """Make the wheel, the static files and RELEASE.json from a copy of what is packaged."""
    os.umask(0o022)  # the wheel has the files' modes
    for name in source.files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.folder / name, copy / name)
    static_files(copy, content / "static")
    date = str(max(source.seconds, WITHOUT_HISTORY))
    subprocess.run(
        [*PIP, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={content}/wheels", copy],
        env=environment(SOURCE_DATE_EPOCH=date),
        check=True,
    )
    shutil.copyfile(copy / "requirements.lock", content / "requirements.lock")
    (content / "RELEASE.json").write_text(json.dumps(source.description(), indent=2) + "\n")


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
        env=environment(**unused, PYTHONDONTWRITEBYTECODE="1"),
        check=True,
    )


def pack(content: Path, archive: Path, seconds: int) -> None:
    """Write an archive, whole or not at all, that does not show who made it, and when."""

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = seconds
        member.mode = 0o755 if member.isdir() else 0o644
        return member

    # Of this process alone: two inventories may build the same release at once.
    unfinished = archive.with_name(f".{archive.name}.{os.getpid()}.unfinished")
    with tarfile.open(unfinished, "w") as tar:
        tar.add(content, arcname=".", filter=anonymous)  # sorted by name
    unfinished.replace(archive)


def build(folder: Path, archive: Path, python: str, architecture: str) -> None:
    """Write the release's archive; its name is the release's id."""
    source = Source(folder)
    named = archive.name.removesuffix(".tar")
    if named != source.release_id:
        sys.exit(
            f"build_release.py: {named} is not the release that {folder} makes "
            f"({source.release_id}), and neither the machine nor {archive} has it: "
            "check out the commit that it is named after, or choose one of `jewelry-release list`"
        )
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="jewelry-release-") as work:
        copy, content = Path(work) / "source", Path(work) / "content"
        application(source, copy, content)
        dependencies(copy, content / "wheels", python, architecture)
        pack(content, archive, source.seconds)


if __name__ == "__main__":
    verb, folder = sys.argv[1], Path(sys.argv[2])
    if not (folder / "pyproject.toml").exists():
        sys.exit(f"build_release.py: {folder} holds no application (no pyproject.toml)")
    if verb == "id":
        print(Source(folder).release_id)
        sys.exit()
    try:
        build(folder, Path(sys.argv[3]), *sys.argv[4:])
    except subprocess.CalledProcessError as error:
        sys.exit(f"build_release.py: `{' '.join(map(str, error.cmd))}` failed: see above")
