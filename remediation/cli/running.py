"""``fix-offload``, ``verify`` and ``play``: a playbook on the hosts of an inventory, told, journaled, and interruptible."""

from __future__ import annotations

import sys

from remediation.cli.command import command
from remediation.cli.options import FixOffload, Play


@command(FixOffload, name="fix-offload")
def fix_offload(options: FixOffload) -> int:
    """Bring the model back onto the GPU by the least destructive step that works, and prove it."""
    from remediation.cli.run import Asked, run  # noqa: PLC0415 - the whole engine is loaded when a run is asked for

    return run("fix-offload", Asked.of(options, playbook="fix-offload"), sys.stdout)


@command(Play)
def play(options: Play) -> int:
    """Run a playbook: a file of yours, or a shipped one by its name."""
    from remediation.cli.run import Asked, run  # noqa: PLC0415 - the whole engine is loaded when a run is asked for

    return run("play", Asked.of(options, playbook=options.playbook), sys.stdout)
