"""Configures NVIDIA's container toolkit on a Linux host for its Docker daemon."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, needs
from remediation.model.facts import ToolkitFacts
from remediation.steps.contract import Step, step
from remediation.steps.docker.daemon import DockerDaemon, apply_take_over, read_daemon
from remediation.steps.docker.daemon_file import changed_keys
from remediation.steps.file_edit import file_edit, write_edit

CONFIG = "/etc/nvidia-container-runtime/config.toml"
RUNTIME = "nvidia-container-runtime"
_HOOK = "nvidia-container-runtime-hook"
_NO_CGROUPS = re.compile(r"^(?P<before>\s*no-cgroups\s*=\s*)(?P<value>true|false)", re.MULTILINE)
INSTALL = (
    "install NVIDIA's container toolkit: sudo apt-get install nvidia-container-toolkit (or dnf, zypper; repository nvidia.github.io/libnvidia-container), "
    "then sudo systemctl restart docker"
)


@dataclass(frozen=True, slots=True)
class Toolkit:
    """The toolkit, the daemon, and what would keep the daemon from starting with the runtime."""

    toolkit: ToolkitFacts
    daemon: DockerDaemon
    refused: str

    @property
    def registered(self) -> bool:
        """Whether the engine knows the runtime."""
        return "nvidia" in self.daemon.engine.runtimes

    @property
    def no_cgroups(self) -> bool:
        """Whether the toolkit adds no device rules."""
        match = _NO_CGROUPS.search(self.toolkit.config or "")
        return match is not None and match["value"] == "true"


@step("container_toolkit.configured", risk=Risk.DISRUPTIVE, needs=needs(Need.ELEVATED), settle=30.0, deadline=300.0)
class ContainerToolkitConfigured(Step[Toolkit]):
    """The Docker daemon knows NVIDIA's runtime, and the toolkit adds device rules where the daemon needs them.

    The runtime is registered in ``daemon.json``, which a reload takes over. ``no-cgroups`` must be false for a daemon of root and
    true for a rootless one. A missing toolkit is not installed: that needs a package source and the owner's consent.
    """

    def observe(self, host: Reader) -> Toolkit:
        daemon = read_daemon(host)
        wanted = self._keys(daemon.keys)
        seen = Toolkit(host.daemon.software().toolkit, daemon, "")
        return seen if seen.registered else replace(seen, refused=daemon.refusal(host, wanted, {"runtimes": wanted["runtimes"]}))

    def _keys(self, keys: dict[str, Any]) -> dict[str, Any]:
        known = (keys.get("runtimes") or {}).get("nvidia") if isinstance(keys.get("runtimes"), dict) else None
        return changed_keys(keys, {"runtimes": {"nvidia": known or {"args": [], "path": RUNTIME}}}, ())

    def _cgroups_wrong(self, state: Toolkit) -> bool:
        return state.toolkit.config is not None and state.no_cgroups != state.daemon.facts.rootless

    def is_met(self, state: Toolkit) -> bool:
        return state.registered and RUNTIME in state.toolkit.programs and not self._cgroups_wrong(state)

    def plan(self, state: Toolkit) -> Iterator[Change]:
        if self.is_met(state) or RUNTIME not in state.toolkit.programs or state.refused:
            return
        config = state.toolkit.config
        if self._cgroups_wrong(state) and config is not None:
            value = "true" if state.daemon.facts.rootless else "false"
            text = (
                _NO_CGROUPS.sub(rf"\g<before>{value}", config, count=1)
                if _NO_CGROUPS.search(config)
                else f"{config}\n[nvidia-container-cli]\nno-cgroups = {value}\n"
            )
            words = f"set no-cgroups = {value} in {CONFIG}; it applies to the next start of each container"
            yield file_edit(words, CONFIG, config, text, risk=Risk.SAFE)
        if state.registered:
            return
        keys = state.daemon.keys
        wanted = self._keys(keys)
        if wanted == keys:
            yield state.daemon.take_over(restart=False)
        else:
            yield state.daemon.edit("register the runtime nvidia", wanted, restart=False)

    def apply(self, host: Writer, change: Change) -> None:
        if change.subject == CONFIG:
            write_edit(host, change)
        else:
            apply_take_over(host, change)

    def describe(self, state: Toolkit) -> str:
        if RUNTIME not in state.toolkit.programs:
            return "NVIDIA's container toolkit is not installed"
        if state.refused:
            return f"dockerd would not start with the runtime in {state.daemon.path}: {state.refused}"
        parts = [] if state.registered else ["the Docker daemon does not know the runtime nvidia"]
        if self._cgroups_wrong(state):
            parts.append(
                f"no-cgroups is {'true' if state.no_cgroups else 'false'} in {CONFIG}, wrong for a {'rootless' if state.daemon.facts.rootless else 'rootful'} daemon"
            )
        if _HOOK not in state.toolkit.programs:
            parts.append(f"{_HOOK} is missing, which --gpus needs before Docker 29.2")
        return "; ".join(parts) or "the Docker daemon knows the runtime nvidia"

    def advice(self, state: Toolkit) -> str:
        return INSTALL if RUNTIME not in state.toolkit.programs else ""

    def values(self, state: Toolkit) -> dict[str, Any]:
        return {"programs": list(state.toolkit.programs), "registered": state.registered, "no_cgroups": state.no_cgroups}
