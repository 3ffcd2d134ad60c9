"""Every runbook has one form, and its table says what to do."""

import re
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[1] / "docs/runbooks"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.stem != "README")
DASHBOARDS = FOLDER.parents[1].glob("roles/dashboards/files/dashboards/*.yml")
TILES = {
    one["title"]: {tile["title"] for tile in one["tiles"]}
    for one in (yaml.safe_load(path.read_text()) for path in DASHBOARDS)
}
SECTIONS = ["What it means", "Confirm", "If you see", "Fixed when", "Also check"]

pytestmark = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def sections(path):
    """Return the sections of a page by title."""
    parts = re.split(r"^## (.+)\n", path.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_form(path):
    found = sections(path)
    assert list(found) == SECTIONS
    for title, text in found.items():
        assert text.strip(), f"{title} is empty"
    assert re.search(r"^    \S", found["Confirm"], re.MULTILINE)


def test_table_names_what_one_sees_and_what_to_do(path):
    lines = sections(path)["If you see"].strip().splitlines()
    assert lines[:2] == ["| If you see | Do |", "|---|---|"]
    for line in lines[2:]:
        if not line.startswith("|"):
            break
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        assert len(cells) == 2 and all(cell.strip() for cell in cells), line


def test_tiles_that_are_named_are_on_their_dashboards(path):
    for tile, dashboard in re.findall(
        r"[Tt]ile (.+?) on the dashboard (\w+(?: levels)?)", path.read_text()
    ):
        assert tile in TILES[dashboard], (tile, dashboard)


def test_links_lead_to_runbooks(path):
    """The pages are served without the rest of the documents."""
    targets = re.findall(r"\]\(([^)]+)\)", path.read_text())
    assert all(re.fullmatch(r"\w+\.md", target) for target in targets), targets
