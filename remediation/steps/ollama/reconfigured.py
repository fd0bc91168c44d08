"""Makes the declared settings effective: the running server is restarted or recreated if it runs with others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk
from remediation.model.errors import NotApplicable
from remediation.model.facts import Manager, ServiceUnit, Serving
from remediation.steps.compose.stack import Stack, StackUp, silence_of
from remediation.steps.contract import Step, step
from remediation.steps.run_info import pending_environment

_READ = ("OLLAMA_", "CUDA_", "NVIDIA_", "GPU_", "ROCR_", "HIP_", "HSA_", "GGML_", "LLAMA_ARG_")


@dataclass(frozen=True, slots=True)
class Running:
    """A unit, the settings in which the running server differs from it, and why the server does not answer (or "").

    ``declared`` has the setting's value after the next start, ``running`` the current one; None means not set.
    """

    serving: Serving
    differing: Mapping[str, tuple[str | None, str | None]]
    silent: str
    needs_reload: bool = False

    @property
    def stale(self) -> bool:
        """Whether a restart would change the server's settings."""
        return bool(self.differing) or self.needs_reload


@step("ollama.reconfigured", risk=Risk.DISRUPTIVE, settle=90.0, deadline=900.0)
class OllamaReconfigured(Step[Stack | Running]):
    """The running server uses the settings that are declared for it, and answers.

    A Compose service that differs from its files is recreated, as by ``stack.up``; a systemd unit is restarted if its process has
    other settings than its unit files. Loaded models are lost.
    """

    def look(self, host: Reader) -> Stack | Running:
        serving = host.services.serving()
        if serving.manager is Manager.COMPOSE:
            return StackUp().look(host)
        if serving.unit is None:
            raise NotApplicable(f"does not apply, because {serving.words} has no declared settings", host=host.name)
        differing = differing_settings(serving, pending_environment(host, serving.unit.environment))
        return Running(serving, differing, silence_of(host), serving.unit.needs_reload)

    def met(self, seen: Stack | Running) -> bool:
        if isinstance(seen, Stack):
            return StackUp().met(seen)
        return not seen.stale and not seen.silent

    def plan(self, seen: Stack | Running) -> Iterator[Change]:
        if isinstance(seen, Stack):
            yield from StackUp().plan(seen)
        elif seen.stale and seen.serving.unit is not None:
            yield restart_change(seen.serving, seen.serving.unit, seen.differing)

    def apply(self, host: Writer, change: Change) -> None:
        if "unit" not in change.data:
            StackUp().apply(host, change)
            return
        host.target()  # where to wait for the server, read while it still answers
        if change.data["reload"]:
            host.services.reload_units(own=change.data["own"])
        host.services.restart_unit(change.data["unit"], own=change.data["own"])
        host.ollama.wait()

    def describe(self, seen: Stack | Running) -> str:
        if isinstance(seen, Stack):
            return StackUp().describe(seen)
        parts = [
            f"{name} is {_shown(now)} in the running server and {_shown(then)} in its unit"
            for name, (now, then) in seen.differing.items()
        ]
        if seen.needs_reload:
            parts.append("systemd has not read the changed unit files yet")
        if seen.silent:
            parts.append(seen.silent)
        return "; ".join(parts) or f"{seen.serving.words} runs with its declared settings"

    def values(self, seen: Stack | Running) -> dict[str, Any]:
        if isinstance(seen, Stack):
            return StackUp().values(seen)
        return {"service": seen.serving.name, "due": list(seen.differing)}


def differing_settings(serving: Serving, declared: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """Return the settings in which the running server differs from what is declared. Empty if its environment is unreadable."""
    running = serving.process.environment if serving.process is not None else None
    if running is None:
        return {}
    names = [name for name in dict.fromkeys([*running, *declared]) if name.startswith(_READ)]
    return {name: (running.get(name), declared.get(name)) for name in names if running.get(name) != declared.get(name)}


def restart_change(serving: Serving, unit: ServiceUnit, differing: Mapping[str, Any]) -> Change:
    """Return the change that restarts a unit so that it reads its settings."""
    why = f" ({', '.join(differing)})" if differing else ""
    return Change(
        f"restart {serving.words} with its declared settings{why}: loaded models are lost until the next request",
        subject=unit.name,
        risk=Risk.DISRUPTIVE,
        data={"unit": unit.name, "own": unit.own, "reload": unit.needs_reload},
    )


def _shown(value: str | None) -> str:
    return "not set" if value is None else value
