"""What the lab adds to `remediate`: its commands, and the hosts of an inventory with a ``lab:`` key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediation.model.plugin import Plugin
from remediation_lab.commands import COMMANDS


def start_hosts(wanted: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Start the lab, or find it running, with at least ``wanted["hosts"]`` hosts; return how each is reached."""
    from remediation_lab import control

    lab = control.start(hosts=int(wanted.get("hosts", 1)), world=str(wanted.get("world") or control.DOCKER_DESKTOP))
    return {host.name: lab.variables(host) for host in lab.hosts}


def _faults() -> tuple[str, ...]:
    from remediation_lab import control

    return control.faults(control.lab_world())


def _hosts() -> tuple[str, ...]:
    from remediation_lab import control

    return control.host_names()


def _worlds() -> tuple[str, ...]:
    from remediation_lab import control

    return tuple(control.NAMES)


PLUGIN = Plugin(COMMANDS, start_hosts, {"fault fault": _faults, "fault host": _hosts, "start world": _worlds})
