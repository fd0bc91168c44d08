"""The Docker engine through the ``docker`` command and its JSON output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from operator import itemgetter
from typing import Any

from remediation.connections.calls import Completed, Failed, Reply, Run
from remediation.facets.checked import checked
from remediation.facets.docker import containers, recreation
from remediation.facets.scripts import shell
from remediation.facets.snapshot import Snapshot, last_error_line
from remediation.model.errors import CallFailed
from remediation.model.facts import Container, ContainerStats, EngineFacts, ExecResult, Volume
from remediation.model.text.json_text import load_json

WHAT = "querying the Docker engine"
NOT_INSTALLED = "install Docker, or set the address of Ollama: endpoint: http://127.0.0.1:11434"
START = "start Docker (Docker Desktop, or systemctl start docker) and try again"
RIGHTS = "give the login access to Docker: root or the group docker on Linux, an administrator or the user who started Docker Desktop on Windows"
CREDENTIALS = "pull the images at the desktop (docker compose pull): a remote login has no access to Docker's credential store"


@checked("engine")
class CommandEngine:
    """Reads the engine through ``docker``; `environment` is passed to the command (``DOCKER_HOST``)."""

    def __init__(self, snapshot: Snapshot, environment: Mapping[str, str]) -> None:
        self._snapshot = snapshot
        self._environment = dict(environment)
        self.ids = self._run("ps", "--all", "--quiet", "--no-trunc")
        self.info = self._run("info", "--format", "{{json .}}")
        self.version = self._run("version", "--format", "{{json .}}")

    def _run(self, *words: str, timeout: float = 30.0, writes: bool = False) -> Run:
        return Run(("docker", *words), timeout=timeout, writes=writes, env=self._environment)

    def facts(self) -> EngineFacts:
        """Return the engine's version, memory and runtimes."""
        reply, version = self._snapshot.fetch(self.info, self.version)
        info = _json(self._check_ended(reply))
        if info.get("ServerErrors"):
            raise self._down(" ".join(info["ServerErrors"]))
        return containers.engine(info, _json(self._check_ended(version)))

    def containers(self) -> Sequence[Container]:
        """Return all containers. Needs a second exchange after the list of their IDs."""
        ids = self._check_ended(self._snapshot.fetch(*self.first_calls())[0]).text.split()
        if not ids:
            return ()
        self._snapshot.hints["ids"] = ids
        # the command fails for containers removed in between but prints the records of the others
        done = self._check_ended(self._snapshot.fetch(self._records(ids))[0], codes=(0, 1))
        found: Sequence[Container] = _json(done, _containers)
        return found

    def first_calls(self) -> tuple[Run, ...]:
        """Return the first calls of `containers`: the IDs, and the records of the containers of the previous snapshot."""
        before = self._snapshot.hints.get("ids")
        return (self.ids, self._records(before)) if before else (self.ids,)

    def record_calls(self) -> tuple[Run, ...]:
        """Return the further calls of `containers` for the IDs in this snapshot, if it has any."""
        reply = self._snapshot.fetch(self.ids)[0]
        ids = reply.text.split() if isinstance(reply, Completed) and reply.rc == 0 else []
        return (self._records(ids),) if ids else ()

    def _records(self, ids: Sequence[str]) -> Run:
        return self._run("inspect", "--type", "container", *ids)

    def inspect(self, name: str) -> Container | None:
        """Return one container, or None."""
        if self._snapshot.has_reply(self.ids):  # the records of all containers are known or will be read next
            return next((each for each in self.containers() if name in {each.name, each.id}), None)
        reply = self._snapshot.fetch(self._run("inspect", "--type", "container", name))[0]
        if isinstance(reply, Completed) and reply.rc != 0 and "no such" in last_error_line(reply).lower():
            return None
        return containers.container(_json(self._check_ended(reply))[0])

    def logs(self, name: str, *, tail: int = 4000) -> str:
        """Return the end of both output streams, sorted by time."""
        done = self._check_ended(self._snapshot.fetch(self.log_call(name, tail))[0])
        return merge_records(done.stdout, done.stderr)

    def exec(self, name: str, argv: Sequence[str], *, timeout: float = 60.0) -> ExecResult:
        """Run a read-only program inside a running container."""
        return self._exec_result(self._snapshot.fetch(self._run("exec", name, *argv, timeout=timeout))[0], name, argv)

    def _exec_result(self, reply: Reply, name: str, argv: Sequence[str]) -> ExecResult:
        if isinstance(reply, Completed) and reply.rc != 0 and reply.stderr.lstrip().startswith((b"Error response", b"Error: ")):
            self._check_ended(reply, f"running {argv[0]} in {name}")
        done = self._check_ended(reply, f"running {argv[0]} in {name}", codes=range(256))
        return containers.exec_result(done.rc, done.text, done.stderr.decode("utf-8", errors="replace"))

    def stats(self, name: str) -> ContainerStats:
        """Return the resource use of a running container."""
        found = self.inspect(name)
        if found is None or not found.running:
            raise CallFailed(f"container {name} is not running", host=self._snapshot.host)
        done = self._check_ended(self._snapshot.fetch(self._run("stats", "--no-stream", "--format", "{{json .}}", name))[0])
        seen = containers.parse_stats(_json(done), containers.memory_limit(found))
        if seen is None:
            raise CallFailed(f"the engine does not report the memory use of {name}", host=self._snapshot.host)
        return seen

    def volumes(self) -> Sequence[Volume]:
        """Return the named volumes with the containers that mount them."""
        names = self._check_ended(self._snapshot.fetch(self._run("volume", "ls", "--quiet"))[0]).text.split()
        if not names:
            return ()
        done = self._check_ended(self._snapshot.fetch(self._run("volume", "inspect", *names))[0], codes=(0, 1))
        users = self.containers()
        return tuple(containers.volume(record, users) for record in _json(done))

    def log_call(self, name: str, tail: int) -> Run:
        """Return the call for the end of a container's log."""
        return self._run("logs", "--timestamps", "--tail", str(tail), name, timeout=60.0)

    def _check_ended(self, reply: Reply, what: str = WHAT, *, codes: Sequence[int] = (0,)) -> Completed:
        if isinstance(reply, Failed) and reply.kind == "not-found":
            raise CallFailed("docker is not installed", host=self._snapshot.host, next_step=NOT_INSTALLED)
        if isinstance(reply, Completed) and reply.rc not in codes and _unreachable(last_error_line(reply)):
            raise self._down(last_error_line(reply), reply.rc)
        return self._snapshot.completed(reply, what, codes=codes)

    def _down(self, message: str, rc: int | None = None) -> CallFailed:
        refused = is_forbidden(message)
        return CallFailed(
            f"the Docker engine {'refuses this login' if refused else 'does not answer'}: {message}",
            host=self._snapshot.host,
            next_step=engine_advice(message),
            status=rc,
            output=message,
        )


