"""Environment of Ollama's service in its Compose files: removes harmful settings, adds requested ones, keeps the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import field_validator

from remediation.diagnosis.advice.settings import DEAD, HARMFUL
from remediation.diagnosis.versions import Version, parse_version
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change
from remediation.model.errors import NO_ANSWER, CallFailed
from remediation.model.facts import ComposeProject
from remediation.model.finding import Setting
from remediation.steps.compose.text import ComposeText, YamlEntry
from remediation.steps.contract import Step, param, step
from remediation.steps.file_edit import file_edit, write_edit
from remediation.steps.model.ollama_settings import cards_of, judge_declared
from remediation.steps.resolve import resolve_project

IMAGES = ("ollama/", "/ollama", "ollama:")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class File:
    """One Compose file: its text and the service's settings in it."""

    path: str
    text: str
    entries: tuple[YamlEntry, ...]


class SettingsSource(Protocol):
    """The settings that a server gets at its next start, judged for its release, and the changes that edit them."""

    @property
    def name(self) -> str:
        """The name of the service, or a description of the server."""

    @property
    def where(self) -> str:
        """Where the settings are, in words."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings by name."""

    @property
    def judged(self) -> Sequence[Setting]:
        """The faulty settings."""

    def source(self, name: str) -> str:
        """Return the place whose value of a setting the server gets, or ""."""

    def remark(self, going: Sequence[str]) -> str:
        """Return what else to know about a change that removes these settings, or ""."""

    def edits(self, going: Sequence[str], put: Mapping[str, str]) -> Iterator[Change]:
        """Yield the changes that remove and set these settings."""


class SettingsStep(Step[SettingsSource]):
    """Base of the steps that remove harmful settings and set requested ones."""

    set: dict[str, str] = param("settings to add or change, by name", default={}, example={"OLLAMA_MAX_LOADED_MODELS": "1"})
    remove: tuple[str, ...] = param("settings to remove unconditionally", default=(), example=["OLLAMA_GPU_OVERHEAD"])
    prune: bool = param("also remove settings that this release ignores", default=False)
    service: str | None = param("Compose service; defaults to the service that runs Ollama", default=None, example="ollama")

    @field_validator("set", mode="before")
    @classmethod
    def _set(cls, value: object) -> object:
        return {str(name): setting_text(one) for name, one in value.items()} if isinstance(value, Mapping) else value

    @field_validator("set", "remove")
    @classmethod
    def _names(cls, value: dict[str, str] | tuple[str, ...]) -> dict[str, str] | tuple[str, ...]:
        check_variable_names(value)
        return value

    def is_met(self, state: SettingsSource) -> bool:
        return not self._names_to_remove(state) and not self._values_to_set(state)

    def plan(self, state: SettingsSource) -> Iterator[Change]:
        yield from state.edits(self._names_to_remove(state), self._values_to_set(state))

    def describe(self, state: SettingsSource) -> str:
        going = self._names_to_remove(state)
        parts = [f"{one.name}={one.value}{_from(state, one.name)}: {one.because}" for one in state.judged if one.name in going]
        parts += [f"{name} is to be removed" for name in self.remove if name in going]
        parts += [
            f"{name} must be {value}{_from(state, name, state.environment.get(name))}"
            for name, value in self._values_to_set(state).items()
        ]
        dead = [
            f"{one.name}={one.value} ({one.because})" for one in state.judged if one.verdict == DEAD and one.name not in going
        ]
        if dead:
            parts.append(f"ignored by this release, kept: {', '.join(dead)}")
        if parts and (remark := state.remark(going)):
            parts.append(remark)
        return "; ".join(parts) or f"no harmful setting {state.where}"

    def values(self, state: SettingsSource) -> dict[str, Any]:
        return {
            "service": state.name,
            "settings": [
                {"name": one.name, "value": one.value, "verdict": one.verdict, "because": one.because} for one in state.judged
            ],
        }

    def _names_to_remove(self, state: SettingsSource) -> list[str]:
        verdicts = {HARMFUL, DEAD} if self.prune else {HARMFUL}
        judged = [one.name for one in state.judged if one.verdict in verdicts]
        present = [name for name in self.remove if name in state.environment]
        return [name for name in dict.fromkeys([*judged, *present]) if name not in self.set]

    def _values_to_set(self, state: SettingsSource) -> dict[str, str]:
        return {name: value for name, value in self.set.items() if state.environment.get(name) != value}


def _from(state: SettingsSource, name: str, now: str | None = "") -> str:
    """Return the source of a setting in parentheses, with its value `now`; "" if it is not set or has no known source."""
    source = state.source(name)
    if not source or now is None:
        return ""
    return f" ({now} from {source})" if now else f" (from {source})"


@dataclass(frozen=True, slots=True)
class ComposeDeclaration:
    """The settings of a service as the project declares them, per file and as resolved by Compose."""

    project: ComposeProject
    name: str
    files: tuple[File, ...]
    environment: Mapping[str, str]
    version: Version | None
    judged: tuple[Setting, ...]

    @property
    def where(self) -> str:
        """The service."""
        return f"in service {self.name}"

    def source(self, name: str) -> str:
        """Return "": the files are named by the changes."""
        return ""

    def remark(self, going: Sequence[str]) -> str:
        """Name the settings that come from elsewhere."""
        elsewhere = [name for name in going if all(name not in {entry.name for entry in file.entries} for file in self.files)]
        paths = ", ".join(file.path for file in self.files)
        return f"{', '.join(elsewhere)} is defined in none of {paths}; check env_file" if elsewhere else ""

    def edits(self, going: Sequence[str], put: Mapping[str, str]) -> Iterator[Change]:
        """Yield one change per file."""
        for file in self.files:
            removed = [entry.name for entry in file.entries if entry.name in going]
            made = {name: value for name, value in put.items() if file is home_of(self.files, self.name, name)}
            text = ComposeText(file.path, file.text).remove(self.name, removed) if removed else file.text
            for name, value in made.items():
                text = ComposeText(file.path, text).put(self.name, name, value)
            if text != file.text:
                words = ", ".join(
                    [f"remove {name}" for name in removed] + [f"set {name}={value}" for name, value in made.items()]
                )
                yield compose_edit(
                    f"{words} of service {self.name} in {file.path}" if removed else f"{words} for service {self.name} in {file.path}",
                    file, text, self.name, {**dict.fromkeys(removed), **made}, after=made,
                    before={entry.name: entry.value for entry in file.entries if entry.name in removed or entry.name in made},
                )  # fmt: skip


