"""Lookup `setting`: variables as they are in force on a machine, the roles' defaults included."""

from pathlib import Path

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.template import Templar

DOCUMENTATION = """
name: setting
author: The maintainers
short_description: Value of a role's option, or of another variable, on any machine
description:
  - Returns what the role sees in its option on that machine, also in plays without the role. The
    inventory's value wins over the role's default, as in the role itself.
  - C(hostvars) knows no defaults of roles.
options:
  _terms:
    description: Names of variables.
    required: true
  host:
    description: The machine, or a list of them. It is the play's current one if this is missing.
    type: raw
"""

EXAMPLES = """
- name: Show the port of the database
  ansible.builtin.debug:
    msg: "{{ lookup('setting', 'postgresql_port', host=groups['database'] | first) }}"

- name: Show where node_exporter listens on all machines
  ansible.builtin.debug:
    msg: "{{ query('setting', 'node_exporter_address', host=groups['all']) }}"
"""

RETURN = """
_raw:
  description: The values, for each machine those of all names.
"""

ROLES = Path(__file__).resolve().parents[2] / "roles"
PREFIXES = {"platform": "jewelry"}


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms, variables=None, host=None, **_):
        """Return the values of the named variables on the machine, or on each of a list."""
        hosts = host if isinstance(host, list) else [host or variables["inventory_hostname"]]
        return [self.value(name, self.known(one, variables)) for one in hosts for name in terms]

    def known(self, host, variables):
        """Return the variables that are set on a machine."""
        if host == variables["inventory_hostname"]:
            return variables
        machines = variables["hostvars"]
        return {**machines.raw_get(host), "hostvars": machines}

    def value(self, name, known):
        """Return the value of a variable that is set, or else of a role's default."""
        if name not in known:
            known = {**self.defaults(name), **known}
        return Templar(self._loader, known).template(known[name])

    def defaults(self, name):
        """Return the defaults of the role that has an option of this name."""
        for path in ROLES.glob("*/defaults/main.yml"):
            prefix = PREFIXES.get(path.parts[-3], path.parts[-3])
            if name.startswith(f"{prefix}_"):
                found = self._loader.load_from_file(str(path), trusted_as_template=True) or {}
                if name in found:
                    return found
        raise AnsibleLookupError(f"{name} is no variable of the inventory, nor a role's option.")
