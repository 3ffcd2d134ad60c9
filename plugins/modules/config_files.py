#!/usr/bin/python
"""Ansible's module `config_files`; the action of the same name gives it what it needs."""

import base64
import contextlib
import grp
import hashlib
import os
import pwd
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: config_files
short_description: All files of a role, written together
description:
  - Writes files from a role's C(templates) and C(files), and the folders that lead to them, in one
    step. C(template) and C(copy) need one for each file and each folder.
  - A file's source has the path of the file itself, below C(templates) with the suffix C(.j2),
    or below C(files).
  - A file that a program can check replaces the old one only if the program accepts it. If one file
    is refused or cannot be written, all files stay as they were. A secret is never readable by
    others, not even while it is written.
options:
  files:
    description:
      - The files. A path stands for C({path: PATH}).
      - C(path) is the file's path on the machine.
      - C(src) is another source. C(content) stands in its place.
      - C(vars) are more variables for the template.
      - C(owner), C(group) and C(mode) are the file's own.
      - C(validate) is a command that refuses a wrong file; C(%s) in it is the new file.
      - C(secret) keeps the content out of a diff.
    type: list
    elements: raw
    default: []
  folders:
    description:
      - Folders with an owner, group or mode of their own, or that are to be there in any case.
      - Others on the way to a file are made when they are missing.
    type: list
    elements: raw
    default: []
  tree:
    description: A folder on the controller whose files are all written below C(tree_path).
    type: path
  tree_path:
    description: Where they are written.
    type: path
  only:
    description: Folders in which nothing else is left.
    type: list
    elements: path
    default: []
  absent:
    description: Files that are removed if they are there.
    type: list
    elements: path
    default: []
  owner:
    description: Owner of the files; the user who writes them, if it is not given.
    type: str
  group:
    description: Group of the files; that of the user who writes them, if it is not given.
    type: str
  mode:
    description: Mode of the files.
    type: str
    default: '0644'
  validate:
    description: A command that refuses a wrong file, for all of them.
    type: str
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = """
- name: Configure nginx
  config_files:
    files:
      - /etc/systemd/system/nginx.service.d/50-nginx.conf
      - { path: /etc/nginx/nginx.conf, validate: /usr/sbin/nginx -t -c %s }
      - { path: /etc/nginx/password.conf, group: www-data, mode: '0640', secret: true }
"""

ENTRY = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str", "required": True},
}
FILE = {
    "checksum": {"type": "str", "required": True},
    "content": {"type": "str", "no_log": True},  # base64, if the machine lacks it
    "validate": {"type": "str"},
    "secret": {"type": "bool", "default": False},
}


class Missing(Exception):
    """A user or a group that is not there; in check mode it would have been made before."""


class Refused(Exception):
    """A file that its check does not accept."""


def wanted(entry):
    """Return the numbers of owner and group and the mode that an entry is to have."""
    owner, group = entry["owner"], entry["group"]
    try:
        owner = pwd.getpwnam(owner).pw_uid if owner else os.geteuid()
        group = grp.getgrnam(group).gr_gid if group else os.getegid()
    except KeyError as missing:
        raise Missing(f"{entry['path']}: {missing.args[0]}") from None
    return owner, group, int(entry["mode"], 8)


