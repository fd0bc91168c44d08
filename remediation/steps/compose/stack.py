"""Brings a Compose project up and recreates only the services whose definition changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk
from remediation.model.errors import Blocked, CallFailed, DeadlineExceeded
from remediation.model.facts import ComposeProject, Container
from remediation.steps.compose.text import ComposeText
from remediation.steps.contract import Step, param, step
from remediation.steps.resolve import resolve_project
from remediation.steps.run_info import pending_services

RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Stack:
    """A project: its services, those whose container differs from the files or is missing, and those that are not running.

    ``silent`` is the reason why Ollama does not answer although its service belongs to the project, else "".
    """

    project: ComposeProject
    services: tuple[str, ...]
    stale: tuple[str, ...]
    stopped: tuple[str, ...]
    missing: tuple[str, ...]
    silent: str = ""

    @property
    def due(self) -> tuple[str, ...]:
        """The services that ``up`` would create, recreate or start."""
        return tuple(name for name in self.services if name in {*self.stale, *self.stopped, *self.missing})


@step("stack.up", risk=Risk.DISRUPTIVE, settle=90.0, deadline=900.0, in_container=True)
class StackUp(Step[Stack]):
    """The project's containers run as its files define them. Only services that differ are recreated.

    Blocked if the environment of this login would resolve the files differently from the environment the project was started
    in: a variable is unset, or an interpolated value differs from the value in the running container.
    """

    services: tuple[str, ...] = param("service names; defaults to all", default=(), example=["ollama"])

    def observe(self, host: Reader) -> Stack:
        """Read the definition and its differences. Raises `Blocked` if this login would resolve the files differently."""
        project = resolve_project(host)
        config = host.compose.config(project)
        names = tuple(self._chosen_services(host, config))
        refuse_unset(host, project)
        containers = containers_of(host.engine.containers(), project)
        edited = pending_services(host)
        stale = {*host.compose.stale(project), *edited}
        _refuse_foreign(host, project, config, [name for name in names if name in stale], containers)
        return Stack(
            project=project,
            services=names,
            stale=tuple(name for name in names if name in stale and name in containers),
            stopped=tuple(name for name in names if name in containers and not containers[name].running),
            missing=tuple(name for name in names if name not in containers),
            silent=silence(host, names),
        )

    def is_met(self, state: Stack) -> bool:
        return not state.due and not state.silent

    def plan(self, state: Stack) -> Iterator[Change]:
        """Bring all due services up in one call."""
        if not state.due:
            return
        words = [
            f"{verb} {', '.join(names)}"
            for verb, names in (
                ("recreate", state.stale),
                ("start", tuple(name for name in state.stopped if name not in state.stale)),
                ("create", state.missing),
            )
            if names
        ]
        yield Change(
            f"{'; '.join(words)} ({state.project.name})",
            subject=state.project.name,
            before=dict.fromkeys(state.due, "differs from the files"),
            after=dict.fromkeys(state.due, RUNNING),
            risk=Risk.DISRUPTIVE if state.stale else Risk.SAFE,
            data={"services": list(state.due)},
        )

    def apply(self, host: Writer, change: Change) -> None:
        host.compose.up(resolve_project(host), change.data["services"])

    def describe(self, state: Stack) -> str:
        if not state.due:
            return state.silent or f"{', '.join(state.services)} of {state.project.name} run as defined"
        parts = [f"{', '.join(state.stale)} differs from the files"] if state.stale else []
        parts += [f"{', '.join(state.stopped)} is not running"] if state.stopped else []
        parts += [f"{', '.join(state.missing)} has no container"] if state.missing else []
        return "; ".join(parts)

    def measured_effect(self, change: Change, before: Stack, after: Stack) -> str:
        return self.describe(after)

    def values(self, state: Stack) -> dict[str, Any]:
        return {"project": state.project.name, "services": list(state.services), "due": list(state.due)}

    def _chosen_services(self, host: Reader, config: Mapping[str, Any]) -> Sequence[str]:
        known = list(config.get("services") or {})
        unknown = [name for name in self.services if name not in known]
        if unknown:
            raise CallFailed(
                f"the project has no service {unknown[0]!r}; it has {', '.join(known) or 'none'}",
                host=host.name, next_step="set the parameter services to some of them",
            )  # fmt: skip
        return [name for name in known if not self.services or name in self.services]


def containers_of(containers: Sequence[Container], project: ComposeProject) -> dict[str, Container]:
    """Return the project's containers by service name."""
    label = "com.docker.compose.project"
    return {item.service: item for item in containers if item.service and item.labels.get(label, project.name) == project.name}


def silence(host: Reader, services: Sequence[str]) -> str:
    """Return why Ollama does not answer. Returns "" if it does, or if it belongs to none of these services."""
    service = host.target().service
    if service is None or service.value not in services:
        return ""
    return silence_of(host)


def silence_of(host: Reader) -> str:
    """Return why Ollama does not answer, or ""."""
    try:
        host.ollama.version()
    except (CallFailed, DeadlineExceeded) as error:
        return error.message
    return ""


def refuse_unset(host: Reader, project: ComposeProject) -> None:
    """Raise `Blocked` if Compose reports an unset variable: the session that started the project had a value for it."""
    warnings = [text for text in host.compose.warnings(project) if "not set" in text]
    if warnings:
        raise Blocked(
            f"this session lacks environment variables that {project.name} was started with: {'; '.join(warnings)}",
            host=host.name,
            next_step=f"set the variable in the .env file in {project.working_dir}, or run stack.up in that session",
        )


def _refuse_foreign(
    host: Reader, project: ComposeProject, config: Mapping[str, Any], stale: Sequence[str], running: Mapping[str, Container]
) -> None:
    """Raise `Blocked` if an interpolated value differs from the value in the running container."""
    differing: list[str] = []
    texts = [ComposeText(path, (host.files.read(path) or b"").decode("utf-8", errors="replace")) for path in project.files]
    for name in stale:
        container, definition = running.get(name), (config.get("services") or {}).get(name) or {}
        if container is None:
            continue
        filled = {entry.name for text in texts for entry in text.entries(name) if entry.interpolated}
        environment = definition.get("environment") or {}
        differing += [
            f"{name}: {key} is {environment.get(key)!r} here and {container.environment[key]!r} in the container"
            for key in sorted(filled)
            if key in container.environment and container.environment[key] != str(environment.get(key) or "")
        ]
        image = str(definition.get("image") or "")
        if any(path == "image" for text in texts for path, _ in text.strings(name)) and image and container.image != image:
            differing.append(f"{name}: its image is {image} here and {container.image} in the container")
    if differing:
        raise Blocked(
            f"Compose resolves {project.name} differently in this session than in the one that started it: {'; '.join(differing)}",
            host=host.name,
            next_step=f"write the values into the files or into .env in {project.working_dir}, or run stack.up in that session",
        )
