"""The shared roles: one sandbox for all units, and one way to run exporters."""

import re
from pathlib import Path

import jinja2
import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
ROLES = REPOSITORY / "roles"
MACRO = "roles/_sandbox/templates/sandbox.j2"
# Units that the sandbox would keep from their work: sessions of people, the kernel's packet filter.
OUTSIDE = {"ssh.service.d", "firewall.service.j2"}


def undef(hint):
    raise ValueError(hint)


jinja = jinja2.Environment(  # noqa: S701
    loader=jinja2.FileSystemLoader(REPOSITORY / "playbooks"), trim_blocks=True
)
jinja.globals["undef"] = undef
module = jinja.get_template(MACRO).module
RULES = module.rules
UNITS = [
    path
    for path in ROLES.glob("*/*/etc/systemd/system/**/*")
    if path.is_file() and "\n[Service]\n" in path.read_text()
]


def exporters():
    """Yield what roles give to `_exporter`, by the file that does."""
    for path in ROLES.glob("*/tasks/main.yml"):
        for task in yaml.safe_load(path.read_text()) or []:
            if task.get("ansible.builtin.import_role", {}).get("name") == "_exporter":
                yield path, task["vars"]


def exceptions():
    """Yield what units may do beyond the sandbox, by the file that says so."""
    for path in ROLES.glob("*/vars/main.yml"):
        for name, value in (yaml.safe_load(path.read_text()) or {}).items():
            if name.endswith("_sandbox"):
                yield path, value
    for path, given in exporters():
        if "_exporter_sandbox" in given:
            yield path, given["_exporter_sandbox"]


def test_every_exception_is_known_differs_and_has_its_reason():
    found = list(exceptions())
    assert len(found) >= 7
    for path, directives in found:
        for name, (value, reason) in directives.items():
            assert isinstance(value, str), f"{path}: {name} wants quotes"
            assert value != RULES[name], f"{path}: {name} is no exception"
            assert re.fullmatch(r"[A-Z].+\.", reason), f"{path}: {name}"
        module.sandbox(directives)


def test_an_exception_takes_the_place_of_a_rule_or_adds_to_its_list():
    lines = module.sandbox(
        {"PrivateUsers": ["no", "Because."], "SystemCallFilter": ["mbind", "NUMA."]}
    ).splitlines()
    assert "PrivateUsers=yes" not in lines
    assert lines[lines.index("PrivateUsers=no") - 1] == "# Because."
    filters = [line for line in lines if line.startswith("SystemCallFilter=")]
    assert filters == [*(f"SystemCallFilter={one}" for one in RULES["SystemCallFilter"]),
                       "SystemCallFilter=mbind"]  # fmt: skip


def test_a_directive_that_the_sandbox_does_not_have_is_refused():
    with pytest.raises(ValueError, match="The sandbox has no ProtectEverything"):
        module.sandbox({"ProtectEverything": ["no", "A typing error."]})


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_have_the_sandbox_and_nothing_of_it_typed_again(unit):
    text = unit.read_text()
    typed = {line.split("=")[0] for line in text.splitlines()} & set(RULES)
    if OUTSIDE & {unit.name, unit.parent.name}:
        assert len(typed) <= 2
    else:
        assert f"{{% from '{MACRO}' import sandbox %}}" in text
        assert not typed


def test_nothing_is_set_for_whole_families_of_units():
    """systemd applies NAME-.service.d to every unit whose name begins so, those of others too."""
    families = [path for path in ROLES.glob("*/*/etc/systemd/**/*-.*.d/*")]
    assert families == []


def test_every_role_of_an_exporter_uses_the_shared_one():
    given = {path.parts[-3]: set(variables) for path, variables in exporters()}
    known = yaml.safe_load((ROLES / "_exporter/defaults/main.yml").read_text())
    assert set(given) == {path.name for path in ROLES.glob("*_exporter") if path.name[0] != "_"}
    for role, names in given.items():
        assert "_exporter_name" in names
        assert names <= {"_exporter_name", *known}, role