@checked("engine")
class CommandEngineWriter(CommandEngine):
    """Adds changing containers and volumes."""

    def restart(self, name: str, *, timeout: float = 30.0) -> None:
        """Restart a container, which is killed if it does not stop within `timeout` seconds."""
        self._check_ended(
            self._snapshot.write(self._run("restart", "--time", str(round(timeout)), name, timeout=timeout + 60, writes=True)),
            f"restarting {name}",
        )

    def execute(self, name: str, argv: Sequence[str]) -> ExecResult:
        """Run a program that changes something inside a running container."""
        return self._exec_result(self._snapshot.write(self._run("exec", name, *argv, timeout=60.0, writes=True)), name, argv)

    def start(self, name: str) -> None:
        """Start a container. A running container is left as it is."""
        self._change("starting", name, "start", name)

    def stop(self, name: str, *, timeout: float = 30.0) -> None:
        """Stop a container, which is killed after `timeout` seconds."""
        self._change("stopping", name, "stop", "--time", str(round(timeout)), name, timeout=timeout + 60)

    def recreate(self, name: str, changed: Mapping[str, Any]) -> None:
        """Replace a container by one with a changed ``HostConfig``."""
        recreation.recreate(self._api, self._snapshot.host, name, changed)

    def give_back(self, name: str) -> None:
        """Let the container that a broken recreation renamed run again under its name."""
        recreation.give_back(self._api, name, recreation.spare_name(name))

    def remove(self, name: str) -> None:
        """Remove a stopped container; its volumes stay."""
        self._change("removing", name, "rm", name)

    def _api(self, method: str, path: str, body: Mapping[str, Any] | None = None, /, *, timeout: float = 60.0) -> Any:
        """Make one request over ``docker system dial-stdio``, which reaches the same engine as the command."""
        what = f"{method} {path.partition('?')[0]}"
        writes = method != "GET" and not path.endswith("/wait")
        call = replace(
            self._run("system", "dial-stdio", timeout=timeout, writes=writes), stdin=recreation.wire(method, path, body)
        )
        done = self._check_ended(self._snapshot.write(call) if writes else self._snapshot.fetch(call)[0], what)
        try:
            status, content = recreation.parse_answer(method, done.stdout)
            answer = load_json(content.decode()) if content.strip() else None
        except ValueError as error:
            raise CallFailed(f"{what}: the engine's answer cannot be read ({error})", host=self._snapshot.host) from error
        if status >= HTTPStatus.BAD_REQUEST:
            message = str((answer or {}).get("message") or f"HTTP {status}") if isinstance(answer, dict) else f"HTTP {status}"
            raise CallFailed(f"the Docker engine refused: {message}", host=self._snapshot.host, status=status, output=message)
        return answer

    def create_volume(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        """Create a local volume unless it exists."""
        words = [word for key, value in (labels or {}).items() for word in ("--label", f"{key}={value}")]
        self._change("creating the volume", name, "volume", "create", *words, name)

    def remove_volume(self, name: str) -> None:
        """Remove a volume and its content, if it exists."""
        reply = self._snapshot.write(self._run("volume", "rm", name, timeout=120, writes=True))
        if isinstance(reply, Completed) and reply.rc != 0 and "no such volume" in last_error_line(reply).lower():
            return
        self._check_ended(reply, f"removing the volume {name}")

    def copy_volume(self, source: str, target: str, *, image: str, paths: Sequence[str] = (".",), timeout: float = 3600.0) -> int:
        """Copy paths from one volume to another in a one-off container, using an image that is already present."""
        name = containers.helper(target)
        self._snapshot.write(self._run("rm", "--force", name, timeout=60.0, writes=True))  # an abandoned helper container
        words = (
            "run", "--rm", "--name", name, "--label", f"{containers.HELPER}=copy", "--pull", "never", "--network", "none", "--user", "0", "--volume", f"{source}:/from:ro", "--volume", f"{target}:/to",
            "--entrypoint", "/bin/sh", image, "-c", shell("copy"), "copy", *paths,
        )  # fmt: skip
        done = self._check_ended(
            self._snapshot.write(self._run(*words, timeout=timeout, writes=True)), f"copying the volume {source} into {target}"
        )
        return int(done.text.split()[-1])

    def _change(self, what: str, name: str, *words: str, timeout: float = 60.0) -> None:
        self._check_ended(self._snapshot.write(self._run(*words, timeout=timeout, writes=True)), f"{what} {name}")


def engine_advice(message: str) -> str:
    """Return the next step for an engine that does not answer or refuses access, from its error message."""
    low = message.lower()
    if "error getting credentials" in low or "logon session does not exist" in low:
        return CREDENTIALS
    return RIGHTS if is_forbidden(message) else START


def is_forbidden(message: str) -> bool:
    """Whether the error message means that the engine runs but denies access to this login."""
    low = message.lower()
    return "access is denied" in low or "permission denied" in low


def _unreachable(message: str) -> bool:
    low = message.lower()
    return (
        "permission denied while trying to connect" in low
        or "daemon running" in low
        or "error during connect" in low
        or "daemon is not running" in low
        or "cannot connect to the docker" in low
    )


def _json(done: Completed, parse: Callable[[str], Any] = load_json) -> Any:
    try:
        return parse(done.text)
    except ValueError as error:
        raise CallFailed(f"{WHAT} failed: its answer is not JSON ({error})", output=done.text[:200]) from error


@lru_cache(maxsize=1024)
def _containers(text: str) -> tuple[Container, ...]:
    """Parse a list of container records. Cached, because most snapshots contain the same list."""
    return tuple(containers.container(record) for record in load_json(text))


def merge_records(stdout: bytes, stderr: bytes) -> str:
    """Merge the lines of both streams by timestamp, and remove the timestamps."""
    if not (stdout and stderr):  # a single stream is in order, and most programs use only one
        lines = (stdout or stderr).decode("utf-8", errors="replace").splitlines()
        return "".join(f"{line.partition(' ')[2]}\n" for line in lines)
    rows = []
    for stream in (stdout, stderr):
        for line in stream.decode("utf-8", errors="replace").splitlines():
            if line[_WHOLE_STAMP - 1 : _WHOLE_STAMP + 1] == "Z ":
                rows.append((line[: _WHOLE_STAMP - 1], line[_WHOLE_STAMP + 1 :]))
            else:
                stamp, _, text = line.partition(" ")
                rows.append((_comparable(stamp), text))
    rows.sort(key=itemgetter(0))
    return "".join([f"{text}\n" for _, text in rows])


_WHOLE_STAMP = len("2026-01-02T03:04:05.123456789Z")


def _comparable(stamp: str) -> str:
    """Pad an RFC 3339 time to nine fractional digits. The engine drops trailing zeros, so the raw strings do not sort."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return f"{whole}.{fraction:0<9}"
