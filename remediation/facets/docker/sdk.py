"""The Docker engine of this machine through the Docker SDK, without starting a program."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from remediation.connections.bounded import Gathered, watchdog
from remediation.facets.checked import checked
from remediation.facets.docker import containers
from remediation.facets.docker.engine import START, engine_advice
from remediation.facets.scripts import shell
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import Container, ContainerStats, EngineFacts, Executed, Volume
from remediation.model.limits import LimitExceeded

if TYPE_CHECKING:
    from docker import APIClient

T = TypeVar("T")

_TIMEOUT = 30
_NOT_FOUND = 404
_STDERR = 2


@checked("dockersdk")
class SdkEngine:
    """By the engine's API; `environment` may name the engine (``DOCKER_HOST``)."""

    def __init__(self, look: Snapshot, environment: Mapping[str, str]) -> None:
        self._snapshot = look
        self._environment = environment
        self._negotiated = ""

    def facts(self) -> EngineFacts:
        """Return what the engine says about itself."""
        return self._snapshot.once("engine", lambda: self._ask(lambda api: containers.engine(api.info(), api.version())))

    def containers(self) -> Sequence[Container]:
        """Return all containers."""
        return self._snapshot.once("containers", lambda: self._ask(self._containers))

    def inspect(self, name: str) -> Container | None:
        """Return one container, or None."""
        return self._snapshot.once(f"inspect {name}", lambda: self._ask(lambda api: _inspect(api, name)))

    def logs(self, name: str, *, tail: int = 4000) -> str:
        """Return the end of both streams, in the order in which the lines were written."""
        return self._snapshot.once(f"logs {name} {tail}", lambda: self._ask(lambda api: _logs(api, name, tail)))

    def exec(self, name: str, argv: Sequence[str], *, timeout: float = 60.0) -> Executed:
        """Run a program that only looks inside a running container."""
        return self._snapshot.once(
            f"exec {name} {list(argv)}", lambda: self._ask(lambda api: _executed(api, name, argv), patience=timeout)
        )

    def stats(self, name: str) -> ContainerStats:
        """Return what a running container uses."""
        return self._snapshot.once(f"stats {name}", lambda: self._ask(lambda api: self._stats(api, name)))

    def volumes(self) -> Sequence[Volume]:
        """Return the named volumes, each with the containers that mount it."""
        return self._snapshot.once("volumes", lambda: self._ask(self._volumes))

    def _stats(self, api: APIClient, name: str) -> ContainerStats:
        found = _inspect(api, name)
        if found is None or found.status != "running":
            raise CallFailed(f"the container {name} does not run", host=self._snapshot.host)
        seen = containers.stats(api.stats(name, stream=False), containers.memory_limit(found))
        if seen is None:
            raise CallFailed(f"the engine does not say how much memory {name} uses", host=self._snapshot.host)
        return seen

    def _volumes(self, api: APIClient) -> tuple[Volume, ...]:
        users = self._containers(api)
        return tuple(containers.volume(each, users) for each in api.volumes()["Volumes"] or ())

    def _containers(self, api: APIClient) -> tuple[Container, ...]:
        found = (_inspect(api, each["Id"]) for each in api.containers(all=True))
        return tuple(each for each in found if each is not None)

    def _ask(self, read: Callable[[APIClient], T], *, patience: float = _TIMEOUT) -> T:
        """Return what `read` gets from the engine; raises with the engine's own words."""
        import docker
        import requests

        try:
            with closing(docker.APIClient(base_url=self._address(), version=self._version(), timeout=round(patience))) as api:
                _confine(api)
                return read(api)
        except requests.exceptions.TooManyRedirects as error:
            raise CallFailed(
                "the Docker engine redirects to another address, and redirects are not followed", host=self._snapshot.host,
                next_step="name the engine itself in DOCKER_HOST or docker_host",
            ) from error  # fmt: skip
        except LimitExceeded as error:
            raise CallFailed(f"the Docker engine answered too much: {error.message}", host=self._snapshot.host) from error
        except docker.errors.APIError as error:
            said = str(error.explanation or error)
            raise CallFailed(
                f"the Docker engine refused: {said}", host=self._snapshot.host, status=error.status_code, output=said
            ) from error
        except (requests.exceptions.Timeout, TimeoutError) as error:
            raise DeadlineExceeded(
                f"the Docker engine did not answer within {patience:.0f} s", host=self._snapshot.host, next_step=START
            ) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            said = _innermost(error)
            raise CallFailed(
                f"the Docker engine does not answer: {said}", host=self._snapshot.host, next_step=engine_advice(said), output=said
            ) from error

    def _version(self) -> str:
        """Return the newest version of its API that the engine speaks: old ones are refused by new engines, and the reverse.

        Asked for by a client of its own: one that negotiates as it is made leaves its socket open where nobody answers.
        """
        if not self._negotiated:
            import docker
            from docker import constants

            _knock(self._address())
            known = constants.DEFAULT_DOCKER_API_VERSION
            with closing(docker.APIClient(base_url=self._address(), version=known, timeout=_TIMEOUT)) as api:
                _confine(api)
                self._negotiated = str(api.version(api_version=False)["ApiVersion"])
        return self._negotiated

    def _address(self) -> str | None:
        """Return where the engine is, as the CLI would find it: DOCKER_HOST, else the current context."""
        named = self._environment.get("DOCKER_HOST") or os.environ.get("DOCKER_HOST")
        if named:
            return named
        from docker.context import ContextAPI
        from docker.errors import DockerException

        try:
            context: Any = ContextAPI.get_current_context()
        except DockerException:
            return None
        return str(context.Host) if context is not None and context.Host else None


