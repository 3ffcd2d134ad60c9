#!/usr/bin/python3
"""What a systemd unit runs, compared with the files on disk.

    jewelry_units.py FILE     write FILE, numbers about all services for Prometheus

A unit is current if the files that it read at its start or last reload have not changed, and if
no program or library that it runs has been replaced. What it read is remembered below /run
with the unit's invocation. For an invocation that nobody remembers (somebody else has started the
unit, or the machine has) a file counts as read if it is older than the start.
"""

import hashlib
import json
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

RECORDS = Path("/run/jewelry-units")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
RELEASE = re.compile(r"/srv/jewelry/releases/([^/]+)/")
PROPERTIES = (
    "LoadState,ActiveState,UnitFileState,NeedDaemonReload,FragmentPath,DropInPaths,"
    "EnvironmentFiles,InvocationID,InactiveExitTimestampMonotonic"
)
# Code that a process runs from a file that is gone. What is deleted on purpose (shared memory,
# temporary files) lies elsewhere. On an overlay file system a program's own path is lost.
REPLACED = re.compile(r"^\S+ ..x. \S+ \S+ [1-9]\d* +(/(?:(?:usr|opt|srv)/.+)?) \(deleted\)$", re.M)


def show(unit):
    """Return what systemd says of a unit; the files that it is made of as one list."""
    command = ["systemctl", "show", f"--property={PROPERTIES}", "--", unit]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found, files = {}, []
    for line in said.splitlines():
        name, _, value = line.partition("=")
        if name == "FragmentPath":
            files += [value] if value else []
        elif name == "DropInPaths":
            files += value.split()
        elif name == "EnvironmentFiles":
            files.append(value.rpartition(" (ignore_errors=")[0])
        else:
            found[name] = value
    return {**found, "files": files}


def look(paths):
    """Return a digest and the time of writing of files, and of all that is in folders, by path."""
    found: dict[str, list | None] = {}
    for path in map(Path, paths):
        for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
            try:
                link = str(file.readlink()) if file.is_symlink() else ""
                content = file.read_bytes() if file.is_file() else b""
                written = 0 if file.is_dir() else file.lstat().st_mtime
            except FileNotFoundError:
                found[str(file)] = None
            else:
                found[str(file)] = [hashlib.sha256(link.encode() + content).hexdigest(), written]
    return found


def is_same(known, now):
    """Tell whether a file is as it was.

    One that was written again with the same words is not: it was another in between, and somebody
    may have loaded that. A time in the future says nothing.
    """
    if known is None or now is None:
        return known is now
    return known[0] == now[0] and (known[1] == now[1] or now[1] > time.time())


def remembered(unit):
    """Return what a unit has read, with the invocation that has read it; nothing if unknown."""
    try:
        return json.loads((RECORDS / f"{unit}.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}


def remember(unit, **read):
    """Remember what an invocation of a unit has read."""
    RECORDS.mkdir(mode=0o700, exist_ok=True)
    unfinished = RECORDS / f".{unit}.new"
    unfinished.write_text(json.dumps(read))
    unfinished.replace(RECORDS / f"{unit}.json")


def changed(known, seen, started):
    """Return which files differ from those that a unit has read.

    `known` and `seen` are from look(), then and now; `started` is when the unit was.
    """
    gone = [path for path in known if path not in seen and not Path(path).exists()]
    return gone + [
        path
        for path, now in seen.items()
        if (
            not is_same(known[path], now)
            if path in known
            else now is not None and Path(path).lstat().st_ctime > started
        )
    ]


def unread(unit, properties, **paths):
    """Return which files a unit has not read as they are, and what look() sees, both by kind."""
    record = remembered(unit)
    known = record if record.get("invocation") == properties["InvocationID"] else {}
    seen = {kind: look(files) for kind, files in paths.items()}
    since = started(properties)
    return {kind: changed(known.get(kind, {}), seen[kind], since) for kind in seen}, seen


def started(properties):
    """Return when a unit was started, by the current clock: it may have been set since."""
    since_boot = int(properties["InactiveExitTimestampMonotonic"]) / 1e6
    return time.time() - time.monotonic() + since_boot


def replaced():
    """Return the programs and libraries that were replaced while a service ran them, by unit."""
    found: dict[str, set[str]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            group = (process / "cgroup").read_text().splitlines()[-1].split("/")
            services = [part for part in group if part.endswith(".service")]
            if services and "system.slice" in group:
                maps = (process / "maps").read_text(errors="replace")
                found.setdefault(services[-1], set()).update(REPLACED.findall(maps))
        except (FileNotFoundError, ProcessLookupError, IndexError):
            continue  # it has just ended
    return {unit: sorted(files) for unit, files in found.items()}


def releases(unit):
    """Return the ids of the application's releases that a unit's processes run."""
    command = ["systemctl", "show", "--property=ControlGroup", "--value", "--", unit]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    if not (group := said.strip().lstrip("/")):
        return set()
    found = set()
    with suppress(FileNotFoundError):  # the unit has just ended
        for pid in (CONTROL_GROUPS / group / "cgroup.procs").read_text().split():
            with suppress(FileNotFoundError, ProcessLookupError):
                words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
                found.update(RELEASE.findall(words.split("\0")[0]))
    return found


def remember_start(unit):
    """Remember that a unit, which reads no further files, has read its own as they are now."""
    properties = show(unit)
    remember(unit, invocation=properties["InvocationID"], restart=look(properties["files"]))


def is_behind(unit):
    """Tell whether a unit has not read its files, as far as they are known, as they are now."""
    properties, record = show(unit), remembered(unit)
    paths = {kind: list(record.get(kind, {})) for kind in ("restart", "reload")}
    paths["restart"] += properties["files"]
    return any(unread(unit, properties, **paths)[0].values())


def metrics():
    """Return the numbers about all services in Prometheus's text format."""
    lines = [
        "# HELP jewelry_unit_outdated Whether a service runs other files than there are: a program"
        " or library that was replaced, or a configuration that it has not read.",
        "# TYPE jewelry_unit_outdated gauge",
    ]
    for unit, files in sorted(replaced().items()):
        name = unit.replace("\\", "\\\\")
        for reason, holds in (("program", bool(files)), ("configuration", is_behind(unit))):
            lines.append(f'jewelry_unit_outdated{{name="{name}",reason="{reason}"}} {holds:d}')
    return "\n".join([*lines, ""])


def main(path):
    """Write the numbers in one step that no reader can see half done."""
    unfinished = Path(f"{path}.new")
    unfinished.write_text(metrics())
    unfinished.chmod(0o644)
    unfinished.replace(path)


if __name__ == "__main__":
    main(sys.argv[1])
