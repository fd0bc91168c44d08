"""Settings in the project's ``.env`` file, and recreation of the services that read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import field_validator

from remediation.facets.protocols import Reader, Writer
from remediation.facets.target import dotenv_of
from remediation.model.change import Change, Risk
from remediation.model.errors import CallFailed, NotApplicable
from remediation.model.facts import ComposeProject, Container
from remediation.model.text.dotenv import dotenv_settings, with_dotenv_setting
from remediation.steps.compose.stack import containers_of
from remediation.steps.contract import Step, param, step
from remediation.steps.file_edit import file_edit, write_edit
from remediation.steps.resolve import resolve_project
from remediation.steps.run_info import DOTENV, is_since, pending_dotenv, pending_services, run_started


@dataclass(frozen=True, slots=True)
class EnvFile:
    """An ``.env`` file: its path and its text, or None if it does not exist."""

    path: str
    text: str | None

    @property
    def settings(self) -> dict[str, str]:
        """The settings by name. The last definition wins; quotes are removed."""
        return dotenv_settings(self.text or "")


@step("env_file.set", settle=5.0, in_container=True)
class EnvFileSet(Step[EnvFile]):
    """The project's ``.env`` contains these settings. It is edited in place with a backup, and comments are preserved.

    Containers keep their old values until they are recreated (service.recreated): ``docker compose restart`` does not apply
    changes to the file (Docker documentation, "docker compose restart").
    """

    set: dict[str, str] = param("settings by name", example={"OLLAMA_MODEL": "mistral:7b-instruct-q3_K_M"}, min_length=1)
    path: str | None = param(
        "path of the file; defaults to .env in the project directory", default=None, example="C:\\dev\\activia1\\.env"
    )

    @field_validator("set", mode="before")
    @classmethod
    def _set(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        for name, one in value.items():
            if not re.fullmatch(r"[A-Za-z_]\w*", str(name)):
                msg = f"{name!r} is not a valid setting name"
                raise ValueError(msg)
            if isinstance(one, str) and ("\n" in one or "\r" in one):
                msg = f"{name} must be a single line"
                raise ValueError(msg)
        return {str(name): str(one).lower() if isinstance(one, bool) else str(one) for name, one in value.items()}

    def observe(self, host: Reader) -> EnvFile:
        path = self.path or dotenv_of(resolve_project(host))
        content = host.files.read(path)
        try:
            return EnvFile(path, None if content is None else content.decode("utf-8"))
        except UnicodeDecodeError:
            raise CallFailed(f"{path} is not UTF-8", host=host.name, next_step=f"save {path} as UTF-8") from None

    def is_met(self, state: EnvFile) -> bool:
        settings = state.settings
        return all(settings.get(name) == value for name, value in self.set.items())

    def plan(self, state: EnvFile) -> Iterator[Change]:
        now = state.settings
        lacking = {name: value for name, value in self.set.items() if now.get(name) != value}
        if not lacking:
            return
        text = state.text or ""
        for name, value in lacking.items():
            text = with_dotenv_setting(text, name, value)
        yield file_edit(
            f"set {', '.join(f'{name}={value}' for name, value in lacking.items())} in {state.path}", state.path, state.text, text,
            restore={"readers": True}, data={DOTENV: state.path}, before={name: now.get(name) for name in lacking}, after=dict(lacking),
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        write_edit(host, change)

    def describe(self, state: EnvFile) -> str:
        now = state.settings
        return f"{state.path}: " + ", ".join(f"{name} is {now.get(name, 'not set')}" for name in self.set)

    def values(self, state: EnvFile) -> dict[str, Any]:
        """Register only the requested settings, because ``.env`` files hold secrets."""
        return {"path": state.path, "settings": {name: state.settings.get(name) for name in self.set}}


@dataclass(frozen=True, slots=True)
class Service:
    """A service's container, the start of the run, and whether the container differs from its definition."""

    project: ComposeProject
    name: str
    container: Container | None
    since: float
    stale: bool

    @property
    def fresh(self) -> bool:
        """Whether the container was created during this run."""
        return self.container is not None and is_since(self.container.created_at, self.since)


@step("service.recreated", risk=Risk.DISRUPTIVE, settle=60.0, once_per_run=True, deadline=600.0, in_container=True)
class ServiceRecreated(Step[Service]):
    """The service runs in a container that matches its current definition and ``.env``.

    A matching container stays, unless ``always`` is set: then it is recreated once per run. Defaults to the service that uses
    Ollama.
    """

    service: str | None = param("service name; defaults to the service that uses Ollama", default=None, example="api")
    always: bool = param("recreate the container even if it matches its definition", default=False)

    def observe(self, host: Reader) -> Service:
        project = resolve_project(host)
        known = host.compose.config(project).get("services") or {}
        target = host.target().application
        name = self.service or (str(target.value) if target is not None else "")
        served = host.target().service
        if not name and served is not None and set(known) == {str(served.value)}:
            raise NotApplicable(f"does not apply, because the project has no service but {served.value}", host=host.name)
        if name not in known:
            raise CallFailed(
                f"the project has no service {name!r}; it has {', '.join(known) or 'none'}" if name
                else f"cannot determine which service uses Ollama; the project has {', '.join(known) or 'none'}",
                host=host.name, next_step="set service",
            )  # fmt: skip
        container = containers_of(host.engine.containers(), project).get(name)
        stale = name in host.compose.stale(project) or name in pending_services(host) or pending_dotenv(host)
        return Service(project, name, container, run_started(host), stale)

    def is_met(self, state: Service) -> bool:
        runs = state.container is not None and state.container.running
        return runs and not state.stale and (state.fresh or not self.always)

    def plan(self, state: Service) -> Iterator[Change]:
        if not self.is_met(state):
            word = "create" if state.container is None else "recreate" if state.stale or self.always else "start"
            yield Change(
                f"{word} {state.name}", subject=state.name, before=state.container.id if state.container is not None else None,
                risk=Risk.SAFE if word != "recreate" else Risk.DISRUPTIVE, data={"recreate": word == "recreate"},
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        host.compose.up(resolve_project(host), [change.subject], recreate=change.data["recreate"], deps=False)

    def describe(self, state: Service) -> str:
        if state.container is None:
            return f"{state.name} has no container"
        differs = "differs from its definition" if state.stale else "is as defined"
        return f"{state.name} is {state.container.status} and {differs}"
