"""Ansible's module `config_files` writes a role's files, in one step and only if they are valid."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def role(tmp_path):
    """A role's folder with a template, a file, and a template with delimiters of its own."""
    sources = {
        "templates/{}/etc/shop/shop.conf.j2": "name = {{ shop }}\n",
        "templates/{}/etc/shop/mail.tmpl.j2": (
            "#jinja2: variable_start_string:'[[', variable_end_string:']]'\n"
            "{{ .Name }} of [[ shop ]]\n"
        ),
        "files/{}/etc/shop.service": "[Service]\n",
    }
    role = tmp_path / "roles/shop"
    for path, text in sources.items():
        source = role / path.format(str(tmp_path / "machine").lstrip("/"))
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text)
    return role


@pytest.fixture
def config_files(tmp_path, role):
    """Return a function that runs the module with arguments; it gives the result of the task."""

    def run(*options, shop="Aurum", **arguments):
        (role / "tasks").mkdir(exist_ok=True)
        task = {"name": "Configure", "config_files": arguments}
        (role / "tasks/main.yml").write_text(yaml.safe_dump([task]))
        play = {"hosts": "localhost", "gather_facts": False, "connection": "local"}
        play |= {"roles": ["shop"], "vars": {"shop": shop}}
        (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,",
             "-e", f"ansible_python_interpreter={sys.executable}", *options, tmp_path / "play.yml"],
            cwd=REPOSITORY,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
                "ANSIBLE_STRATEGY": "linear",
                "ANSIBLE_ROLES_PATH": str(tmp_path / "roles"),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout.startswith("{"), done.stdout + done.stderr
        (task,) = json.loads(done.stdout)["plays"][0]["tasks"]
        return task["hosts"]["localhost"]

    return run


def test_templates_and_files_are_found_by_their_paths(tmp_path, config_files):
    etc = tmp_path / "machine/etc"
    files = [f"{etc}/shop/shop.conf", f"{etc}/shop/mail.tmpl", f"{etc}/shop.service"]
    files += [{"path": f"{etc}/note", "content": "written here\n", "mode": "0600"}]

    os.umask(0o077)
    try:
        first, second = config_files(files=files), config_files(files=files)
    finally:
        os.umask(0o022)

    assert (first["changed"], second["changed"]) == (True, False)
    texts = [Path(path).read_text() for path in files[:3]]
    assert texts == ["name = Aurum\n", "{{ .Name }} of Aurum\n", "[Service]\n"]
    modes = [path.stat().st_mode & 0o777 for path in (etc / "shop", etc / "shop/shop.conf")]
    assert modes == [0o755, 0o644]
    assert (etc / "note").read_text() == "written here\n"
    assert (etc / "note").stat().st_mode & 0o777 == 0o600
    assert not list(etc.rglob(".*"))


def test_check_mode_shows_what_would_change_and_no_secret(tmp_path, config_files):
    etc = tmp_path / "machine/etc"
    password = {"path": f"{etc}/password", "content": "Zq84", "secret": True}
    files = [f"{etc}/shop/shop.conf", password]
    config_files(files=[files[0]])

    predicted = config_files("--check", "--diff", files=files, shop="Luna")

    assert predicted["changed"]
    (diff,) = predicted["diff"]
    assert (diff["before"], diff["after"]) == ("name = Aurum\n", "name = Luna\n")
    assert "Zq84" not in json.dumps(predicted)
    assert not (etc / "password").exists()
    assert (etc / "shop/shop.conf").read_text() == "name = Aurum\n"


def test_a_file_that_is_refused_leaves_the_old_one(tmp_path, config_files):
    path = f"{tmp_path}/machine/etc/shop/shop.conf"
    file = {"path": path, "validate": "grep Aurum %s"}
    config_files(files=[file])

    refused = config_files(files=[file | {"validate": "sh -c 'echo wrong name; exit 1' %s"}],
                           shop="Luna")  # fmt: skip

    assert refused["failed"]
    assert f"{path} stays as it is, for the new one is refused: wrong name" in refused["msg"]
    assert [one.name for one in Path(path).parent.iterdir()] == ["shop.conf"]
    assert Path(path).read_text() == "name = Aurum\n"


