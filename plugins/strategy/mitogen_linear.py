"""Ansible's `linear` strategy, carried out through mitogen where that is installed.

Mitogen keeps one Python process on each machine instead of sending and compiling a program for
every task: a run takes about half as long. ansible-core will one day drop such plugins; without
mitogen, or with `ANSIBLE_STRATEGY=linear`, everything works as well, only slower.

It also refuses --start-at-task, which would leave out what later tasks rely on: the preflight, what
is known of the machines, results of earlier tasks.
"""

from ansible import context
from ansible.errors import AnsibleOptionsError
from ansible.plugins.strategy import linear

try:
    from ansible_mitogen.strategy import StrategyMixin
except ImportError:

    class StrategyMixin:  # type: ignore[no-redef]
        """Nothing: without mitogen the strategy is `linear`."""


class StrategyModule(StrategyMixin, linear.StrategyModule):
    """The strategy of this repository's playbooks."""

    def run(self, *arguments):
        """Run a play, if it is run from its beginning."""
        if context.CLIARGS.get("start_at_task"):
            raise AnsibleOptionsError(
                "These playbooks cannot begin with --start-at-task: later tasks rely on earlier"
                " ones. Run the whole, which changes only what is left to change, or of site.yml"
                " a part with --tags NAME (every role has a tag of its name)."
            )
        return super().run(*arguments)
