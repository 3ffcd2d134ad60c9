"""Every role says the same in defaults/, meta/argument_specs.yml and README.md."""

import re
from pathlib import Path

import pytest
import yaml

PREFIXES = {"platform": "jewelry"}
# Roles whose names begin with _ are shared pieces, which no operator sets anything of.
ROLES = sorted(
    path
    for path in (Path(__file__).parents[1] / "roles").iterdir()
    if path.is_dir() and not path.name.startswith("_")
)

pytestmark = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def options(role):
    return yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"][
        "options"
    ]


def test_every_variable_has_a_default_and_a_type_or_is_required(role):
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text()) or {}
    specs = f"roles/{role.name}/meta/argument_specs.yml"
    for name, spec in options(role).items():
        assert spec["type"] and spec["description"], name
        if spec.get("required"):
            # The platform knows it; a role on its own lacks it.
            known = defaults.pop(name, "{{ jewelry_ }}")
            assert re.fullmatch(r"{{ (jewelry|platform|vault)_\w* }}", known), name
            continue
        default = defaults.pop(name)
        if "default" in spec:
            assert spec["default"] == default, f"{specs} has another default of {name}"
        else:
            assert "{{" in str(default), f"{specs} lacks the default of {name}"
    assert not defaults, f"{specs} lacks {', '.join(defaults)}"


def test_every_variable_has_the_roles_prefix_and_a_comment(role):
    text = (role / "defaults/main.yml").read_text()
    for name, spec in options(role).items():
        assert name.startswith(f"{PREFIXES.get(role.name, role.name)}_")
        written = rf"(# {name}: \(required\)|{name}: )" if spec.get("required") else f"{name}:"
        assert re.search(rf"^# .+\n{written}", text, re.MULTILINE), f"{name} has no comment"


def test_every_other_variable_has_the_roles_prefix(role):
    """What a role computes and registers; `platform_` is for what several roles read."""
    names = set()
    for path in role.glob("vars/*.yml"):
        names |= set(yaml.safe_load(path.read_text()) or {})
    for path in role.glob("tasks/*.yml"):
        names |= set(re.findall(r"^ +register: (\w+)$", path.read_text(), re.MULTILINE))
    prefixes = (f"__{role.name}_", "platform_")
    assert [name for name in names if not name.startswith(prefixes)] == []


def test_secrets_do_not_show(role):
    for name, spec in options(role).items():
        if name.endswith(("password", "secret", "key")):
            assert "no_log" in spec, name


def test_readme_fits_a_screen(role):
    lines = (role / "README.md").read_text().splitlines()
    assert lines[0] == f"# {role.name}"
    assert len(lines) <= 50
