#!/usr/bin/python
"""Ansible's module `current_unit`."""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.jewelry_units import remember, remembered, replaced, show, unread

DOCUMENTATION = """
module: current_unit
short_description: A systemd unit runs, at boot too, and runs the current files
description:
  - Starts and enables a unit. Restarts or reloads it if it runs with other files than there are.
  - It compares in every run. So it takes the place of handlers, which an interrupted run loses.
  - The unit's own file, its drop-ins and its C(EnvironmentFile)s are always compared, and so are
    the programs and libraries that it runs, which a security update may have replaced.
  - A folder stands for all that is in it.
options:
  name:
    description: The unit, or several; without a suffix it is a service.
    type: list
    elements: str
    required: true
  restart_for:
    description: More files and folders that are read at a start only.
    type: list
    elements: path
    default: []
  reload_for:
    description:
      - Files and folders that are read at a reload too.
      - The unit needs an C(ExecReload) that fails if the service refuses them.
    type: list
    elements: path
    default: []
  enabled:
    description: Whether to have it started at boot too.
    type: bool
    default: true
attributes:
  check_mode:
    description: Does not know of files that this run would have written.
    support: partial
  diff_mode:
    description: Says what is done and for which files; shows no content.
    support: full
"""

EXAMPLES = """
- name: Run nginx
  current_unit:
    name: nginx
    reload_for: [/etc/nginx]
"""

RETURN = """
why:
  description: What the unit's start, restart or reload is for.
  type: list
  elements: str
"""


def systemctl(module, *words):
    """Run systemctl; if it fails, so does the module, in the words of the unit."""
    since = int(time.time())
    code, _, said = module.run_command(["systemctl", *words])
    if code:
        log = ["journalctl", f"--since=@{since}", "--output=cat", "--no-pager", "--lines=20"]
        journal = module.run_command([*log, f"--unit={words[-1]}"])[1]
        module.fail_json(msg=f"systemctl {' '.join(words)}: {said.strip()}\n{journal.strip()}")


def make_current(module, unit, act):
    """Compare a unit with its files, and do what is needed; return why, and what was done."""
    if not unit.endswith((".service", ".socket", ".timer", ".path", ".mount", ".target")):
        unit += ".service"
    unit_now = show(unit)
    unloaded = unit_now["NeedDaemonReload"] == "yes"
    if unloaded and act:
        systemctl(module, "daemon-reload")
        unit_now = show(unit)
    if unit_now["LoadState"] != "loaded":
        if act or unit_now["LoadState"] != "not-found":
            module.fail_json(msg=f"{unit} cannot be run: systemd says {unit_now['LoadState']}")
        unit_now["ActiveState"] = "inactive"

    stale, seen = unread(
        unit,
        unit_now,
        restart=[*unit_now["files"], *module.params["restart_for"]],
        reload=module.params["reload_for"],
    )
    known = remembered(unit).get("invocation") == unit_now["InvocationID"]
    if unloaded and not known and not stale["restart"]:
        stale["restart"].append("unit files that systemd had not read")
    stale["restart"] += [f"{path} was replaced" for path in replaced().get(unit, [])]

    if unit_now["ActiveState"] not in ("active", "reloading"):
        verb, why = "start", [f"it is {unit_now['ActiveState']}"]
    elif stale["restart"]:
        verb, why = "restart", stale["restart"]
    else:
        verb, why = "reload", stale["reload"]
    enable = module.params["enabled"] and unit_now["UnitFileState"] == "disabled"

    if act:
        if enable:
            systemctl(module, "enable", unit)
        if why:
            # Also for what systemd does not notice by itself: a file whose time went back.
            if verb != "reload":
                systemctl(module, "daemon-reload")
            systemctl(module, verb, unit)
        remember(unit, invocation=show(unit)["InvocationID"], **seen)
    done = [f"{verb} {unit}: {reason}\n" for reason in why] + [f"enable {unit}\n"] * enable
    return why, done


def main():
    """Make each unit current."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str", "required": True},
            "restart_for": {"type": "list", "elements": "path", "default": []},
            "reload_for": {"type": "list", "elements": "path", "default": []},
            "enabled": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    why, done = [], []
    for unit in module.params["name"]:
        reasons, actions = make_current(module, unit, act=not module.check_mode)
        why += reasons
        done += actions
    module.exit_json(changed=bool(done), why=why, diff={"prepared": "".join(done)})


if __name__ == "__main__":
    main()
