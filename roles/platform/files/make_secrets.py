#!/usr/bin/env python3
"""Make the vault of an inventory, or add what it lacks, with random values.

    make_secrets.py INVENTORY [option of ansible-vault ...]

The vault is INVENTORY/group_vars/all/vault.yml. `ansible-vault` asks for the password, or reads it
as Ansible does, and encrypts; this program is the editor that it calls. What the vault has stays,
but placeholders are replaced, and secrets whose names once began with jewelry_ are renamed.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shlex
import shutil
import string
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROLE = Path(__file__).resolve().parents[1]
EXAMPLE = ROLE.parents[1] / "inventories/example"
CHARACTERS = string.ascii_letters + string.digits
PLACEHOLDER = re.compile(r"change.?me|placeholder", re.IGNORECASE)
LENGTH = 64


class Loader(yaml.SafeLoader):
    """Reads Ansible's files; values with a tag of its own, such as `!vault`, stay text."""


Loader.add_multi_constructor("!", lambda loader, tag, node: node.value)


def values(text):
    """Return a vault's variables; end in words that show none of them if it cannot be read."""
    try:
        return yaml.load(text, Loader) or {}  # noqa: S506
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        sys.exit(f"vault.yml is no YAML: line {line}: {error.problem}")


def is_real(value):
    """Tell whether a secret has a value that somebody has chosen."""
    return bool(value) and not PLACEHOLDER.search(str(value))


def without(name, text):
    """Return a vault's text without a variable, and how often it was there."""
    return re.subn(rf"(?m)^{name}\s*:.*\n?(?:^[ \t]+.*\n?)*", "", text)


def renamed(text, old, name):
    """Return a vault's text with a secret under its new name; the value that is real stays."""
    known = values(text)
    if is_real(known.get(name)):
        if is_real(known.get(old)) and known[old] != known[name]:
            sys.exit(f"The vault has both {old} and {name}: remove the one that is not in use")
        return without(old, text)[0]
    return re.sub(rf"(?m)^{old}(?=\s*:)", name, without(name, text)[0])


def completed(text, names):
    """Return a vault's text with every secret in it, and what was done, in words."""
    done = []
    for name in [*names, "vault_email_url"]:
        old = name.replace("vault_", "jewelry_", 1)
        if old in values(text):
            text = renamed(text, old, name)
            done.append(f"renamed {old} to {name}")
    known = values(text)
    for name in names:
        if is_real(known.get(name)):
            continue
        line = f"{name}: {''.join(secrets.choice(CHARACTERS) for _ in range(LENGTH))}\n"
        place = re.search(rf"(?m)^{name}\s*:", text)
        text, _ = without(name, text)
        start = place.start() if place else len(text)
        gap = "\n" if start and text[start - 1] != "\n" else ""
        text = text[:start] + gap + line + text[start:]
        done.append(f"made {name}")
    return text, done


def edit(report, seed, path):
    """Complete a file that ansible-vault has decrypted; a new one begins with `seed`."""
    names = yaml.safe_load((ROLE / "vars/main.yml").read_text())["platform_secrets"]
    text, done = completed(path.read_text() or seed.read_text(), names)
    path.write_text(text)
    report.write_text("\n".join(done))


def vault_of(inventory):
    """Return the path of an inventory's vault; end in words if there can be none."""
    folder = inventory.parent if inventory.is_file() else inventory
    if not folder.is_dir():
        sys.exit(f"{folder} is missing. Make it first: cp -r inventories/example {folder}")
    if folder.resolve() == EXAMPLE:
        sys.exit(f"{folder} is the example. Copy it first: cp -r {folder} inventories/production")
    variables = folder / "group_vars/all"
    files = [variables, *(variables.with_suffix(end) for end in (".yml", ".yaml"))]
    for file in files:
        if file.is_file() and not variables.is_dir():
            sys.exit(f"{file} is a file. Move it to {variables}/main.yml: the vault is beside it")
    vault = variables / "vault.yml"
    if vault.is_dir():
        sys.exit(f"{vault} is a folder. It should be a file, or missing")
    return vault


@contextlib.contextmanager
def alone(folder):
    """Let one run at a time change an inventory."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        sys.exit(f"Another run makes secrets in {folder}. Try again when it has ended")
    finally:
        os.close(handle)


def make(vault, options):
    """Make or complete a vault; return what was done."""
    seed = vault if vault.exists() else EXAMPLE / "group_vars/all/vault.yml"
    with tempfile.TemporaryDirectory() as scratch:
        new, report = Path(scratch, "vault.yml"), Path(scratch, "report")
        if seed.read_text().startswith("$ANSIBLE_VAULT;"):
            command = ["ansible-vault", "edit", *options, vault]
        else:
            values(seed.read_text())  # refused before a password is asked for
            command = ["ansible-vault", "create", "--skip-tty-check", *options, new]
        editor = shlex.join([sys.executable, __file__, "--edit", str(report), str(seed.resolve())])
        ended = subprocess.run(command, env={**os.environ, "ANSIBLE_EDITOR": editor}, check=False)
        if ended.returncode or not report.exists():
            sys.exit(f"{vault} is unchanged: see above")
        if new.exists():
            vault.parent.mkdir(parents=True, exist_ok=True)
            beside = vault.resolve().with_suffix(".new")
            shutil.copy(new, beside)
            beside.replace(vault.resolve())
        return report.read_text().splitlines()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--edit"]:
        edit(*map(Path, sys.argv[2:]))
    elif len(sys.argv) < 2 or not sys.argv[1]:
        sys.exit("Name the inventory: make secrets INVENTORY=inventories/production")
    else:
        path = vault_of(Path(sys.argv[1]))
        try:
            with alone(path.parents[2]):
                done = make(path, sys.argv[2:])
        except KeyboardInterrupt:
            sys.exit(f"\nInterrupted: {path} is unchanged")
        print(f"{path}: {', '.join(done) or 'nothing was missing'}")