def present(path):
    """Return the numbers of owner and group and the mode that a path has, None if it has none."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return status.st_uid, status.st_gid, status.st_mode & 0o7777


def shown(attributes):
    """Return owner, group and mode as a diff shows them."""
    return "owner {}, group {}, mode {:04o}\n".format(*attributes) if attributes else ""


def differs(entry):
    """Say whether owner, group or mode are other than an entry is to have."""
    try:
        return present(entry["path"]) != wanted(entry)
    except Missing:
        return True


def attributes_change(entry):
    """Return the change of owner, group and mode, as a diff shows it."""
    try:
        after = shown(wanted(entry))
    except Missing as missing:
        after = f"{missing}\n"
    return {"path": entry["path"], "before": shown(present(entry["path"])), "after": after}


def change_attributes(path, owner, group, mode):
    """Give a file its owner, group and mode."""
    os.chown(path, owner, group)
    path.chmod(mode)


def make_folders(module, folders, act):
    """Make the folders and give them their attributes; return the changes."""
    changes = []
    for folder in folders:
        path = Path(folder["path"])
        if path.is_dir() and not differs(folder):
            continue
        changes.append(attributes_change(folder))
        if act:
            path.mkdir(parents=True, exist_ok=True)
            change_attributes(path, *wanted(folder))
    return changes


def keep_old(path, undo, end):
    """Let `undo` bring back what is there now, by a second link to it that `end` removes."""
    old = path.with_name(f".{path.name}.old")
    old.unlink(missing_ok=True)
    if present(path):
        end.callback(old.unlink, missing_ok=True)
        os.link(path, old, follow_symlinks=False)
        undo.callback(old.replace, path)
    else:
        undo.callback(path.unlink, missing_ok=True)


def write(module, file, undo, end):
    """Put a file in the place of the old one, whole and with its attributes, if it is valid."""
    path = Path(file["path"])
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    owner, group, mode = wanted(file)
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(base64.b64decode(file["content"]))
        change_attributes(Path(new), owner, group, mode)
        if file["validate"]:
            code, out, error = module.run_command(file["validate"].replace("%s", new))
            if code:
                said = f"{out}{error}".replace(new, file["path"]).strip()
                raise Refused(f"{path} stays as it is, for the new one is refused: {said}")
        keep_old(path, undo, end)
        Path(new).replace(path)
    except OSError as error:  # that of a full disk names no file
        error.filename = error.filename or file["path"]
        raise
    finally:
        Path(new).unlink(missing_ok=True)


def write_files(module, files, act):
    """Write the files that differ, all or none; return the changes."""
    changes = []
    with contextlib.ExitStack() as end, contextlib.ExitStack() as undo:
        for file in files:
            path = Path(file["path"])
            old = path.read_bytes() if path.is_file() and not path.is_symlink() else None
            if old is None or hashlib.sha256(old).hexdigest() != file["checksum"]:
                change = {"path": file["path"], "content": True}
                if module._diff and not file["secret"]:
                    change["before"] = (old or b"").decode(errors="replace")
                changes.append(change)
                if act:
                    write(module, file, undo, end)
            elif differs(file):
                changes.append(attributes_change(file))
                if act:
                    undo.callback(change_attributes, path, *present(path))
                    change_attributes(path, *wanted(file))
        undo.pop_all()
    return changes


def others(folders, keep):
    """Yield what is in the folders and is not to be kept, deep paths first."""
    for top in folders:
        for folder, subfolders, names in os.walk(top, topdown=False):
            paths = (Path(folder, name) for name in [*names, *subfolders])
            yield from (path for path in paths if str(path) not in keep)


def remove(paths, act):
    """Remove those of the paths that are there; return the changes."""
    changes = []
    for path in paths:
        if present(path):
            changes.append({"path": str(path), "before": "present\n", "after": ""})
            if act:
                (path.rmdir if path.is_dir() and not path.is_symlink() else path.unlink)()
    return changes


def main():
    """Compare; with `act` write what differs."""
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "options": ENTRY | FILE, "default": []},
            "folders": {"type": "list", "elements": "dict", "options": ENTRY, "default": []},
            "only": {"type": "list", "elements": "path", "default": []},
            "absent": {"type": "list", "elements": "path", "default": []},
            "act": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
        no_log=True,  # the journal gains nothing from a list of all files
    )
    os.umask(0o022)  # whatever the session has: folders on the way are everybody's to enter
    files, folders = module.params["files"], module.params["folders"]
    act = module.params["act"] and not module.check_mode
    entries = {Path(entry["path"]) for entry in [*files, *folders]}
    keep = {str(path) for entry in entries for path in [entry, *entry.parents]}
    try:
        changes = [
            *make_folders(module, folders, act),
            *write_files(module, files, act),
            *remove(others(module.params["only"], keep), act),
            *remove(map(Path, module.params["absent"]), act),
        ]
    except (Missing, Refused, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
