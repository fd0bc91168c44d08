"""Configures NVIDIA's container toolkit on a Linux host for its Docker daemon."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, StepCall, needs
from remediation.model.facts import DaemonFacts, ToolkitFacts
from remediation.steps.compose.environment import backup_of, digest
from remediation.steps.compose.text import unified_diff
from remediation.steps.contract import Step, step
from remediation.steps.docker.daemon import apply_take_over, file_change, resolve_daemon, running_containers, take_over
from remediation.steps.docker.daemon_file import changed_keys, conflicts, daemon_text, parse_daemon_file

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
    """The toolkit, the daemon, whether the engine knows the runtime, and what would keep the daemon from starting."""

    toolkit: ToolkitFacts
    daemon: DaemonFacts
    registered: bool
    refused: str
    running: tuple[str, ...]
    live: bool
    host: str

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
        software = host.daemon.software()
        daemon = resolve_daemon(host)
        engine = host.engine.facts()
        keys = self._keys(parse_daemon_file(daemon, host.name))
        refused = ""
        if "nvidia" not in engine.runtimes:
            twice = conflicts({"runtimes": keys["runtimes"]}, daemon)
            refused = f"{', '.join(twice)} is also given as a flag" if twice else host.daemon.rejects(daemon, daemon_text(keys))
        return Toolkit(
            software.toolkit,
            daemon,
            "nvidia" in engine.runtimes,
            refused,
            running_containers(host),
            engine.live_restore,
            host.name,
        )

    def _keys(self, keys: dict[str, Any]) -> dict[str, Any]:
        known = (keys.get("runtimes") or {}).get("nvidia") if isinstance(keys.get("runtimes"), dict) else None
        return changed_keys(keys, {"runtimes": {"nvidia": known or {"args": [], "path": RUNTIME}}}, ())

    def _cgroups_wrong(self, state: Toolkit) -> bool:
        return state.toolkit.config is not None and state.no_cgroups != state.daemon.rootless

    def is_met(self, state: Toolkit) -> bool:
        return state.registered and RUNTIME in state.toolkit.programs and not self._cgroups_wrong(state)

    def plan(self, state: Toolkit) -> Iterator[Change]:
        if self.is_met(state) or RUNTIME not in state.toolkit.programs or state.refused:
            return
        config = state.toolkit.config
        if self._cgroups_wrong(state) and config is not None:
            value = "true" if state.daemon.rootless else "false"
            text = (
                _NO_CGROUPS.sub(rf"\g<before>{value}", config, count=1)
                if _NO_CGROUPS.search(config)
                else f"{config}\n[nvidia-container-cli]\nno-cgroups = {value}\n"
            )
            saved = backup_of(CONFIG, config)
            yield Change(
                f"set no-cgroups = {value} in {CONFIG}; it applies to the next start of each container", subject=CONFIG, risk=Risk.SAFE,
                diff=unified_diff(CONFIG, config, text), undo=StepCall("file.restored", {"path": CONFIG, "backup": saved, "expect": digest(text)}),
                data={"toml": text, "backup": saved},
            )  # fmt: skip
        if state.registered:
            return
        keys = parse_daemon_file(state.daemon, state.host)
        wanted = self._keys(keys)
        if wanted == keys:
            yield take_over(state.daemon, state.running, restart=False, live=state.live)
            return
        before, after = state.daemon.text, daemon_text(wanted)
        backup = None if before is None else backup_of(state.daemon.config, before)
        kept = {"made": True} if backup is None else {"backup": backup}
        yield file_change(
            f"register the runtime nvidia in {state.daemon.config}", state.daemon, after, state.running, restart=False, live=state.live,
            backup=backup, undo=StepCall("docker_daemon.restored", {"path": state.daemon.config, **kept, "expect": digest(after)}),
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        if "toml" in change.data:
            host.files.write(change.subject, change.data["toml"].encode(), backup=change.data["backup"])
        else:
            apply_take_over(host, change)

    def describe(self, state: Toolkit) -> str:
        if RUNTIME not in state.toolkit.programs:
            return "NVIDIA's container toolkit is not installed"
        if state.refused:
            return f"dockerd would not start with the runtime in {state.daemon.config}: {state.refused}"
        parts = [] if state.registered else ["the Docker daemon does not know the runtime nvidia"]
        if self._cgroups_wrong(state):
            parts.append(
                f"no-cgroups is {'true' if state.no_cgroups else 'false'} in {CONFIG}, wrong for a {'rootless' if state.daemon.rootless else 'rootful'} daemon"
            )
        if _HOOK not in state.toolkit.programs:
            parts.append(f"{_HOOK} is missing, which --gpus needs before Docker 29.2")
        return "; ".join(parts) or "the Docker daemon knows the runtime nvidia"

    def advice(self, state: Toolkit) -> str:
        return INSTALL if RUNTIME not in state.toolkit.programs else ""

    def values(self, state: Toolkit) -> dict[str, Any]:
        return {"programs": list(state.toolkit.programs), "registered": state.registered, "no_cgroups": state.no_cgroups}
