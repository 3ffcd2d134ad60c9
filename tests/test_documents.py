"""What documents name is there: files, links, headings, `make` verbs, the version."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
IGNORED = {".venv", "build", "node_modules", ".pytest_cache"}
DOCUMENTS = [
    path
    for path in sorted(REPOSITORY.rglob("*.md"))
    if not IGNORED.intersection(path.relative_to(REPOSITORY).parts)
]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
VERSION = tomllib.loads((REPOSITORY / "app/pyproject.toml").read_text())["project"]["version"]
# A path from the root of the checkout; NAME, ROLE, TOPIC, APP and * stand for any part of one.
TOP = "app|benchmarks|docs|inventories|lab|molecule|playbooks|plugins|roles|tests"
PATH = re.compile(rf"(?<![\w./~-])(?:{TOP})/[\w.*/-]*[\w*/]")
MADE = ("inventories/production", "build/")  # by who follows the documents
FORMER = {"CHANGELOG.md"}


def anchors(path):
    """Return the anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def by_name(path):
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_links_lead_somewhere(path):
    for target, anchor in re.findall(r"\]\(([^()#\s]*)(?:#([^()\s]+))?\)", path.read_text()):
        if "://" in target:
            continue
        there = path.parent / target if target else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), f"{target}#{anchor}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_files_that_are_named_are_there(path):
    if path.name in FORMER:
        return
    for name in PATH.findall(path.read_text()):
        if name.startswith(MADE):
            continue
        pattern = re.sub(r"(?<![A-Z])(?:NAME|ROLE|TOPIC|APP|SCENARIO|X)(?![A-Z])", "*", name)
        assert next(REPOSITORY.glob(pattern), None), name


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_make_has_the_verbs_that_are_named(path):
    targets = set(re.findall(r"^([\w./-]+):", MAKEFILE, re.MULTILINE))
    named = re.findall(
        r"(?:`|^    )(?:sudo |[A-Z_]+=\S+ )*make ([a-z.][\w./-]*)", path.read_text(), re.M
    )
    assert set(named) <= targets


def test_the_version_stands_once_and_the_changelog_follows():
    versions = re.findall(r"^## \[(.+?)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert versions[1:2] in ([], [VERSION])
    tools = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert tools == "0"


def settings_of_the_application():
    """Return the environment variables that the application reads, each with its default."""
    calls = [
        node
        for path in sorted((REPOSITORY / "app/config").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("env.")
    ]
    found = {}
    for call in calls:
        name, *_ = call.args
        if isinstance(name, ast.Constant) and str(name.value).isupper():
            default = [word.value for word in call.keywords if word.arg == "default"]
            found[name.value] = default[0] if default else None
    return found


def test_operations_has_every_setting_of_the_application_with_its_default():
    text = (REPOSITORY / "docs/operations.md").read_text()
    section = text.split("\n## The application's settings\n")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", section, re.MULTILINE))
    wiring = yaml.safe_load((REPOSITORY / "playbooks/group_vars/all.yml").read_text())
    of_platform = re.findall(r"'([A-Z_]+)':", wiring["platform_environment"])
    read = settings_of_the_application()
    wanted = set(read) - {*of_platform, "STATIC_ROOT"}  # of the release
    lacks = f"docs/operations.md lacks {wanted - set(rows)}, or has too many: {set(rows) - wanted}"
    assert set(rows) == wanted, lacks
    for name in rows:
        if isinstance(read[name], ast.Constant):
            assert rows[name].strip("`").lower() == str(read[name].value).lower(), name


def test_hooks_before_a_commit_are_parts_of_what_needs_no_machine():
    recipes = [
        MAKEFILE.split(f"\n{verb}:")[1].split("\n\n")[0] for verb in ("lint", "test-repository")
    ]
    recipes = "\n".join(recipes)
    configuration = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    installed, hooks = configuration["default_install_hook_types"], configuration["repos"]
    assert [one["repo"] for one in hooks] == ["local"]  # nothing is fetched
    for hook in hooks[0]["hooks"]:
        assert set(hook.get("stages", [])) <= set(installed), hook["id"]
        tools = re.findall(r"\.venv/bin/([\w-]+)", hook["entry"])
        assert tools and all(re.search(rf"[\t ]{tool} ", recipes) for tool in tools), hook["id"]


def test_editors_indent_every_program_as_it_is():
    """Files with a suffix follow it; these have none."""
    text = (REPOSITORY / ".editorconfig").read_text()
    by_four = re.search(r"^\[\{(jewelry-.+)\}\]\nindent_size = 4$", text, re.MULTILINE)[1].split(
        ","
    )
    folders = ("app", "lab", "molecule/**", "roles/**")
    for path in {one for folder in folders for one in REPOSITORY.glob(f"{folder}/*")}:
        if path.suffix or not path.is_file() or not path.read_bytes().startswith(b"#!"):
            continue
        first = re.search(r"^ +(?=\S)", path.read_text(), re.MULTILINE)
        if first:
            assert len(first[0]) == (4 if path.name in by_four else 2), path


def test_the_public_workflow_runs_what_the_project_runs():
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/test.yml").read_text())
    assert {"run": ".ci/run"} in workflow["jobs"]["test"]["steps"]
