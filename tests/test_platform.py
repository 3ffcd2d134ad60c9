"""The platform's variables and secrets: their documents, their refusals, and `make secrets`."""

import fcntl
import json
import os
import pty
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
ROLE = REPOSITORY / "roles/platform"
EXAMPLE = REPOSITORY / "inventories/example"
OLD = """\
# The vault of an older version.
jewelry_secret_key: kept-kept-kept-kept-kept-kept-kept-kept-kept-kept-kept
jewelry_database_password: "also kept, with: a colon"
vault_admin_password: change-me
jewelry_email_url: consolemail://
"""
PASSWORD = "of-the-vault"
PROGRAM = ROLE / "files/make_secrets.py"


def read(name):
    return yaml.safe_load((ROLE / name).read_text())


VARIABLES = read("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
SECRETS = read("vars/main.yml")["platform_secrets"]


def rows(prefix):
    """Return the rows of the README's table about names that begin so: name and second column."""
    text = (ROLE / "README.md").read_text()
    return dict(re.findall(rf"^\| `({prefix}_\w+)` \| (.+?) \|", text, re.MULTILINE))


def test_readme_has_every_variable_with_its_default():
    table = rows("jewelry")
    assert set(table) == set(VARIABLES)
    for name, option in VARIABLES.items():
        if option.get("required"):
            assert table[name] == "required"
        elif "default" in option:
            default = option["default"]
            shown = str(default).lower() if isinstance(default, bool) else str(default)
            assert table[name] == (f"`{shown}`" if shown else "empty"), name


def test_readme_and_example_have_every_secret():
    lengths = {name: int(text.split()[0]) for name, text in rows("vault").items()}
    assert lengths == SECRETS, "roles/platform/README.md"
    example = yaml.safe_load((EXAMPLE / "group_vars/all/vault.yml").read_text())
    missing = set(SECRETS) - set(example)
    assert set(example) == {*SECRETS, "vault_email_url"}, f"{EXAMPLE} lacks {missing} in its vault"


@pytest.mark.parametrize("inventory", ["inventories/lab", "molecule/operator/inventory"])
def test_a_lab_machine_gets_every_secret(run, tmp_path, inventory):
    """They are made, long enough, in the machine's folder."""
    given = json.dumps({"lab_machine": str(tmp_path), "names": list(SECRETS)})
    show = ("-m", "debug", "-a", "msg={{ query('vars', *names) }}", "-e", given)
    done = run("ansible", "-i", inventory, "machine", *show)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, least in SECRETS.items():
        made = tmp_path / "secrets" / name.removeprefix("vault_")
        assert len(made.read_text().strip()) >= least, name


def test_every_scenario_has_the_secrets_of_the_lab():
    made = REPOSITORY / "inventories/lab/vault.py"
    for inventory in REPOSITORY.glob("molecule/*/inventory"):
        assert (inventory / made.name).resolve() == made, f"ln -s {made} {inventory}"


def test_every_vault_holds_nothing_but_secrets_of_their_names():
    for path in REPOSITORY.glob("inventories/**/vault.yml"):
        assert all(name.startswith("vault_") for name in yaml.safe_load(path.read_text())), path


def test_no_file_has_a_variable_of_the_platform_that_is_not_described():
    """Not in roles and playbooks, where names of metrics are alike."""
    known = {*VARIABLES, "jewelry_"}
    for path in [
        *REPOSITORY.glob("inventories/**/*.yml"),
        *REPOSITORY.glob("molecule/**/main.yml"),
    ]:
        assert set(re.findall(r"\bjewelry_\w*", path.read_text())) <= known, path


def test_every_secret_comes_from_the_vault():
    wiring = yaml.safe_load((REPOSITORY / "playbooks/group_vars/all.yml").read_text())
    found = set(re.findall(r"\bvault_\w+", wiring["platform_environment"]))
    for path in (REPOSITORY / "roles").glob("*/meta/argument_specs.yml"):
        options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
        defaults = yaml.safe_load((path.parents[1] / "defaults/main.yml").read_text()) or {}
        for name, option in options.items():
            if option.get("no_log") and option["type"] == "str":
                read = re.findall(r"\bvault_\w+", str(defaults.get(name)))
                assert len(read) == 1, f"{name} has no default that reads the vault"
                found.update(read)
    assert set(SECRETS) - found == set(), "no role and no setting in platform_environment reads it"


@pytest.fixture
def inventory(tmp_path):
    """A copy of the example, as an operator makes it."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "production"))


@pytest.fixture
def vault(inventory):
    return inventory / "group_vars/all/vault.yml"


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a command with the vault's password in a file."""
    (tmp_path / "password").write_text(PASSWORD)
    environment = {**os.environ, "ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / "password")}

    def run_command(*command):
        return subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
        )

    return run_command


@pytest.fixture
def make_secrets(run, inventory):
    """Return a function that does what `make secrets` does; it succeeds."""

    def make():
        done = run(sys.executable, PROGRAM, inventory)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return make


@pytest.fixture
def view(run, vault):
    """Return a function that reads the encrypted vault."""

    def read_vault():
        assert vault.read_text().startswith("$ANSIBLE_VAULT;")
        done = run("ansible-vault", "view", vault)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return read_vault


def test_make_runs_the_program(run, inventory):
    """With -n make only prints: run for real it would install the tools first."""
    done = run("make", "-n", "secrets", f"INVENTORY={inventory}")
    assert f'{PROGRAM.relative_to(REPOSITORY)} "$INVENTORY"' in done.stdout


def test_secrets_are_made_and_encrypted(vault, make_secrets, view):
    said = make_secrets()
    text = view()
    made = yaml.safe_load(text)
    assert set(made) == {*SECRETS, "vault_email_url"}
    assert len({made[name] for name in SECRETS}) == len(SECRETS)
    for name, length in SECRETS.items():
        assert re.fullmatch(rf"[A-Za-z0-9]{{{length},}}", made[name])
        assert name in said
        assert made[name] not in said
    assert "# How receipts are sent" in text
    assert stat.S_IMODE(vault.stat().st_mode) == 0o600


def test_a_missing_vault_is_made(vault, make_secrets, view):
    vault.unlink()
    make_secrets()
    assert set(yaml.safe_load(view())) >= set(SECRETS)
    assert [path.name for path in vault.parent.iterdir() if "vault" in path.name] == ["vault.yml"]


def test_what_is_there_stays(vault, make_secrets):
    make_secrets()
    before = vault.read_bytes()
    assert "nothing was missing" in make_secrets()
    assert vault.read_bytes() == before


def test_what_is_missing_is_added_and_old_names_are_renamed(run, vault, make_secrets, view):
    vault.write_text(OLD)
    encrypted = run("ansible-vault", "encrypt", vault)
    assert encrypted.returncode == 0, encrypted.stderr

    said = make_secrets()

    text, made = view(), yaml.safe_load(view())
    assert set(made) == {*SECRETS, "vault_email_url"}
    assert made["vault_secret_key"] == yaml.safe_load(OLD)["jewelry_secret_key"]
    assert made["vault_database_password"] == "also kept, with: a colon"
    assert made["vault_email_url"] == "consolemail://"
    assert len(made["vault_admin_password"]) >= SECRETS["vault_admin_password"]
    assert text.startswith("# The vault of an older version.")
    assert "renamed jewelry_secret_key to vault_secret_key" in said
    assert "kept" not in said


def test_wrong_password_changes_nothing(tmp_path, run, inventory, vault, make_secrets):
    make_secrets()
    before = vault.read_bytes()
    (tmp_path / "password").write_text("another")
    done = run(sys.executable, PROGRAM, inventory)
    assert done.returncode != 0
    assert "vault.yml is unchanged" in done.stderr
    assert vault.read_bytes() == before


def test_vault_that_cannot_be_read_is_not_shown(run, inventory, vault):
    vault.write_text("vault_secret_key: 's3cr3t\nvault_admin_password: x\n")
    done = run(sys.executable, PROGRAM, inventory)
    assert done.returncode != 0
    assert "vault.yml is no YAML: line" in done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr


def test_password_is_asked_for(inventory, vault, view):
    """As ansible-vault asks: twice for a new one, on the terminal."""
    script = [sys.executable, str(PROGRAM), str(inventory)]
    child, terminal = pty.fork()
    if child == 0:
        os.environ.pop("ANSIBLE_VAULT_PASSWORD_FILE", None)
        os.execv(sys.executable, script)  # noqa: S606
    said = b""
    for question in (b"New Vault password: ", b"Confirm New Vault password: "):
        while not said.endswith(question):
            said += os.read(terminal, 1000)
        os.write(terminal, PASSWORD.encode() + b"\n")
        said = b""
    while True:
        try:
            said += os.read(terminal, 1000)
        except OSError:
            break
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said
    assert set(yaml.safe_load(view())) >= set(SECRETS)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("inventories/nowhere", "cp -r inventories/example inventories/nowhere"),
        ("inventories/example", "is the example. Copy it first"),
        ("", "make secrets INVENTORY=inventories/production"),
    ],
)
def test_inventory_that_is_invalid(run, where, words):
    done = run(sys.executable, PROGRAM, where)
    assert done.returncode != 0
    assert words in done.stderr


