"""``fix-offload``, ``verify`` and ``play``: a playbook on the hosts of an inventory, told, journaled, and interruptible."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remediation.cli.options import FixOffload, Play, Verify
from remediation.cli.task import command

if TYPE_CHECKING:
    from remediation.cli.context import Field


@command(FixOffload, name="fix-offload")
def fix_offload(options: FixOffload) -> int:
    """Bring the model back onto the GPU by the least destructive step that works, and prove it."""
    from remediation.cli.runner import Asked, run  # noqa: PLC0415 - the whole engine is loaded when a run is asked for

    return run("fix-offload", Asked.of(options, playbook="fix-offload"), sys.stdout)


@command(Play)
def play(options: Play) -> int:
    """Run a playbook: a file of yours, or a shipped one by its name."""
    if options.list_hosts or options.list_tasks or options.list_tags or options.syntax_check:
        from remediation.cli.commands.listing import listing  # noqa: PLC0415 - loaded when asked for

        return listing(options, sys.stdout)
    from remediation.cli.runner import Asked, run  # noqa: PLC0415 - the whole engine is loaded when a run is asked for

    return run("play", Asked.of(options, playbook=options.playbook), sys.stdout)


@command(Verify)
def verify(options: Verify) -> int:
    """Go through the guide's checklist and say whether the model is served from the GPU; changes nothing but with --survives-restart."""
    from remediation.cli.options import seconds  # noqa: PLC0415 - loaded when asked for
    from remediation.cli.runner import Asked, run  # noqa: PLC0415 - the whole engine is loaded when a run is asked for

    after = seconds("--after", options.after)

    def watched(hosts: Field) -> int:
        from remediation.cli.commands.verify_watch import watch  # noqa: PLC0415 - loaded when asked for

        return watch(hosts, after, as_json=options.json)

    restart = ('{"survives_restart": true}',) if options.survives_restart else ()
    asked = Asked.of(options, playbook="verify", verbose=True, extra_vars=(*options.extra_vars, *restart))
    return run("verify", asked, sys.stdout, then=watched if after else None)
