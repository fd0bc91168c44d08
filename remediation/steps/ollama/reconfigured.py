"""Makes the declared settings effective: the running server is restarted or recreated if it runs with others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, needs
from remediation.model.errors import NotApplicable
from remediation.model.facts import Manager, Serving
from remediation.steps.compose.stack import Stack, StackUp, silence_of
from remediation.steps.container.container import is_same_setting
from remediation.steps.contract import Step, step
from remediation.steps.model.load_state import log_of
from remediation.steps.run_info import pending_environment

_DEFAULTS: Mapping[str, frozenset[str]] = {
    "OLLAMA_LLM_LIBRARY": frozenset({""}), "OLLAMA_CONTEXT_LENGTH": frozenset({"0", "2048", "4096"}),
    "OLLAMA_NUM_PARALLEL": frozenset({"0", "1", "4"}), "OLLAMA_GPU_OVERHEAD": frozenset({"0"}), "OLLAMA_KV_CACHE_TYPE": frozenset({""}),
    "OLLAMA_FLASH_ATTENTION": frozenset({"false"}), "OLLAMA_SCHED_SPREAD": frozenset({"false"}),
    "OLLAMA_MAX_LOADED_MODELS": frozenset({"0", "3"}), "CUDA_VISIBLE_DEVICES": frozenset({""}),
}  # fmt: skip
"""What the server prints for settings that are not given (ollama envconfig/config.go, all releases)."""
_READ = ("OLLAMA_", "CUDA_", "NVIDIA_", "GPU_", "ROCR_", "HIP_", "HSA_", "GGML_", "LLAMA_ARG_")


@dataclass(frozen=True, slots=True)
class RunningSettings:
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
class OllamaReconfigured(Step[Stack | RunningSettings]):
    """The running server uses the settings that are declared for it, and answers.

    A Compose service that differs from its files is recreated, as by ``stack.up``; a systemd unit is restarted if its process has
    other settings than its unit files. On Windows, the app (in the desktop session), service or scheduled task is restarted if the
    server's log prints other settings than those that it would get now. Loaded models are lost.
    """

    def observe(self, host: Reader) -> Stack | RunningSettings:
        serving = host.services.serving()
        if serving.manager is Manager.COMPOSE:
            return StackUp().observe(host)
        if serving.windows is not None:
            declared = pending_environment(host, serving.declared)
            return RunningSettings(serving, printed_differences(log_of(host).environment, declared), silence_of(host))
        if serving.unit is None:
            raise NotApplicable(f"does not apply, because {serving.words} has no declared settings", host=host.name)
        differing = differing_settings(serving, pending_environment(host, serving.unit.environment))
        return RunningSettings(serving, differing, silence_of(host), serving.unit.needs_reload)

    def is_met(self, state: Stack | RunningSettings) -> bool:
        if isinstance(state, Stack):
            return StackUp().is_met(state)
        return not state.stale and not state.silent

    def plan(self, state: Stack | RunningSettings) -> Iterator[Change]:
        if isinstance(state, Stack):
            yield from StackUp().plan(state)
        elif state.stale:
            yield restart_change(state.serving, state.differing)

    def apply(self, host: Writer, change: Change) -> None:
        if "unit" not in change.data:
            StackUp().apply(host, change)
            return
        host.target()  # where to wait for the server, read while it still answers
        if change.data["unit"] is None:
            host.services.change_windows(restart=True)
            host.ollama.wait()
            return
        if change.data["reload"]:
            host.services.reload_units(own=change.data["own"])
        host.services.restart_unit(change.data["unit"], own=change.data["own"])
        host.ollama.wait()

    def describe(self, state: Stack | RunningSettings) -> str:
        if isinstance(state, Stack):
            return StackUp().describe(state)
        parts = [
            f"{name} is {_setting_text(now)} in the running server and {_setting_text(then)} in its settings"
            for name, (now, then) in state.differing.items()
        ]
        if state.needs_reload:
            parts.append("systemd has not read the changed unit files yet")
        if state.silent:
            parts.append(state.silent)
        return "; ".join(parts) or f"{state.serving.words} runs with its declared settings"

    def values(self, state: Stack | RunningSettings) -> dict[str, Any]:
        if isinstance(state, Stack):
            return StackUp().values(state)
        return {"service": state.serving.name, "due": list(state.differing)}


def differing_settings(serving: Serving, declared: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """Return the settings in which the running server differs from what is declared. Empty if its environment is unreadable."""
    running = serving.process.environment if serving.process is not None else None
    if running is None:
        return {}
    names = [name for name in dict.fromkeys([*running, *declared]) if name.startswith(_READ)]
    return {name: (running.get(name), declared.get(name)) for name in names if running.get(name) != declared.get(name)}


def printed_differences(printed: Mapping[str, str], declared: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """Return the settings in which the configuration that the server printed differs from what is declared.

    Only settings with a known default are compared. Empty if the log does not contain the configuration.
    """
    found: dict[str, tuple[str | None, str | None]] = {}
    for name, defaults in _DEFAULTS.items():
        now, then = printed.get(name), declared.get(name)
        if now is not None and (now not in defaults if then is None else not is_same_setting(now, then)):
            found[name] = (now, then)
    return found


def restart_change(serving: Serving, differing: Mapping[str, Any]) -> Change:
    """Return the change that restarts a server so that it reads its settings."""
    why = f" ({', '.join(differing)})" if differing else ""
    unit = serving.unit
    return Change(
        f"restart {serving.words} with its declared settings{why}: loaded models are lost until the next request",
        subject=serving.words if unit is None else unit.name,
        risk=Risk.DISRUPTIVE,
        needs=needs(Need.DESKTOP) if serving.manager is Manager.WINDOWS_APP else None,
        data={"unit": None} if unit is None else {"unit": unit.name, "own": unit.own, "reload": unit.needs_reload},
    )


def _setting_text(value: str | None) -> str:
    return "not set" if value is None else value
