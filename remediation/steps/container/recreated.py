"""Recreates a container that Compose did not create, so that it has the GPU."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from remediation.facets.docker.recreation import spare_name
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import CallFailed, NotApplicable
from remediation.model.facts import Container, EngineFacts
from remediation.model.finding import Cause, RuledOut
from remediation.steps.container.container import AGAIN, UNKNOWN_ERROR, lasting_for, smi_inside
from remediation.steps.contract import Step, param, step
from remediation.steps.resolve import resolve_container
from remediation.steps.run_info import is_since, run_started

_ALL: Mapping[str, Any] = {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}
_CDI_NAME = "nvidia.com/gpu=all"
_CDI: Mapping[str, Any] = {"Driver": "cdi", "Count": 0, "DeviceIDs": [_CDI_NAME], "Capabilities": None, "Options": None}
_NODE = re.compile(r"/dev/nvidia(?:\d+|ctl|-uvm|-uvm-tools|-modeset)")
_LIST_NODES = ("sh", "-c", "ls -1d /dev/nvidia*")
_MODELS = "/root/.ollama/models"
_SPARE = spare_name("")


@dataclass(frozen=True, slots=True)
class Recreatable:
    """A container, the engine, and what ``nvidia-smi`` says inside (empty if it works or is missing).

    ``nodes`` are the device files inside a container that has lost the card. ``spare`` is the container that a broken recreation
    renamed, and ``sharing`` names the containers that use this one's network. ``lasting`` is what keeps a lost card in
    the container, "" if recreating it is enough.
    """

    name: str
    container: Container | None
    engine: EngineFacts
    fresh: bool
    smi: str
    nodes: tuple[str, ...] = ()
    spare: bool = False
    sharing: tuple[str, ...] = ()
    lasting: str = ""

    @property
    def host_config(self) -> Mapping[str, Any]:
        """The container's ``HostConfig``."""
        return {} if self.container is None else self.container.raw.get("HostConfig") or {}

    @property
    def running(self) -> bool:
        """Whether the container runs."""
        return self.container is not None and self.container.running

    @property
    def unnamed(self) -> tuple[str, ...]:
        """The device files that are not named in the container's definition."""
        named = {each.get("PathOnHost") for each in self.host_config.get("Devices") or ()}
        return tuple(each for each in self.nodes if each not in named)

    @property
    def obstacle(self) -> str:
        """Why the container cannot be recreated without a loss, or ""."""
        if self.container is None:
            return ""
        if self.host_config.get("AutoRemove"):
            return f"{self.name} was started with --rm, so that stopping it removes it with its volumes"
        if self.sharing:
            return f"{', '.join(self.sharing)} uses the network of {self.name}"
        models = self.container.environment.get("OLLAMA_MODELS") or _MODELS
        mounts = [str(each.get("Destination")) for each in self.container.raw.get("Mounts") or ()]
        kept = any(f"{models}/".startswith(f"{each.rstrip('/')}/") for each in mounts)
        return "" if kept else f"the models of {self.name} are in the container itself ({models})"


