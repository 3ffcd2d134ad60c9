"""The controller's side of `config_files`: it renders templates and asks what the machine lacks."""

import base64
import hashlib
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

ATTRIBUTES = ("owner", "group", "mode")
KEYS = {"path", "src", "content", "vars", "validate", "secret", *ATTRIBUTES}


class ActionModule(ActionBase):
    """See `ansible-doc -t module config_files`."""

    def run(self, tmp=None, task_vars=None):
        """Compare by checksums, then send what differs; the module does both."""
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {
                "files": {"type": "list", "elements": "raw", "default": []},
                "folders": {"type": "list", "elements": "raw", "default": []},
                "tree": {"type": "path"},
                "tree_path": {"type": "path"},
                "only": {"type": "list", "elements": "path", "default": []},
                "absent": {"type": "list", "elements": "path", "default": []},
                "owner": {"type": "str"},
                "group": {"type": "str"},
                "mode": {"type": "str", "default": "0644"},
                "validate": {"type": "str"},
            },
            required_together=[("tree", "tree_path")],
        )
        common = {name: given[name] for name in ATTRIBUTES}
        check = {"validate": given["validate"]}
        files = [common | check | self._entry(entry) for entry in given["files"]]
        contents = {file["path"]: self._content(file, task_vars) for file in files}
        if given["tree"]:
            tree = self._tree(Path(given["tree"]), given["tree_path"])
            files += [common | {"path": path} for path in tree]
            contents |= tree
        arguments = {
            "files": [
                {name: file[name] for name in file.keys() - {"src", "content", "vars"}}
                | {"checksum": hashlib.sha256(contents[file["path"]]).hexdigest()}
                for file in files
            ],
            "folders": [common | {"mode": "0755"} | self._entry(one) for one in given["folders"]],
            "only": given["only"],
            "absent": given["absent"],
        }
        result = self._ask(arguments, task_vars)
        lacks = {one["path"] for one in result.get("changes", []) if one.get("content")}
        if result.get("changed") and not self._task.check_mode:
            for file in arguments["files"]:
                if file["path"] in lacks:
                    file["content"] = base64.b64encode(contents[file["path"]]).decode()
            applied = self._ask(arguments | {"act": True}, task_vars)
            if applied.get("failed"):
                return applied
        secret = {file["path"] for file in files if file.get("secret")}
        changes = result.pop("changes", [])
        if self._task.diff:  # `diff: false` of a task counts, whatever the command line says
            shown = [change for change in changes if change["path"] not in secret]
            result["diff"] = [self._diff(change, contents) for change in shown]
        return result

    def _ask(self, arguments, task_vars):
        result = self._execute_module(
            module_name="config_files", module_args=arguments, task_vars=task_vars
        )
        result.pop("invocation", None)
        return result

    @staticmethod
    def _entry(entry):
        entry = {"path": entry} if isinstance(entry, str) else dict(entry)
        if unknown := entry.keys() - KEYS:
            raise AnsibleActionFail(f"config_files knows no {', '.join(sorted(unknown))}: {entry}")
        return entry

    @staticmethod
    def _tree(source, target):
        found = sorted(path for path in source.rglob("*") if path.is_file())
        return {str(target / path.relative_to(source)): path.read_bytes() for path in found}

    def _content(self, file, task_vars):
        if "content" in file:
            return file["content"].encode()
        path = file.get("src", file["path"].lstrip("/"))
        try:
            template = self._find_needle("templates", f"{path.removesuffix('.j2')}.j2")
        except AnsibleError:
            plain = self._loader.get_real_file(self._find_needle("files", path))
            try:
                return Path(plain).read_bytes()
            finally:
                self._loader.cleanup_tmp_file(plain)
        text = self._loader.get_text_file_contents(template)
        folders = [*task_vars.get("ansible_search_path", []), self._loader.get_basedir()]
        templar = self._templar.copy_with_new_env(
            searchpath=[path for one in folders for path in (f"{one}/templates", one)],
            available_variables={"ansible_managed": "Ansible managed"}
            | task_vars
            | file.get("vars", {}),
        )
        return str(templar.template(trust_as_template(text), escape_backslashes=False)).encode()

    @staticmethod
    def _diff(change, contents):
        after = change.get("after", contents.get(change["path"], b""))
        if isinstance(after, bytes):
            after = after.decode(errors="replace")
        header = change["path"]
        return {
            "before": change.get("before", ""),
            "after": after,
            "before_header": header,
            "after_header": header,
        }
