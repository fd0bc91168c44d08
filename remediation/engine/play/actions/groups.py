"""``add_host`` and ``group_by``: hosts and groups that a run adds to its inventory; the files stay as they are."""

from __future__ import annotations

from remediation.engine.play.context.task_context import TaskContext
from remediation.inventory.ranges import without_port
from remediation.model.errors import UsageError
from remediation.model.outcome import Outcome
from remediation.modules.result import ActionResult
from remediation.playbook.actions import AddHost, GroupBy
from remediation.playbook.keywords import is_variable
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import Table


def add_host(given: AddHost, site: TaskContext, scope: Scope) -> ActionResult:
    """Add a host with its groups and variables. Later plays select it; the current one does not."""
    values = dict(given.model_extra or {})
    wrong = next((name for name in values if not is_variable(name)), None)
    if wrong is not None:
        raise UsageError(f"add_host: {wrong!r} is not a valid variable name", place=site.place)
    name, port = without_port(given.name)
    if port is not None:
        values["ansible_ssh_port"] = port
    groups = list(dict.fromkeys(given.groups))
    changed = site.play.stage.grow(lambda inventory: inventory.with_host(name, groups, Table(values)))
    return _grown({"add_host": {"host_name": name, "groups": groups, "host_vars": values}}, changed=changed)


def group_by(given: GroupBy, site: TaskContext, scope: Scope) -> ActionResult:
    """Add the host to a group, which is created if there is none."""
    group = given.key.replace(" ", "-")
    parents = [name.replace(" ", "-") for name in given.parents]
    host = site.host.name
    changed = site.play.stage.grow(lambda inventory: inventory.with_group(host, group, tuple(parents)))
    return _grown({"add_group": group, "parent_groups": parents}, changed=changed)


def _grown(values: dict[str, object], *, changed: bool) -> ActionResult:
    """Return the result: the inventory of the run is changed in check mode too, and no host is."""
    return ActionResult(Outcome.CHANGED if changed else Outcome.OK, values)
