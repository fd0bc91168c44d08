"""Whether hosts of a run read what other hosts did: their states must then travel between the workers."""

from __future__ import annotations

from remediation.engine.play.context.run_request import RunRequest
from remediation.engine.play.waves.together import OTHERS, mentions, texts_in_task
from remediation.playbook.model import Play, tasks_of
from remediation.templating.yaml.located import texts_in


def reads_others(request: RunRequest) -> bool:
    """Return whether a task, a play or a variable of the inventory reads other hosts, or a failure on one concerns others."""
    if any(_play_reads(play) for play in request.playbook.plays):
        return True
    layers = {id(layer): layer for name in request.inventory.select("all") for layer in request.inventory.layers(name)}
    return any(mentions(text, OTHERS) for layer in layers.values() for text in texts_in(layer))


def _play_reads(play: Play) -> bool:
    if play.max_fail_percentage is not None:
        return True
    tables = [play.vars, *(table for role in play.roles for table in (role.defaults, role.vars, role.given, role.params))]
    if any(mentions(text, OTHERS) for table in tables for text in texts_in(table)):
        return True
    tasks = [task for nodes in (*play.sections, play.handlers) for task in tasks_of(nodes)]
    return any(
        task.settings.any_errors_fatal is not None or any(mentions(text, OTHERS) for text in texts_in_task(task))
        for task in tasks
    )