@step("container.recreated", risk=Risk.DISRUPTIVE, settle=60.0, once_per_run=True, deadline=600.0, in_container=True)
class ContainerRecreated(Step[Recreatable]):
    """A container that ``docker run`` created has the GPU, recreated from its own inspection.

    Its name, mounts, anonymous volumes, environment, ports, networks and limits stay. A container without a request gets one
    (``--gpus all``, or CDI where the engine knows the card only by it). One that has lost the card under systemd's cgroup driver
    also gets the device files by name, which a ``systemctl daemon-reload`` leaves alone. If the new container does not run, the
    old one runs again. Containers of Compose are left to container.sees_gpu.
    """

    container: str | None = param("container name; defaults to the target's", default=None, example="ollama")
    gpus: Literal["auto", "all", "cdi"] = param("how the GPU is requested", default="auto")
    restore: dict[str, Any] | None = param("members of HostConfig to give back, for undo", default=None)

    def observe(self, host: Reader) -> Recreatable:
        name = resolve_container(self.container, host).removesuffix(_SPARE)
        everything = host.engine.containers()
        found = next((each for each in everything if name in {each.name, each.id}), None)
        spare = any(each.name == spare_name(name) for each in everything)
        if found is None and not spare:
            raise CallFailed(f"there is no container {name}", host=host.name, next_step="docker ps --all lists the containers")
        if found is not None and found.service is not None:
            raise NotApplicable(f"does not apply, because Compose created the container {name}", host=host.name)
        smi = (smi_inside(host, found)[1] or "") if found is not None and found.gpu_requested else ""
        lost = UNKNOWN_ERROR in smi and found is not None
        listed = host.engine.exec(name, _LIST_NODES).stdout.split() if lost else []
        sharing = [
            each.name
            for each in everything
            if found is not None and _network(each) in {f"container:{found.id}", f"container:{name}"}
        ]
        engine = host.engine.facts()
        lasting = lasting_for(host, found, engine) if lost and found is not None else ""
        return Recreatable(
            name, found, engine, found is not None and is_since(found.started_at, run_started(host)), smi,
            tuple(each for each in listed if _NODE.fullmatch(each)), spare, tuple(sharing), lasting,
        )  # fmt: skip

    def is_met(self, state: Recreatable) -> bool:
        if state.spare or not state.running or state.container is None:
            return False
        if self.restore is not None:
            return all((state.host_config.get(key) or None) == (value or None) for key, value in self.restore.items())
        return state.container.gpu_requested and not state.smi

    def plan(self, state: Recreatable) -> Iterator[Change]:
        if state.spare:
            words = "remove {}, which an interrupted run left" if state.running else "give {} its name back, and start it"
            yield Change(
                words.format(spare_name(state.name)),
                subject=state.name,
                data={"spare": "remove" if state.running else "give back"},
            )
            return
        changed = self._changed_members(state)
        if self.is_met(state) or state.obstacle or state.container is None or changed is None:
            return
        before = {key: state.host_config.get(key) for key in changed}
        yield Change(
            f"recreate {state.name}{_words(changed)}", subject=state.name, before=before, after=changed, diff=_diff(before, changed),
            undo=StepCall("container.recreated", {"container": state.name, "restore": before}) if changed else None,
            data={"host_config": changed},
        )  # fmt: skip

    def _changed_members(self, state: Recreatable) -> dict[str, Any] | None:
        """Return the members of ``HostConfig`` to change. None if a container that was recreated already needs none."""
        if self.restore is not None:
            return self.restore
        if state.container is not None and not state.container.gpu_requested:
            cdi = self.gpus == "cdi" or (
                self.gpus == "auto" and "nvidia" not in state.engine.runtimes and _CDI_NAME in state.engine.cdi_devices
            )
            kept = list(state.host_config.get("DeviceRequests") or ())
            return {"DeviceRequests": [*kept, dict(_CDI if cdi else _ALL)]}
        if state.unnamed and state.engine.cgroup_driver != "cgroupfs":
            more = [{"PathOnHost": each, "PathInContainer": each, "CgroupPermissions": "rwm"} for each in state.unnamed]
            return {"Devices": [*(state.host_config.get("Devices") or ()), *more]}
        return None if state.fresh else {}

    def apply(self, host: Writer, change: Change) -> None:
        if change.data.get("spare") == "remove":
            host.engine.remove(spare_name(change.subject))
        elif change.data.get("spare"):
            host.engine.give_back(change.subject)
        else:
            host.engine.recreate(change.subject, change.data["host_config"])

    def describe(self, state: Recreatable) -> str:
        if state.spare:
            return f"{spare_name(state.name)} is left from an interrupted run"
        parts = [] if state.running else [f"{state.name} does not run"]
        if state.container is not None and not state.container.gpu_requested:
            parts.append(f"{state.name} does not request a GPU")
        if state.smi:
            parts.append(f"nvidia-smi inside reports: {state.smi}")
        if not self.is_met(state) and state.obstacle:
            parts.append(state.obstacle)
        return "; ".join(parts) or f"{state.name} requests the GPU"

    def advice(self, state: Recreatable) -> str:
        if self.is_met(state) or not state.obstacle:
            return ""
        return f"recreate {state.name} as it was made, with --gpus all; docker commit {state.name} keeps what is only in the container"

    def measured_effect(self, change: Change, before: Recreatable, after: Recreatable) -> str:
        """Say how long it lasts, where the device files are not in the new definition."""
        lasts = bool((change.data.get("host_config") or {}).get("Devices")) or not before.lasting or bool(after.smi)
        return "" if lasts else f"{AGAIN}: {before.lasting}"

    def rules_out(self, state: Recreatable) -> Iterator[RuledOut]:
        if state.container is not None and state.container.gpu_requested and not state.smi:
            yield RuledOut(Cause.DRIVER_LOST, self.describe(state))

    def values(self, state: Recreatable) -> dict[str, Any]:
        return {
            "requested": state.container is not None and state.container.gpu_requested,
            "nvidia_smi": state.smi,
            "recreated": state.fresh,
        }


def _network(container: Container) -> str:
    return str((container.raw.get("HostConfig") or {}).get("NetworkMode") or "")


def _words(changed: Mapping[str, Any]) -> str:
    if changed.get("DeviceRequests"):
        return " with the GPU"
    if changed.get("Devices"):
        return " with the GPU's device files by name"
    return " as before" if changed else ""


def _diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return "".join(f"-HostConfig.{key} = {before[key]}\n+HostConfig.{key} = {after[key]}\n" for key in after)
