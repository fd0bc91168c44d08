"""Host facts: emitted once when the run first works on a host, from one composite snapshot and the repair target."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from remediation.engine.context import TimedSnapshot
from remediation.model.errors import HostError, RemediationError, Unreachable
from remediation.model.event_data import HostFactsData
from remediation.model.text.digits import is_whole

if TYPE_CHECKING:
    from remediation.engine.context import HostMemory
    from remediation.engine.play.context.open_hosts import OpenedHost
    from remediation.engine.play.context.task_context import TaskContext
    from remediation.facets.access import HostAccess
    from remediation.facets.protocols import Reader

GIB = 1024**3
FIRST_WINDOWS_11 = 22000


def look_once(site: TaskContext, opened: OpenedHost) -> Reader | None:
    """Emit ``host_facts`` of the task's own host the first time, and return the reader used. Raises `Unreachable`.

    Readings that fail are left out.
    """
    host = site.host
    if host.looked or opened.name != host.name:
        return None
    host.looked = True
    access = opened.access
    _restore_target(host.memory, access)
    clock = site.play.stage.ports.clock  # the controller's clock, not the host's: a simulated one runs faster
    begun, trips = clock.monotonic(), access.round_trips
    reader = access.reader_for("diagnosis")
    ahead = getattr(reader, "prefetch", None)  # a reader that can fetch everything in few round trips
    if ahead is not None:
        ahead()
    facts = {name: text for name, read in _FACTS.items() if (text := _answer(reader, read))}
    target = _target(reader)
    version = facts.get("ollama")
    if version:
        container = target["container"]["value"] if "container" in target else ""
        facts["ollama"] = f"Ollama {version} in {container}" if container else f"Ollama {version}"
    site.play.stage.emit(
        "host_facts",
        host=host.name,
        play=site.play.title,
        **HostFactsData(
            facts=facts,
            target=target,
            loaded=_loaded_models(reader),
            round_trips=access.round_trips - trips,
            seconds=clock.monotonic() - begun,
        ),
    )
    host.memory.seen = TimedSnapshot(reader, clock.monotonic())
    return reader


def _restore_target(memory: HostMemory, access: HostAccess) -> None:
    """Continue with the target that an earlier process of this run found: its model may be unloaded by now."""
    from remediation.model.facts import Found, Runner

    restore_found = getattr(access, "restore_found", None)
    if restore_found is not None and (memory.target or memory.loaded):
        known = {name: memory.target[name] for name in ("model", "configured") if name in memory.target}
        parts = {name: Found(part["value"], part["source"]) for name, part in known.items()}
        restore_found(parts, [Runner(**each) for each in memory.loaded.values()])


def _loaded_models(reader: Reader) -> list[dict[str, Any]]:
    try:
        return [dataclasses.asdict(runner) for runner in reader.ollama.running()]
    except Unreachable:
        raise
    except HostError:
        return []


def _answer(reader: Reader, read: Callable[[Reader], str]) -> str:
    try:
        return read(reader)
    except Unreachable:
        raise
    except HostError:
        return ""


def _system(reader: Reader) -> str:
    facts = reader.system.facts()
    if facts.os == "windows":
        return windows_name(facts.version)
    return facts.version if facts.version.lower().startswith(("debian", "ubuntu")) else f"Linux {facts.version}".strip()


def windows_name(version: str) -> str:
    """Return the product name: Windows 11 still reports version 10.0, from build 22000 on."""
    build = version.rpartition(".")[2]
    if not version.startswith("10.0.") or not is_whole(build):
        return f"Windows {version}".strip()
    return f"Windows {11 if int(build) >= FIRST_WINDOWS_11 else 10} (build {build})"


def _gpus(reader: Reader) -> str:
    gpus = reader.gpu.use().gpus
    return ", ".join(
        f"{gpu.name} {gpu.problem or 'memory unknown' if gpu.total is None else f'{gpu.total / GIB:.0f} GiB'} · driver {gpu.driver_version}"
        for gpu in gpus
    )


def _engine(reader: Reader) -> str:
    facts = reader.engine.facts()
    return " ".join(filter(None, (facts.name or "Docker", facts.version)))


def _ollama(reader: Reader) -> str:
    return reader.ollama.version()


_FACTS: dict[str, Callable[[Reader], str]] = {"system": _system, "gpus": _gpus, "engine": _engine, "ollama": _ollama}


def _target(reader: Reader) -> dict[str, Any]:
    """Return the target's parts with their sources; the step that needs an ambiguous part reports it."""
    from remediation.model.facts import Found, Target

    try:
        target = reader.target()
    except Unreachable:
        raise
    except RemediationError:
        return {}
    parts = {item.name: getattr(target, item.name) for item in dataclasses.fields(Target)}
    return {
        name: {"value": _to_plain(part.value), "source": part.source} for name, part in parts.items() if isinstance(part, Found)
    }


def _to_plain(value: object) -> object:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
