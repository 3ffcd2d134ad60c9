"""The linters read every program, those whose names have no suffix too."""

import subprocess
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
TOOLS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]


def test_programs_without_a_suffix_are_linted_and_their_types_checked():
    listed = subprocess.run(
        ["git", "grep", "--files-with-matches", "-E", "^#!.*python", "--", ":!*.*"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    programs = set(listed.stdout.split())
    assert programs
    assert programs == set(TOOLS["ruff"]["extend-include"])
    assert programs <= set(TOOLS["mypy"]["files"])
