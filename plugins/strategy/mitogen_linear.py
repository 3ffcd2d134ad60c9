"""Ansible's `linear` strategy, carried out through mitogen where that is installed.

Mitogen keeps one Python process on each machine instead of sending and compiling a program for
every task: a run takes about half as long. ansible-core will one day drop such plugins; without
mitogen, or with `ANSIBLE_STRATEGY=linear`, everything works as well, only slower.
"""

from ansible.plugins.strategy import linear

try:
    from ansible_mitogen.strategy import StrategyMixin
except ImportError:
    StrategyModule = linear.StrategyModule
else:

    class StrategyModule(StrategyMixin, linear.StrategyModule):
        """`linear`, with mitogen's connections and module runner."""