@pytest.mark.parametrize("name", ["all.yml", "all.yaml", "all"])
def test_variables_in_a_file_are_not_hidden_by_a_vault(run, inventory, name):
    """Ansible ignores group_vars/all.yml beside a folder group_vars/all."""
    shutil.rmtree(inventory / "group_vars/all")
    (inventory / "group_vars" / name).write_text("jewelry_domain: shop.example.org\n")
    done = run(sys.executable, PROGRAM, inventory)
    assert done.returncode != 0
    assert "group_vars/all/main.yml: the vault is beside it" in done.stderr
    assert [path.name for path in (inventory / "group_vars").iterdir()] == [name]


def test_second_run_at_the_same_time_is_refused(run, inventory, vault):
    before = vault.read_bytes()
    handle = os.open(inventory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        done = run(sys.executable, PROGRAM, inventory)
    finally:
        os.close(handle)
    assert done.returncode != 0
    assert "Another run makes secrets" in done.stderr
    assert vault.read_bytes() == before


def test_real_value_under_the_old_name_replaces_a_placeholder(vault, make_secrets, view):
    vault.write_text(
        "jewelry_secret_key: kept\nvault_secret_key: >-\n  change-me\n  and this\n"
        "vault_demo_password: |\n  change-me\nvault_email_url: consolemail://\n"
    )
    make_secrets()
    made = yaml.safe_load(view())
    assert set(made) == {*SECRETS, "vault_email_url"}
    assert made["vault_secret_key"] == "kept"
    assert re.fullmatch(r"[A-Za-z0-9]+", made["vault_demo_password"])


def test_two_real_values_are_for_somebody_to_choose(run, inventory, vault):
    vault.write_text("jewelry_secret_key: one\nvault_secret_key: two\n")
    before = vault.read_bytes()
    done = run(sys.executable, PROGRAM, inventory)
    assert done.returncode != 0
    assert "both jewelry_secret_key and vault_secret_key" in done.stdout + done.stderr
    assert vault.read_bytes() == before


def test_vault_elsewhere_stays_there(tmp_path, vault, make_secrets, view):
    elsewhere = vault.rename(tmp_path / "shared.yml")
    vault.symlink_to(elsewhere)
    make_secrets()
    assert vault.is_symlink()
    assert set(yaml.safe_load(view())) >= set(SECRETS)


def test_vault_with_old_names_is_refused_with_the_new_ones(run, inventory, vault):
    vault.write_text(OLD)
    done = run(
        *("ansible-playbook", "-i", inventory, "playbooks/site.yml", "--tags", "preflight"),
        *("--check", "-e", "ansible_connection=local"),
        *("-e", f"ansible_python_interpreter={sys.executable}"),
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    for name in ("secret_key", "database_password", "email_url"):
        assert f"`jewelry_{name}` to `vault_{name}`" in said
    assert "make secrets INVENTORY=" in said
    assert "kept" not in said