@checked("dockersdk")
class SdkEngineWriter(SdkEngine):
    """And changing containers."""

    def restart(self, name: str, *, timeout: float = 30.0) -> None:
        """Restart one container; it has `timeout` seconds to stop by itself."""
        self._change(lambda api: api.restart(name, timeout=round(timeout)), patience=timeout + _TIMEOUT)

    def execute(self, name: str, argv: Sequence[str]) -> Executed:
        """Run a program that changes something inside a running container."""
        return self._change(lambda api: _executed(api, name, argv), patience=60.0)

    def start(self, name: str) -> None:
        """Start one container; nothing where it runs."""
        self._change(lambda api: api.start(name))

    def stop(self, name: str, *, timeout: float = 30.0) -> None:
        """Stop one container, killing it after `timeout` seconds."""
        self._change(lambda api: api.stop(name, timeout=round(timeout)), patience=timeout + _TIMEOUT)

    def create_volume(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        """Create a local volume; nothing where it is there."""
        self._change(lambda api: api.create_volume(name, labels=dict(labels or {})))

    def remove_volume(self, name: str) -> None:
        """Remove a volume with all it holds; nothing where it is not there."""
        try:
            self._change(lambda api: api.remove_volume(name), patience=120)
        except CallFailed as error:
            if error.status != _NOT_FOUND:
                raise

    def copy_volume(self, source: str, target: str, *, image: str, paths: Sequence[str] = (".",), timeout: float = 3600.0) -> int:
        """Copy parts of one volume into another, in a one-off container of an image that is there."""
        what = f"copying the volume {source} into {target}"

        def copy(api: APIClient) -> int:
            binds: dict[str, Mapping[str, str]] = {source: {"bind": "/from", "mode": "ro"}, target: {"bind": "/to", "mode": "rw"}}
            _drop(api, containers.helper(target))
            made = api.create_container(
                image, ["-c", shell("copy"), "copy", *paths], entrypoint=["/bin/sh"], user="0",
                name=containers.helper(target), labels={containers.HELPER: "copy"},
                host_config=api.create_host_config(binds=binds, network_mode="none"),
            )  # fmt: skip
            try:
                api.start(made)
                code = int(api.wait(made)["StatusCode"])
                said = api.logs(made, stdout=True, stderr=True).decode("utf-8", errors="replace").strip()
            finally:
                api.remove_container(made, force=True)
            if code != 0:
                words = " ".join(said[-400:].split())
                raise CallFailed(f"{what} failed: {words}", host=self._snapshot.host, status=code, output=words)
            return int(said.split()[-1])

        return self._change(copy, patience=timeout)

    def _change(self, write: Callable[[APIClient], T], *, patience: float = _TIMEOUT) -> T:
        self._snapshot.forget()
        return self._ask(write, patience=patience)


def _confine(api: APIClient) -> None:
    """Let no redirect be followed: a change must not reach another engine."""
    api.max_redirects = 0


def _knock(address: str | None) -> None:
    """Raise OSError where nobody listens at a socket file: the SDK would leave its own socket open then."""
    path = "/var/run/docker.sock" if address is None else address.removeprefix("unix://")
    if sys.platform != "win32" and path.startswith("/"):
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.connect(path)


def _inspect(api: APIClient, name: str) -> Container | None:
    import docker

    try:
        return containers.container(api.inspect_container(name))
    except docker.errors.NotFound:
        return None


def _drop(api: APIClient, name: str) -> None:
    """Remove a container that a lost controller left; nothing where there is none."""
    import docker

    try:
        api.remove_container(name, force=True)
    except docker.errors.NotFound:
        return


def _executed(api: APIClient, name: str, argv: Sequence[str]) -> Executed:
    from docker.utils import socket as frames

    run = str(api.exec_create(name, list(argv))["Id"])
    out, err = Gathered("stdout"), Gathered("stderr")
    stream: Any = api.exec_start(run, socket=True)
    with closing(getattr(stream, "_response", stream)), socket.socket(fileno=os.dup(stream.fileno())) as same:
        # the SDK takes the timeout off such a socket, so a program that hangs would hold this one for ever
        with watchdog(api.timeout or _TIMEOUT, lambda: same.shutdown(socket.SHUT_RDWR)) as dog:
            for number, piece in frames.frames_iter(stream, tty=False):  # type: ignore[no-untyped-call]  # docker's own
                (err if number == _STDERR else out).take(piece)
        if dog.bit:
            raise TimeoutError
    stdout, stderr = (sink.content().decode("utf-8", errors="replace") for sink in (out, err))
    return containers.executed(int(api.exec_inspect(run)["ExitCode"] or 0), stdout, stderr)


def _logs(api: APIClient, name: str, tail: int) -> str:
    text: bytes = api.logs(name, stdout=True, stderr=True, tail=tail)
    return text.decode("utf-8", errors="replace")


def _innermost(error: BaseException) -> str:
    """Return the words of the cause: requests wraps them several times."""
    seen = error
    while seen.__context__ is not None:
        seen = seen.__context__
    if isinstance(seen, FileNotFoundError):
        return "its socket is not there"
    return str(seen) or type(error).__name__