def test_a_file_that_is_refused_takes_those_before_it_back(tmp_path, config_files):
    etc = tmp_path / "machine/etc/shop"
    paths = [etc / name for name in ("shop.conf", "mail.tmpl", "link", "note")]
    shop, mail, link, note = ({"path": str(path)} for path in paths)
    link["content"] = note["content"] = "written here\n"
    config_files(files=[shop, mail])
    (etc / "link").symlink_to("nowhere")
    # Its check sees that the files before it are there.
    last = {
        "path": f"{etc}/last",
        "content": "",
        "validate": f"sh -c '! grep Luna {etc}/shop.conf'",
    }
    before = {path: path.lstat() for path in etc.iterdir()}

    refused = config_files(
        files=[shop | {"mode": "0600"}, mail | {"mode": "0600"}, link, note, last], shop="Luna"
    )

    assert "name = Luna" in refused["msg"]
    assert {path: path.lstat()[:6] for path in etc.iterdir()} == {
        path: status[:6] for path, status in before.items()
    }
    assert (etc / "shop.conf").read_text() == "name = Aurum\n"


def test_a_full_disk_names_the_file_and_leaves_the_old_ones(tmp_path, config_files, monkeypatch):
    """A limit on the size of files stands for the disk: its error names no file either."""
    monkeypatch.setenv("ANSIBLE_PIPELINING", "true")  # or the module itself would be too large
    etc = tmp_path / "machine/etc"
    files = [f"{etc}/shop/shop.conf", {"path": f"{etc}/large", "content": "{{ 'x' * 2097152 }}"}]
    config_files(files=files[:1])

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        failed = config_files(files=files, shop="Luna")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert f"File too large: '{etc}/large'" in failed["msg"]
    assert [path.name for path in etc.rglob("*")] == ["shop", "shop.conf"]
    assert (etc / "shop/shop.conf").read_text() == "name = Aurum\n"


def test_what_was_changed_by_hand_is_put_right(tmp_path, config_files):
    etc = tmp_path / "machine/etc/shop"
    files = [f"{etc}/shop.conf", {"path": f"{etc}/mail.tmpl", "mode": "0640"}]
    config_files(files=files)
    (etc / "shop.conf").unlink()
    (etc / "shop.conf").symlink_to("/dev/null")
    (etc / "mail.tmpl").chmod(0o666)
    (etc / "old/deep").mkdir(parents=True)
    (etc / "old/deep/file").touch()

    done = config_files(files=files, only=[str(etc)])

    assert done["changed"]
    assert (etc / "shop.conf").read_text() == "name = Aurum\n"
    assert (etc / "mail.tmpl").stat().st_mode & 0o777 == 0o640
    assert {path.name for path in etc.iterdir()} == {"shop.conf", "mail.tmpl"}


def test_a_tree_is_copied_and_nothing_else_is_left(tmp_path, config_files):
    (tmp_path / "built/deep").mkdir(parents=True)
    (tmp_path / "built/deep/page.html").write_bytes(b"\xff")
    (tmp_path / "machine/pages/gone").mkdir(parents=True)
    pages = str(tmp_path / "machine/pages")
    arguments = {"tree": f"{tmp_path}/built", "tree_path": pages, "only": [pages]}

    first, second = config_files(**arguments), config_files(**arguments)

    assert (first["changed"], second["changed"]) == (True, False)
    assert [path.name for path in Path(pages).rglob("*")] == ["deep", "page.html"]


def test_unknown_words_are_refused(tmp_path, config_files):
    refused = config_files(files=[{"path": f"{tmp_path}/x", "content": "", "mod": "0600"}])
    assert refused["failed"]
    assert "knows no mod" in refused["msg"]


def entries(value):
    """Yield the files that a task or a variable of a role names for `config_files`."""
    if isinstance(value, dict):
        if "path" in value and not {"content", "files"} & value.keys():
            yield value
        for key, inner in value.items():
            if isinstance(inner, list) and (key == "files" or key.endswith("_files")):
                yield from ({"path": one} for one in inner if str(one).startswith("/"))
            if key not in ("folders", "loop"):
                yield from entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from entries(inner)


def test_every_file_that_a_role_writes_has_a_source():
    found = 0
    for role in (REPOSITORY / "roles").iterdir():
        for path in [*role.glob("tasks/*.yml"), *role.glob("vars/*.yml")]:
            for entry in entries(yaml.safe_load(path.read_text())):
                source = entry.get("src", entry["path"].lstrip("/"))
                if "{{" in source or entry.get("state") or "get_checksum" in entry:
                    continue
                below = [role, REPOSITORY / "roles/_exporter"]
                sources = [f"templates/{source}.j2", f"files/{source}"]
                assert any((at / one).exists() for at in below for one in sources), (path, entry)
                found += 1
    assert found > 40
