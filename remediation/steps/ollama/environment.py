"""Settings of the Ollama server, in the file or store that its manager reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import field_validator

from remediation.diagnosis.versions import parse_version
from remediation.facets.protocols import Reader, Writer
from remediation.facets.services.unit_files import drop_in_of, with_environment_line, with_settings
from remediation.model.change import Change, Need, StepCall, needs
from remediation.model.errors import NO_ANSWER, CallFailed, HostError, NotApplicable
from remediation.model.facts import Manager, ServiceUnit, Serving
from remediation.steps.compose.environment import ComposeEnvironment, Declared, backup_of, digest, setting_text
from remediation.steps.compose.text import unified
from remediation.steps.contract import Step, param, step
from remediation.steps.model.ollama_settings import DEAD, HARMFUL, Judged, cards_of, judge_declared

_NIX = "/nix/store/"


@dataclass(frozen=True, slots=True)
class UnitSettings:
    """The settings of a systemd unit with their sources, judged for this release; ``gpu_containers`` are running ones that use a GPU.

    ``texts`` are the files that the step may edit, by path; a missing file is empty.
    """

    serving: Serving
    unit: ServiceUnit
    judged: tuple[Judged, ...]
    drop_in: str
    texts: Mapping[str, str]
    gpu_containers: tuple[str, ...] = ()

    def source(self, name: str) -> str:
        """Return the file whose value of a setting the server gets, or ""."""
        return next((one.file for one in self.unit.settings if one.name == name and one.wins), "")


Settings = Declared | UnitSettings


@step("ollama.environment", settle=5.0)
class OllamaEnvironment(Step[Settings]):
    """The place that the server's settings come from gives it no harmful settings, and all requested ones.

    For a Compose service that is its Compose file, for a systemd unit a drop-in of this tool, after which systemd reads its unit files
    again. The unit itself and other drop-ins are never edited, except an environment file that would win over a drop-in. Which
    settings are harmful depends on the Ollama release. The running server keeps its environment until ``ollama.reconfigured``.
    """

    set: dict[str, str] = param("settings to add or change, by name", default={}, example={"OLLAMA_MAX_LOADED_MODELS": "1"})
    remove: tuple[str, ...] = param("settings to remove unconditionally", default=(), example=["OLLAMA_GPU_OVERHEAD"])
    prune: bool = param("also remove settings that this release ignores", default=False)
    service: str | None = param("Compose service; defaults to the service that runs Ollama", default=None, example="ollama")

    @field_validator("set", mode="before")
    @classmethod
    def _set(cls, value: object) -> object:
        return {str(name): setting_text(one) for name, one in value.items()} if isinstance(value, Mapping) else value

    @property
    def _compose(self) -> ComposeEnvironment:
        return ComposeEnvironment(service=self.service, set=self.set, remove=self.remove, prune=self.prune)

    def look(self, host: Reader) -> Settings:
        serving = host.services.serving()
        if serving.manager is Manager.COMPOSE:
            return self._compose.look(host)
        if serving.unit is None:
            raise _not_here(host, serving)
        if serving.unit.fragment.startswith(_NIX):
            raise NotApplicable(
                "does not apply, because NixOS writes the unit: set services.ollama.environmentVariables and rebuild",
                host=host.name,
            )
        return unit_settings(host, serving, serving.unit)

    def met(self, seen: Settings) -> bool:
        if isinstance(seen, Declared):
            return self._compose.met(seen)
        return not self._going(seen) and not self._lacking(seen)

    def plan(self, seen: Settings) -> Iterator[Change]:
        if isinstance(seen, Declared):
            yield from self._compose.plan(seen)
            return
        going, lacking = self._going(seen), self._lacking(seen)
        files = {name: seen.source(name) for name in lacking}
        by_file = {path: [name for name in files if files[name] == path] for path in files.values() if self._wins(seen, path)}
        for path, names in by_file.items():
            text = seen.texts[path]
            for name in names:
                text = with_environment_line(text, name, lacking[name])
            yield self._edit(seen, path, text, {}, {name: lacking[name] for name in names})
        put = {name: value for name, value in lacking.items() if files[name] not in by_file}
        if put or going:
            yield self._edit(seen, seen.drop_in, with_settings(seen.texts[seen.drop_in], put, going), dict.fromkeys(going), put)

    def _wins(self, seen: UnitSettings, path: str) -> bool:
        """Whether a file wins over every drop-in: an environment file does (systemd.exec)."""
        return bool(path) and not path.endswith((".conf", ".service")) and path in seen.texts

    def _edit(self, seen: UnitSettings, path: str, text: str, gone: Mapping[str, None], made: Mapping[str, str]) -> Change:
        before = seen.texts[path]
        words = [f"remove {name}" for name in gone] + [f"set {name}={value}" for name, value in made.items()]
        kept = {"backup": backup_of(path, before)} if before else {"made": True}
        return Change(
            f"{', '.join(words)} for {seen.serving.words} in {path}",
            subject=path,
            before={name: seen.unit.environment.get(name) for name in (*gone, *made)},
            after=dict(made),
            diff=unified(path, before, text),
            needs=None if seen.unit.own else needs(Need.ELEVATED),
            undo=StepCall("file.restored", {"path": path, **kept, "expect": digest(text), "unit": seen.unit.name}),
            data={
                "text": text, "backup": kept.get("backup"), "service": seen.unit.name, "environment": {**gone, **made},
                "own": seen.unit.own,
            },
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        host.files.write(change.subject, change.data["text"].encode("utf-8"), backup=change.data["backup"])
        if "own" in change.data:
            host.services.reload_units(own=change.data["own"])

    def describe(self, seen: Settings) -> str:
        if isinstance(seen, Declared):
            return self._compose.describe(seen)
        going = self._going(seen)
        parts = [
            f"{one.name}={one.value} (from {seen.source(one.name)}): {one.because}" for one in seen.judged if one.name in going
        ]
        parts += [f"{name} is to be removed" for name in self.remove if name in going]
        parts += [f"{name} must be {value}{self._from(seen, name)}" for name, value in self._lacking(seen).items()]
        dead = [f"{one.name}={one.value} ({one.because})" for one in seen.judged if one.verdict == DEAD and one.name not in going]
        if dead:
            parts.append(f"ignored by this release, kept: {', '.join(dead)}")
        if parts and seen.gpu_containers:
            parts.append(f"{', '.join(seen.gpu_containers)} may lose the GPU when systemd reads its unit files again")
        return "; ".join(parts) or f"no harmful setting of {seen.serving.words}"

    def _from(self, seen: UnitSettings, name: str) -> str:
        now = seen.unit.environment.get(name)
        return f" ({now} from {seen.source(name)})" if now is not None else ""

    def values(self, seen: Settings) -> dict[str, Any]:
        if isinstance(seen, Declared):
            return self._compose.values(seen)
        return {
            "service": seen.unit.name,
            "settings": [
                {"name": one.name, "value": one.value, "verdict": one.verdict, "because": one.because} for one in seen.judged
            ],
            "sources": [
                {"name": one.name, "value": one.value, "source": one.source, "wins": one.wins} for one in seen.unit.settings
            ],
        }

    def _going(self, seen: UnitSettings) -> list[str]:
        verdicts = {HARMFUL, DEAD} if self.prune else {HARMFUL}
        judged = [one.name for one in seen.judged if one.verdict in verdicts and one.name not in self.set]
        present = seen.unit.environment
        return list(dict.fromkeys([*judged, *(name for name in self.remove if name in present and name not in self.set)]))

    def _lacking(self, seen: UnitSettings) -> dict[str, str]:
        return {name: value for name, value in self.set.items() if seen.unit.environment.get(name) != value}


def unit_settings(host: Reader, serving: Serving, unit: ServiceUnit) -> UnitSettings:
    """Return a unit's settings, judged for the running release."""
    try:
        version = parse_version(host.ollama.version())
    except NO_ANSWER:
        version = None
    drop_in = drop_in_of(unit.fragment, unit.name, own=unit.own)
    judged = judge_declared(unit.environment, version, cards_of(host))
    texts = {drop_in: "", **unit.files}
    return UnitSettings(serving, unit, judged, drop_in, texts, _gpu_containers(host))


def _gpu_containers(host: Reader) -> tuple[str, ...]:
    """Return the running containers that use a GPU. A ``daemon-reload`` may deny it to them (NVIDIA: container troubleshooting)."""
    try:
        return tuple(one.name for one in host.engine.containers() if one.gpu_requested and one.status == "running")
    except HostError:
        return ()


def _not_here(host: Reader, serving: Serving) -> HostError:
    if serving.manager is Manager.NOTHING:
        return CallFailed(
            f"nothing on {host.name} starts Ollama: neither a container nor a systemd unit was found", host=host.name,
            next_step="start Ollama once, or set container, compose_files or endpoint in the inventory",
        )  # fmt: skip
    return NotApplicable(f"does not apply, because {serving.words} has no file of settings", host=host.name)
