"""``fix-offload``, ``verify`` and ``play``: run a playbook on the hosts of an inventory, with reports and a journal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remediation.cli.options import FixOffload, PlayOptions, Verify
from remediation.cli.task import command_task
from remediation.model.errors import UsageError

if TYPE_CHECKING:
    from remediation.cli.context import Session


@command_task(
    FixOffload,
    name="fix-offload",
    examples=(
        "remediate fix-offload --check --diff                # what would be done; changes nothing",
        "remediate fix-offload --inventory fleet.yml --max-risk disruptive --report run.html",
    ),
)
def fix_offload(options: FixOffload) -> int:
    """Bring the model back onto the GPU with the least destructive step that works, and prove it."""
    from remediation.cli.runner import RunOptions, run_playbook_task

    return run_playbook_task("fix-offload", RunOptions.of(options, playbook="fix-offload"), sys.stdout)


@command_task(
    PlayOptions,
    examples=(
        "remediate play playbooks/site.yml --inventory fleet.yml --check",
        "remediate play free-vram --limit dev-13 --max-risk disruptive",
    ),
)
def play(options: PlayOptions) -> int:
    """Run a playbook: a file, or a shipped one by its name."""
    if options.list_hosts or options.list_tasks or options.list_tags or options.syntax_check:
        from remediation.cli.commands.listing import list_selection

        return list_selection(options, sys.stdout)
    from remediation.cli.runner import RunOptions, run_playbook_task

    return run_playbook_task("play", RunOptions.of(options, playbook=options.playbook), sys.stdout)


@command_task(
    Verify,
    examples=(
        "remediate verify --inventory fleet.yml",
        "remediate verify --after 10m                        # keep watching, and name what regressed",
    ),
)
def verify(options: Verify) -> int:
    """Check the guide's list and report whether the model is served from the GPU; changes nothing except with --survives-restart."""
    from remediation.cli.options import seconds
    from remediation.cli.runner import RunOptions, run_playbook_task

    after = seconds("--after", options.after)
    if after and options.executor is not None:
        raise UsageError("--after watches from this machine and cannot be combined with --executor", next_step="leave out one")

    def watched(hosts: Session) -> int:
        from remediation.cli.commands.verify_watch import watch_goal

        return watch_goal(hosts, after, as_json=options.json)

    restart = ('{"survives_restart": true}',) if options.survives_restart else ()
    run_options = RunOptions.of(options, playbook="verify", verbose=True, extra_vars=(*options.extra_vars, *restart))
    return run_playbook_task("verify", run_options, sys.stdout, then=watched if after else None)
