"""Builds the project's images and recreates their containers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk
from remediation.model.facts import ComposeProject, Container
from remediation.steps.compose.stack import containers_of, refuse_unset
from remediation.steps.contract import Step, param, step
from remediation.steps.resolve import resolve_project
from remediation.steps.run_info import is_since, run_started

BUILD_TIMEOUT = 1800.0


@dataclass(frozen=True, slots=True)
class Built:
    """A project, its services with a build section, and those whose container is older than this run."""

    project: ComposeProject
    services: tuple[str, ...]
    old: tuple[str, ...]


@step("stack.built", risk=Risk.DISRUPTIVE, settle=60.0, once_per_run=True, deadline=BUILD_TIMEOUT + 600.0, in_container=True)
class StackBuilt(Step[Built]):
    """The project's images were built in this run, and its containers run from them.

    Use this for changed sources only. Changed settings need no build: stack.up recreates the services that differ.
    """

    services: tuple[str, ...] = param("service names; defaults to all with a build section", default=(), example=["api"])

    def observe(self, host: Reader) -> Built:
        project, since = resolve_project(host), run_started(host)
        refuse_unset(host, project)
        defined = host.compose.config(project).get("services") or {}
        built = tuple(
            name for name, one in defined.items() if (one or {}).get("build") and (not self.services or name in self.services)
        )
        containers = containers_of(host.engine.containers(), project)
        return Built(project, built, tuple(name for name in built if not _fresh(containers.get(name), since)))

    def is_met(self, state: Built) -> bool:
        return not state.old

    def plan(self, state: Built) -> Iterator[Change]:
        if state.old:
            yield Change(
                f"build {', '.join(state.old)} and recreate from the new image ({state.project.name})", subject=state.project.name,
                data={"services": list(state.old)},
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        project, services = resolve_project(host), change.data["services"]
        host.compose.build(project, services, timeout=BUILD_TIMEOUT)
        host.compose.up(project, services, recreate=True, deps=False)

    def describe(self, state: Built) -> str:
        if not state.services:
            return f"no service of {state.project.name} has a build section"
        return (
            f"{', '.join(state.old)} is older than this run"
            if state.old
            else f"{', '.join(state.services)} was built in this run"
        )

    def values(self, state: Built) -> dict[str, Any]:
        return {"services": list(state.services), "old": list(state.old)}


def _fresh(container: Container | None, since: float) -> bool:
    return container is not None and container.running and is_since(container.created_at, since)
