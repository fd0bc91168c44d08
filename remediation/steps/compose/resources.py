"""Memory and CPU limits of a service, within what the Docker engine's machine has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import field_validator

from remediation.diagnosis.units import GIB, MIB, human
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change
from remediation.steps.compose.edit import with_value
from remediation.steps.compose.environment import File, compose_edit, home_of, project_files, resolve_service
from remediation.steps.contract import Step, param, step
from remediation.steps.file_edit import write_edit
from remediation.steps.resolve import resolve_project

_SPARE = 512 * MIB
"""Reserved for the engine's own operating system."""


@dataclass(frozen=True, slots=True)
class Resources:
    """A service's limits as Compose resolves them (None: unlimited), its file, and the engine's memory."""

    service: str
    memory: int | None
    reserved: int | None
    cpus: float | None
    file: File
    engine: int | None
    wsl: bool


@step("compose.resources", settle=5.0, in_container=True)
class ComposeResources(Step[Resources]):
    """The Compose file gives Ollama's service these memory and CPU limits.

    Limits are capped by the memory of the engine's machine: WSL 2 gets half of the RAM by default, so 12G is too much on a 16 GiB
    host. These limits never change how many layers are on the GPU, but a limit that is too low makes loads fail. Apply them
    with stack.up.
    """

    memory: int | None = param("system memory limit, in Compose notation", default=None, example="12G", ge=64 * MIB)
    reserve: int | None = param("memory reservation", default=None, example="4G", ge=16 * MIB)
    cpus: float | None = param("CPU limit", default=None, example=6.0, gt=0)
    service: str | None = param("service name; defaults to the service that runs Ollama", default=None, example="ollama")

    @field_validator("memory", "reserve", mode="before")
    @classmethod
    def _size(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        size = bytes_of(value)
        if size is None:
            msg = f"expected a size such as 12G or 512M, got {value!r}"
            raise ValueError(msg)
        return size

    def observe(self, host: Reader) -> Resources:
        project = resolve_project(host)
        services = host.compose.config(project).get("services") or {}
        service = resolve_service(host, services, self.service)
        resources = ((services[service].get("deploy") or {}).get("resources")) or {}
        limits, kept = resources.get("limits") or {}, resources.get("reservations") or {}
        limit = limits.get("memory", services[service].get("mem_limit"))
        cpus = limits.get("cpus", services[service].get("cpus"))
        engine = host.engine.facts().memory_total
        file = home_of(tuple(project_files(host, project, service)), service, "")
        return Resources(
            service, bytes_of(limit), bytes_of(kept.get("memory")), float(cpus) if cpus is not None else None, file, engine,
            wsl=host.system.facts().os == "windows",
        )  # fmt: skip

    def is_met(self, state: Resources) -> bool:
        return not self._values_to_set(state)

    def plan(self, state: Resources) -> Iterator[Change]:
        lacking = self._values_to_set(state)
        if not lacking:
            return
        text = state.file.text
        for (section, key), value in lacking.items():
            text = with_value(state.file.path, text, state.service, ("deploy", "resources", section, key), value)
        words = ", ".join(f"{section}.{key} {value}" for (section, key), value in lacking.items())
        yield compose_edit(
            f"set {words} for service {state.service} in {state.file.path}", state.file, text, state.service,
            before={"memory": state.memory, "reserve": state.reserved, "cpus": state.cpus},
            after={f"{section}.{key}": value for (section, key), value in lacking.items()},
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        write_edit(host, change)

    def describe(self, state: Resources) -> str:
        parts = [
            f"{state.service}: memory {human(state.memory) if state.memory else 'unlimited'}, cpus {state.cpus or 'unlimited'}"
        ]
        wanted = int(self.memory) if self.memory is not None else 0
        if state.engine is not None and wanted > self._cap(state):
            where = "; limited by .wslconfig" if state.wsl else ""
            parts.append(f"{human(wanted)} is more than the engine's machine has ({human(state.engine)}{where})")
        return "; ".join(parts)

    def values(self, state: Resources) -> dict[str, Any]:
        return {"memory": state.memory, "reserve": state.reserved, "cpus": state.cpus, "engine": state.engine}

    def _cap(self, state: Resources) -> int:
        return max(state.engine - _SPARE, state.engine // 2) if state.engine is not None else int(self.memory or 0)

    def _values_to_set(self, state: Resources) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        memory = min(int(self.memory), self._cap(state)) if self.memory is not None else None
        if memory is not None and not _same(state.memory, memory):
            found["limits", "memory"] = _size_text(memory)
        if self.cpus is not None and state.cpus != self.cpus:
            found["limits", "cpus"] = f"'{self.cpus:g}'"
        kept = int(self.reserve) if self.reserve is not None else None
        if kept is not None:
            kept = min(kept, memory or state.memory or kept)
            if not _same(state.reserved, kept):
                found["reservations", "memory"] = _size_text(kept)
        return found


def bytes_of(value: object) -> int | None:
    """Parse a Compose byte value (``12G``, ``"12884901888"``; units are powers of 1024). Returns None if there is none."""
    text = str(value if value is not None else "").strip().lower().removesuffix("b").removesuffix("i").replace(" ", "")
    units = {"k": 1024, "m": MIB, "g": GIB, "t": 1024 * GIB}
    factor = units.get(text[-1:], 1)
    try:
        size = int(float(text.rstrip("kmgt")) * factor)
    except (ValueError, OverflowError):
        return None
    return size or None


def _same(now: int | None, wanted: int) -> bool:
    return now is not None and abs(now - wanted) < MIB


def _size_text(size: int) -> str:
    return f"{size // GIB}G" if size % GIB == 0 else f"{size // MIB}M"
