#!/usr/bin/env python3
"""Make the vault of an inventory, or add what it lacks, with random values.

    make_secrets.py INVENTORY [option of ansible-vault ...]

The vault is INVENTORY/group_vars/all/vault.yml. `ansible-vault` asks for the password, or reads it
as Ansible does, and encrypts; this program is the editor that it calls. What the vault has stays,
but placeholders are replaced, and secrets whose names once began with jewelry_ are renamed.
"""

import os
import re
import secrets
import shlex
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


def completed(text, names):
    """Return a vault's text with every secret in it, and what was done, in words."""
    done = []
    for name in [*names, "vault_email_url"]:
        old = name.replace("vault_", "jewelry_", 1)
        text, count = re.subn(rf"(?m)^{old}(?=\s*:)", name, text)
        done += [f"renamed {old} to {name}"] * count
    known = values(text)
    for name in names:
        value = str(known.get(name) or "")
        if value and not PLACEHOLDER.search(value):
            continue
        line = f"{name}: {''.join(secrets.choice(CHARACTERS) for _ in range(LENGTH))}"
        text, count = re.subn(rf"(?m)^{name}\s*:.*$", line, text)
        text = text if count else f"{text.rstrip()}\n{line}\n"
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
    return folder / "group_vars/all/vault.yml"


def make(vault, options):
    """Make or complete a vault; return what was done."""
    vault.parent.mkdir(parents=True, exist_ok=True)
    new = vault.with_suffix(".new")
    new.unlink(missing_ok=True)
    seed = vault if vault.exists() else EXAMPLE / "group_vars/all/vault.yml"
    if seed.read_text().startswith("$ANSIBLE_VAULT;"):
        command = ["ansible-vault", "edit", *options, vault]
    else:
        values(seed.read_text())  # refused before a password is asked for
        command = ["ansible-vault", "create", "--skip-tty-check", *options, new]
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report")
        editor = shlex.join([sys.executable, __file__, "--edit", str(report), str(seed.resolve())])
        ended = subprocess.run(command, env={**os.environ, "ANSIBLE_EDITOR": editor}, check=False)
        if ended.returncode or not report.exists():
            new.unlink(missing_ok=True)
            sys.exit(f"{vault} is unchanged: see above")
        if new.exists():
            new.replace(vault)
        return report.read_text().splitlines()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--edit"]:
        edit(*map(Path, sys.argv[2:]))
    elif len(sys.argv) < 2 or not sys.argv[1]:
        sys.exit("Name the inventory: make secrets INVENTORY=inventories/production")
    else:
        path = vault_of(Path(sys.argv[1]))
        print(f"{path}: {', '.join(make(path, sys.argv[2:])) or 'nothing was missing'}")
