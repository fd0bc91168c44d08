"""The Docker engine by its command line, in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from remediation.connections.base import Completed, Failed, Run
from remediation.facets import containers
from remediation.facets.look import Look, last_words
from remediation.model.errors import CallFailed
from remediation.model.facts import Container, EngineFacts

WHAT = "asking the Docker engine"
NOT_INSTALLED = "install Docker, or say where Ollama is: endpoint: http://127.0.0.1:11434"
START = "start Docker (Docker Desktop, or systemctl start docker) and try again"


class CommandEngine:
    """By ``docker``; `environment` is what the command needs to find the engine (``DOCKER_HOST``)."""

    def __init__(self, look: Look, environment: Mapping[str, str]) -> None:
        self._look = look
        self._environment = dict(environment)
        self.ids = self._run("ps", "--all", "--quiet", "--no-trunc")
        self.info = self._run("info", "--format", "{{json .}}")
        self.version = self._run("version", "--format", "{{json .}}")

    def _run(self, *words: str, timeout: float = 30.0, writes: bool = False) -> Run:
        return Run(("docker", *words), timeout=timeout, writes=writes, env=self._environment)

    def facts(self) -> EngineFacts:
        """Return what the engine says about itself."""
        asked, version = self._look.ask(self.info, self.version)
        info = _json(self._ended(asked))
        if info.get("ServerErrors"):
            raise self._down(" ".join(info["ServerErrors"]))
        return containers.engine(info, _json(self._ended(version)))

    def containers(self) -> Sequence[Container]:
        """Return all containers, in one more exchange after the list of their ids."""
        ids = self._ended(self._look.ask(self.ids)[0]).text.split()
        if not ids:
            return ()
        # a container that went away in between is an error for the command, but the others' records are printed
        done = self._ended(self._look.ask(self._records(ids))[0], codes=(0, 1))
        return tuple(containers.container(record) for record in _json(done))

    def record_calls(self) -> tuple[Run, ...]:
        """Return what `containers` will ask for, from the ids that this look knows; nothing where it knows none."""
        reply = self._look.ask(self.ids)[0]
        ids = reply.text.split() if isinstance(reply, Completed) and reply.rc == 0 else []
        return (self._records(ids),) if ids else ()

    def _records(self, ids: Sequence[str]) -> Run:
        return self._run("inspect", "--type", "container", *ids)

    def inspect(self, name: str) -> Container | None:
        """Return one container, or None."""
        if self._look.knows(self.ids):  # then the records of all are known, or are the next thing to be asked
            return next((each for each in self.containers() if name in {each.name, each.id}), None)
        asked = self._look.ask(self._run("inspect", "--type", "container", name))[0]
        if isinstance(asked, Completed) and asked.rc != 0 and "no such" in last_words(asked).lower():
            return None
        return containers.container(_json(self._ended(asked))[0])

    def logs(self, name: str, *, tail: int = 4000) -> str:
        """Return the end of both streams, in the order in which the lines were written."""
        done = self._ended(self._look.ask(self.log_call(name, tail))[0])
        return merged(done.stdout, done.stderr)

    def log_call(self, name: str, tail: int) -> Run:
        """Return the command for the end of a container's log."""
        return self._run("logs", "--timestamps", "--tail", str(tail), name, timeout=60.0)

    def _ended(self, reply: object, what: str = WHAT, *, codes: Sequence[int] = (0,)) -> Completed:
        if isinstance(reply, Failed) and reply.kind == "not-found":
            raise CallFailed("docker is not installed", host=self._look.host, next_step=NOT_INSTALLED)
        if isinstance(reply, Completed) and reply.rc not in codes and _unreachable(last_words(reply)):
            raise self._down(last_words(reply), reply.rc)
        return self._look.ended(reply, what, codes=codes)  # type: ignore[arg-type]  # a Reply by its origin

    def _down(self, said: str, rc: int | None = None) -> CallFailed:
        return CallFailed(
            f"the Docker engine does not answer: {said}", host=self._look.host, next_step=START, status=rc, output=said
        )


class CommandEngineWriter(CommandEngine):
    """And changing containers."""

    def restart(self, name: str, *, timeout: float = 30.0) -> None:
        """Restart one container; it has `timeout` seconds to stop by itself."""
        self._ended(
            self._look.write(self._run("restart", "--time", str(round(timeout)), name, timeout=timeout + 60, writes=True)),
            f"restarting {name}",
        )


def _unreachable(said: str) -> bool:
    low = said.lower()
    return (
        "daemon running" in low
        or "error during connect" in low
        or "daemon is not running" in low
        or "cannot connect to the docker" in low
    )


def _json(done: Completed) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(done.text)
    except ValueError as error:
        raise CallFailed(f"{WHAT} failed: its answer is no JSON ({error})", output=done.text[:200]) from error


def merged(stdout: bytes, stderr: bytes) -> str:
    """Return the lines of both streams in order of their timestamps, without these."""
    rows = []
    for stream in (stdout, stderr):
        for line in stream.decode("utf-8", errors="replace").splitlines():
            stamp, _, text = line.partition(" ")
            rows.append((_comparable(stamp), text))
    return "".join(f"{text}\n" for _, text in sorted(rows, key=lambda row: row[0]))


def _comparable(stamp: str) -> str:
    """Return an RFC 3339 time with nine digits: the engine drops zeros at the end, and so the texts would not compare."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return f"{whole}.{fraction:0<9}"
