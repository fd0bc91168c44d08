"""`docker stats`: what running containers use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remediation_lab.programs import Call, Done, printed
from remediation_lab.programs.docker.arguments import Usage, parse
from remediation_lab.programs.docker.formats import rows
from remediation_lab.world.state import MIB, Container

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_COLUMNS = (
    ("CONTAINER ID", "ID"), ("NAME", "Name"), ("CPU %", "CPUPerc"), ("MEM USAGE / LIMIT", "MemUsage"), ("MEM %", "MemPerc"),
    ("NET I/O", "NetIO"), ("BLOCK I/O", "BlockIO"), ("PIDS", "PIDs"),
)  # fmt: skip
_IN_RAM = 0.12
"""Of weights that the CPU works with, so much is counted; the rest is page cache."""


def stats(machine: Machine, _: Call, words: list[str]) -> Done:
    """Print one sample."""
    given = parse(words, values="format", switches="no-stream no-trunc all a")
    if not given.has("no-stream"):
        raise Usage("the lab prints one sample: add --no-stream", 1)
    found = [machine.engine.find(name) for name in given.rest] or [each for each in machine.state.containers if each.running]
    return printed(rows(given.one("format"), [_row(machine, each) for each in found], _COLUMNS))


def _row(machine: Machine, container: Container) -> dict[str, Any]:
    server = machine.engine.server(container)
    used = 0
    if container.running:
        used = (38 if server is None else 62) * MIB
        used += sum(int(runner.cpu_weights * _IN_RAM) + 240 * MIB for runner in server.runners) if server is not None else 0
    limit = (
        int(((container.definition.get("deploy") or {}).get("resources") or {}).get("limits", {}).get("memory", 0))
        or machine.state.engine.memory
    )
    cpu = machine.network.load()[1] * machine.state.engine.cpus / 2 if server is not None and server.generating else 0.03
    return {
        "BlockIO": "4.1GB / 12.3kB" if server is not None else "0B / 0B",
        "CPUPerc": f"{cpu if container.running else 0:.2f}%",
        "Container": container.id[:12],
        "ID": container.id[:12],
        "MemPerc": f"{100 * used / limit:.2f}%",
        "MemUsage": f"{_binary(used)} / {_binary(limit)}",
        "Name": container.name,
        "NetIO": "1.2kB / 0B",
        "PIDs": "21" if container.running else "0",
    }


def _binary(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":  # binary units
            break
        size /= 1024
    return f"{size:.4g}{unit}"