@step("compose.environment", settle=5.0, in_container=True)
class ComposeEnvironment(SettingsStep):
    """The Compose files give Ollama's service no harmful settings, and all requested ones.

    Which settings are harmful depends on the Ollama release: since v0.12.4, for example, ``OLLAMA_LLM_LIBRARY=cuda`` disables
    the GPU. Settings that the release ignores are reported and kept, unless ``prune`` is set. Only the text of the setting
    itself is changed, and a backup is written next to the file. The container keeps its old settings until stack.up recreates it.
    """

    def observe(self, host: Reader) -> ComposeDeclaration:
        return read_declared(host, self.service)

    def apply(self, host: Writer, change: Change) -> None:
        write_edit(host, change)


def compose_edit(
    summary: str, file: File, text: str, service: str, environment: Mapping[str, str | None] | None = None, **more: Any
) -> Change:
    """Return the change that gives a Compose file the text `text`, in which a service is redefined, with these settings."""
    data = {"service": service, "environment": environment or {}}
    return file_edit(summary, file.path, file.text, text, restore={"service": service}, data=data, **more)


def read_declared(host: Reader, service: str | None) -> ComposeDeclaration:
    """Return what the project declares for Ollama's service. Raises `CallFailed` if the files or the service cannot be read."""
    project = resolve_project(host)
    resolved = host.compose.config(project)
    services = resolved.get("services") or {}
    name = resolve_service(host, services, service)
    files = tuple(project_files(host, project, name))
    environment = _environment(services[name])
    version = _version(host, services[name])
    return ComposeDeclaration(project, name, files, environment, version, judge_declared(environment, version, cards_of(host)))


def resolve_service(host: Reader, services: Mapping[str, Any], given: str | None) -> str:
    """Return the selected service: `given`, else the target's, else the only service that runs Ollama."""
    target = host.target()
    name = given or (str(target.service.value) if target.service is not None else None)
    if name is not None:
        if name in services:
            return name
        raise CallFailed(
            f"the project has no service {name!r}; it has {', '.join(services) or 'none'}",
            host=host.name, next_step="set the parameter service to one of them",
        )  # fmt: skip
    running = [key for key, one in services.items() if any(part in str((one or {}).get("image", "")) for part in IMAGES)]
    if len(running) == 1:
        return running[0]
    problem = f"{', '.join(running)} all run Ollama" if running else f"none of {', '.join(services) or 'no services'} runs Ollama"
    raise CallFailed(f"cannot determine the service: {problem}", host=host.name, next_step="set the parameter service")


def project_files(host: Reader, project: ComposeProject, service: str) -> Iterator[File]:
    """Yield the project's files and the files they include or extend, each once."""
    waiting, seen = list(project.files), set()
    while waiting:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        content = host.files.read(path)
        if content is None:
            if path in project.files:
                raise CallFailed(
                    f"the Compose file {path} does not exist", host=host.name, next_step="correct compose_files in the inventory"
                )
            continue
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            raise CallFailed(f"{path} is not UTF-8", host=host.name, next_step=f"save {path} as UTF-8") from None
        parsed = ComposeText(path, text)
        waiting += parsed.others()
        yield File(path, text, tuple(parsed.entries(service)))


def home_of(files: Sequence[File], service: str, name: str) -> File:
    """Return the file to edit for a setting: the last that defines it, else the last that defines any for the service."""
    standing = [place for place in files if any(entry.name == name for entry in place.entries)]
    if standing:
        return standing[-1]
    giving = [place for place in files if place.entries]
    if giving:
        return giving[-1]
    naming = [place for place in files if service in ComposeText(place.path, place.text).services]
    return (naming or list(files))[-1]


def _version(host: Reader, definition: Mapping[str, Any]) -> Version | None:
    """Return the Ollama release that will read the settings: from the running server, else from the image tag."""
    try:
        return parse_version(host.ollama.version())
    except NO_ANSWER:
        image = str(definition.get("image") or "")
        return parse_version(image.rsplit(":", 1)[-1]) if ":" in image else None


def _environment(definition: Mapping[str, Any]) -> dict[str, str]:
    found = definition.get("environment") or {}
    if isinstance(found, Mapping):
        return {str(name): "" if value is None else str(value) for name, value in found.items()}
    return dict(str(item).partition("=")[::2] for item in found)


def setting_text(value: object) -> object:
    """Return a setting of a playbook as text. Values of other types are left for the validation."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


def check_variable_names(names: Iterable[str]) -> None:
    """Raise ValueError for a name that no environment variable can have, and for a value that spans lines."""
    for name in names:
        if not _NAME.fullmatch(name):
            msg = f"{name!r} is not the name of an environment variable: letters, digits and underscores, no digit first"
            raise ValueError(msg)
    for name, value in names.items() if isinstance(names, Mapping) else ():
        if not str(value).isprintable() and str(value):
            msg = f"the value of {name} contains a line break or another control character"
            raise ValueError(msg)
