"""Compose projects through the ``docker compose`` plugin, Docker's only implementation of Compose."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from remediation.connections.calls import Completed, Failed, Reply, Run
from remediation.facets.checked import checked
from remediation.facets.docker import containers
from remediation.facets.docker.engine import NOT_INSTALLED, engine_advice
from remediation.facets.snapshot import Snapshot, last_error_line
from remediation.model.errors import CallFailed
from remediation.model.facts import ComposeProject, Container
from remediation.model.text.json_text import load_json

_WARNING = re.compile(r'level=warning msg="((?:[^"\\]|\\.)*)"')
_NO_PLUGIN = "install the Compose plugin: docker compose version must answer"


@checked("compose")
class CommandCompose:
    """Reads projects through ``docker compose``. `listed` returns the engine's containers, whose labels show their definition."""

    def __init__(self, snapshot: Snapshot, environment: Mapping[str, str], listed: Callable[[], Sequence[Container]]) -> None:
        self._snapshot = snapshot
        self._environment = dict(environment)
        self._containers = listed

    def config_run(self, project: ComposeProject) -> Run:
        """Return the call that resolves the definition."""
        return self._run(project, "config", "--format", "json")

    def hash_run(self, project: ComposeProject) -> Run:
        """Return the call that prints each service's configuration hash."""
        return self._run(project, "config", "--hash", "*")

    def config(self, project: ComposeProject) -> Mapping[str, Any]:
        """Return the resolved definition."""
        done = self._check_ended(self._snapshot.fetch(self.config_run(project))[0], project)
        try:
            found: dict[str, Any] = load_json(done.text)
        except ValueError as error:
            raise CallFailed(f"Compose's definition of {project.name} is not JSON: {error}", host=self._snapshot.host) from error
        return found

    def warnings(self, project: ComposeProject) -> Sequence[str]:
        """Return Compose's warnings about the project."""
        return warnings_in(
            self._check_ended(self._snapshot.fetch(self.config_run(project))[0], project).stderr.decode("utf-8", errors="replace")
        )

    def stale(self, project: ComposeProject) -> Sequence[str]:
        """Return the services without a container, or with one that differs from the definition."""
        wanted = hashes(self._check_ended(self._snapshot.fetch(self.hash_run(project))[0], project).text)
        running: dict[str, set[str]] = {}
        for each in self._containers():
            labels = each.labels
            if labels.get(containers.PROJECT) == project.name and labels.get(containers.ONE_OFF, "False") != "True":
                running.setdefault(labels.get(containers.SERVICE, ""), set()).add(labels.get(containers.CONFIG_HASH, ""))
        return [service for service, fingerprint in wanted.items() if running.get(service) != {fingerprint}]

    def _run(self, project: ComposeProject, *words: str, timeout: float = 60.0, writes: bool = False) -> Run:
        files = [word for path in project.files for word in ("--file", path)]
        files += [word for name in project.profiles for word in ("--profile", name)]
        head = ("docker", "compose", "--project-name", project.name, "--project-directory", project.working_dir, *files)
        return Run((*head, *words), timeout=timeout, writes=writes, cwd=project.working_dir or None, env=self._environment)

    def _check_ended(self, reply: Reply, project: ComposeProject) -> Completed:
        what = f"Compose project {project.name}"
        if isinstance(reply, Failed) and reply.kind == "not-found":
            raise CallFailed(f"{what}: {reply.message}", host=self._snapshot.host, next_step=NOT_INSTALLED)
        if isinstance(reply, Completed) and reply.rc != 0:
            message = error_message(reply)
            raise CallFailed(
                f"{what}: {message}", host=self._snapshot.host, next_step=advice_on(message), status=reply.rc, output=message
            )
        return self._snapshot.completed(reply, what)


@checked("compose")
class CommandComposeWriter(CommandCompose):
    """Adds bringing projects up and down. No services means all services."""

    def up(
        self, project: ComposeProject, services: Sequence[str], *, recreate: bool = False, deps: bool = True, timeout: float = 600.0
    ) -> None:  # fmt: skip
        """Create or recreate services that differ; with `recreate` always, without `deps` only these services."""
        flags = [flag for flag, wanted in (("--force-recreate", recreate), ("--no-deps", not deps)) if wanted]
        self._change(project, timeout, "up", "--detach", *flags, *services)

    def build(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 1800.0) -> None:
        """Build the images of services that have a build section."""
        self._change(project, timeout, "build", *services)

    def start(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:
        """Start existing containers."""
        self._change(project, timeout, "start", *services)

    def stop(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:
        """Stop containers without removing them."""
        self._change(project, timeout, "stop", *services)

    def remove(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:
        """Stop and remove containers; volumes are kept."""
        self._change(project, timeout, "rm", "--stop", "--force", *services)

    def down(self, project: ComposeProject, *, timeout: float = 180.0) -> None:
        """Stop and remove the project's containers and networks; volumes are kept."""
        self._change(project, timeout, "down")

    def _change(self, project: ComposeProject, timeout: float, *words: str) -> None:
        self._check_ended(self._snapshot.write(self._run(project, *words, timeout=timeout, writes=True)), project)


def warnings_in(stderr: str) -> tuple[str, ...]:
    """Return the warnings in Compose's output, in order and without duplicates."""
    found = (re.sub(r"\\(.)", r"\1", each) for each in _WARNING.findall(stderr))
    return tuple(dict.fromkeys(found))


def hashes(text: str) -> dict[str, str]:
    """Parse ``config --hash`` into the configuration hash of each service."""
    found = {}
    for line in text.splitlines():
        service, _, fingerprint = line.strip().rpartition(" ")
        if service:
            found[service] = fingerprint
    return found


def error_message(done: Completed) -> str:
    """Return Compose's error message without progress and warnings."""
    lines = done.stderr.decode("utf-8", errors="replace").splitlines()
    kept = [line.strip() for line in lines if line.strip() and not _WARNING.search(line) and not _progress(line)]
    return " ".join(" ".join(kept[-3:]).split()) or last_error_line(done) or f"exit code {done.rc}"


def _progress(line: str) -> bool:
    return re.match(r"^\s*(DRY-RUN MODE -\s+)?(Network|Volume|Container|Image)\s+\S+\s+[A-Z][a-z]+\s*$", line) is not None


def advice_on(message: str) -> str:
    """Return the next step for an error message of Compose."""
    low = message.lower()
    if "credentials" in low or "daemon running" in low or "error during connect" in low or "docker daemon" in low:
        return engine_advice(message)
    if (
        "unknown docker command" in low
        or "is not a docker command" in low
        or "unknown flag: --project-name" in low
        or "unknown shorthand flag" in low
    ):
        return _NO_PLUGIN
    if "no such file" in low or "cannot find the" in low or "no configuration file" in low:
        return "set compose_files and compose_project in the inventory"
    if "could not select device driver" in low:
        return "the engine has no NVIDIA runtime: install the NVIDIA container toolkit (Linux) or enable WSL 2 (Windows)"
    return "correct the Compose file; docker compose config shows the place"
