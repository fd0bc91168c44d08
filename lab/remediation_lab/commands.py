"""``lab.start``, ``lab.stop``, ``lab.fault``, ``lab.reset``, ``lab.status``: a Windows GPU fleet simulated on loopback."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from remediation.model.plugin import PluginCommand, option, required


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Start:
    """How large a lab."""

    hosts: int = option("How many Windows hosts there shall be at least (1 to 250).", default=1)
    powershell: str = option(
        "A real PowerShell 7 that runs the scripts from now on; `stand-in` goes back to the lab's own.", default="", value="PATH"
    )
    world: str = option("The kind of its hosts: docker-desktop, native-windows, wsl or linux.", default="", value="WORLD")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class NewFault:
    """Which fault, where."""

    host: str = required("The lab's machine.")
    fault: str = required("The fault's name.")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Machines:
    """How the machines are shown."""

    json: bool = option("Print JSON.", default=False)
    verbose: bool = option("Accepted as everywhere; the lab has no more to say.", default=False, short="v")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class NoOptions:
    """No options."""


def start(options: Start) -> int:
    """Start the lab, or find it running; its machines are as they were left."""
    from remediation_lab import control

    program = None if not options.powershell else options.powershell.removeprefix("stand-in")
    lab = control.start(hosts=options.hosts, powershell=program, world=options.world or None)
    verb = "started" if lab.started else "runs already"
    reached = "over SSH" if lab.variables(lab.hosts[0]).get("ansible_connection") == "ssh" else f"as {lab.user} over WinRM"
    _say(f"the lab {verb}: {len(lab.hosts)} host{'' if len(lab.hosts) == 1 else 's'} ({lab.world}), reached {reached}")
    if lab.powershell:
        _say(f"each shell runs {lab.powershell}")
    for host in lab.hosts:
        _say(f"  {host.name}  {host.endpoint}")
    return 0


def stop(options: NoOptions) -> int:
    """Stop the lab; what its machines have become is kept."""
    from remediation_lab import control

    _say("the lab was stopped; its machines stay as they are" if control.stop() else "no lab runs")
    return 0


def fault(options: NewFault) -> int:
    """Make a machine of the lab new, with a fault in it."""
    from remediation.model.errors import UsageError
    from remediation_lab import control

    if control.find() is None:
        raise UsageError("the lab does not run", next_step="start it: remediate lab.start")
    control.fault(options.host, options.fault)
    _say(f"{options.host} is new, with the fault {options.fault}")
    return 0


def reset(options: NoOptions) -> int:
    """Make all machines of the lab new, with the fault they had at first."""
    from remediation_lab import control

    control.reset()
    _say("all machines of the lab are new, broken as they were at first")
    return 0


def status(options: Machines) -> int:
    """Show the lab's machines: the fault put in, what was written to each, what its WinRM server counted."""
    from remediation.model.text.visible import visible_json
    from remediation_lab import control

    machines = control.status()
    if options.json:
        _say(visible_json(machines, indent=2))
        return 0
    if machines is None:
        _say("no lab runs; faults that it knows: " + ", ".join(control.faults(control.lab_world())))
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


COMMANDS = (
    PluginCommand(
        "start",
        Start,
        start,
        True,
        ("remediate lab.start", "remediate lab.start --hosts 12", "remediate lab.start --world native-windows"),
    ),
    PluginCommand("stop", NoOptions, stop, True, ("remediate lab.stop", "remediate lab.stop && remediate lab.start --hosts 3")),
    PluginCommand(
        "fault", NewFault, fault, True, ("remediate lab.fault laptop-07 num-gpu-1", "remediate lab.fault laptop-07 vram-occupied")
    ),
    PluginCommand(
        "reset", NoOptions, reset, True, ("remediate lab.reset", "remediate lab.reset && remediate fix-offload --inventory lab")
    ),
    PluginCommand("status", Machines, status, False, ("remediate lab.status", "remediate lab.status --json")),
)
