"""A release is named after what is packaged, and the same source gives the same bytes."""

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
path = REPOSITORY / "roles/release/files/build_release.py"
spec = importlib.util.spec_from_file_location("build_release", path)
build_release = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_release)


def git(folder, *words):
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def copied(folder):
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache")
    shutil.copytree(REPOSITORY / "app", folder / "app", ignore=ignored)
    return folder / "app"


@pytest.fixture
def checkout(tmp_path):
    """A repository with the application, committed."""
    app = copied(tmp_path / "repository")
    git(app.parent, "init", "--quiet")
    git(app.parent, "add", ".")
    git(app.parent, "commit", "--quiet", "--message=first")
    return app


def test_id_is_version_and_commit(checkout):
    source = build_release.Source(checkout)
    assert source.release_id.endswith(f"-{source.commit[:12]}")
    assert source.description()["dirty"] is False


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store", "apps/core/.views.py.swp", "apps/core/views.py~", "apps/core/#views.py#",
        "apps/core/.#views.py", ".mypy_cache/3.13/x.json", ".venv/lib/x.py", ".idea/x.xml",
        "db.sqlite3", ".coverage", "tests/test_more.py", "apps/core/templates/.home.html.swp",
        "apps/core/__pycache__/views.cpython-311.pyc", "apps/.ipynb_checkpoints/x.py", "README.md",
    ],
)  # fmt: skip
def test_what_is_not_packaged_does_not_matter(checkout, name):
    before = build_release.Source(checkout).release_id
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text("anything")
    assert build_release.Source(checkout).release_id == before


def test_commit_elsewhere_does_not_matter(checkout):
    before = build_release.Source(checkout).release_id
    (checkout.parent / "README.md").write_text("More words.")
    git(checkout.parent, "add", ".")
    git(checkout.parent, "commit", "--quiet", "--message=words")
    assert build_release.Source(checkout).release_id == before


@pytest.mark.parametrize(
    "name", ["apps/core/views.py", "apps/new.py", "apps/core/templates/new.html", "manage.py"]
)
def test_what_is_packaged_makes_another_release(checkout, name):
    before = build_release.Source(checkout).release_id
    with (checkout / name).open("a") as file:
        file.write("\n")
    changed = build_release.Source(checkout)
    assert changed.release_id.startswith(f"{before}-")
    assert changed.description()["dirty"] is True
    (checkout / name).unlink()
    assert (build_release.Source(checkout).release_id == before) is ("new" in name)


def test_without_history_the_contents_name_it(tmp_path):
    one, other = copied(tmp_path / "one"), copied(tmp_path / "other")
    assert build_release.Source(one).release_id == build_release.Source(other).release_id
    assert build_release.Source(one).commit is None


def test_everything_that_the_wheel_needs_is_packaged(checkout):
    files = build_release.Source(checkout).files
    modules = {path.relative_to(checkout).as_posix() for path in checkout.glob("apps/**/*.py")}
    assert modules <= set(files)
    assert "apps/core/templates/home.html" in files


def test_two_checkouts_give_the_same_bytes(checkout, tmp_path, monkeypatch):
    """Whatever the session of the one who builds is like."""
    git(tmp_path, "clone", "--quiet", checkout.parent, tmp_path / "clone")
    os.utime(tmp_path / "clone/app/manage.py", (1e9, 1e9))
    archives = []
    for app, umask in ((checkout, 0o022), (tmp_path / "clone/app", 0o077)):
        work = tmp_path / f"work-{umask}"
        before = os.umask(umask)
        try:
            source = build_release.Source(app)
            build_release.application(source, work / "source", work / "content")
            build_release.pack(work / "content", work / "release.tar", source.seconds)
        finally:
            os.umask(before)
        archives.append((work / "release.tar").read_bytes())
        monkeypatch.setenv("TZ", "Asia/Kathmandu")
        monkeypatch.setenv("PYTHONOPTIMIZE", "2")
        monkeypatch.setenv("DJANGO_DEBUG", "nonsense")
        monkeypatch.setenv("PIP_TARGET", "/nowhere")
    assert archives[0] == archives[1]
    about = json.loads((tmp_path / "work-18/content/RELEASE.json").read_text())
    assert about["commit"] and about["built"] and about["dirty"] is False
