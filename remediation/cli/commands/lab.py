"""``lab.start``, ``lab.stop``, ``lab.fault``, ``lab.reset``, ``lab.status``: a Windows GPU fleet simulated on loopback."""

from __future__ import annotations

import sys

from remediation.cli.options import LabFault, LabMachines, LabStart, Nothing
from remediation.cli.task import command_task


@command_task(LabStart, name="start", changes=True)
def start(options: LabStart) -> int:
    """Start the lab, or find it running; its machines are as they were left."""
    from remediation.lab import control  # noqa: PLC0415 - loaded when asked for

    lab = control.start(hosts=options.hosts)
    verb = "started" if lab.started else "runs already"
    _say(f"the lab {verb}: {len(lab.hosts)} Windows host{'' if len(lab.hosts) == 1 else 's'}, reached as {lab.user} over WinRM")
    for host in lab.hosts:
        _say(f"  {host.name}  {host.endpoint}")
    return 0


@command_task(Nothing, name="stop", changes=True)
def stop(options: Nothing) -> int:  # noqa: ARG001 - every task takes its options
    """Stop the lab; what its machines have become is kept."""
    from remediation.lab import control  # noqa: PLC0415 - loaded when asked for

    _say("the lab was stopped; its machines stay as they are" if control.stop() else "no lab runs")
    return 0


@command_task(LabFault, name="fault", changes=True)
def fault(options: LabFault) -> int:
    """Make a machine of the lab new, with a fault in it."""
    from remediation.lab import control  # noqa: PLC0415 - loaded when asked for
    from remediation.model.errors import UsageError  # noqa: PLC0415 - loaded when asked for

    if control.find() is None:
        raise UsageError("the lab does not run", next_step="start it: remediate lab.start")
    control.fault(options.host, options.fault)
    _say(f"{options.host} is new, with the fault {options.fault}")
    return 0


@command_task(Nothing, name="reset", changes=True)
def reset(options: Nothing) -> int:  # noqa: ARG001 - every task takes its options
    """Make all machines of the lab new, with the fault they had at first."""
    from remediation.lab import control  # noqa: PLC0415 - loaded when asked for

    control.reset()
    _say("all machines of the lab are new, broken as they were at first")
    return 0


@command_task(LabMachines, name="status")
def status(options: LabMachines) -> int:
    """Show the lab's machines: the fault put in, what was written to each, what its WinRM server counted."""
    from remediation.lab import control  # noqa: PLC0415 - loaded when asked for
    from remediation.report.json_lines import document  # noqa: PLC0415 - loaded when asked for

    machines = control.status()
    if options.json:
        sys.stdout.write(document(machines))
        return 0
    if machines is None:
        _say("no lab runs; faults that it knows: " + ", ".join(control.faults()))
        return 0
    for name, machine in machines.items():
        counted = machine.get("winrm") or {}
        writes = ", ".join(f"{count} {kind}" for kind, count in (machine.get("writes") or {}).items()) or "none"
        _say(f"{name}  fault {machine.get('fault', 'none')} · writes: {writes}")
        if counted:
            _say("  WinRM: " + ", ".join(f"{count} {kind}" for kind, count in counted.items() if count))
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
