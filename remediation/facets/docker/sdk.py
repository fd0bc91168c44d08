"""The local Docker engine through the Docker SDK, without starting a process."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from remediation.connections.bounded import BoundedOutput, watchdog
from remediation.connections.calls import Call, Completed, Failed, Reply, Run
from remediation.facets.checked import checked
from remediation.facets.docker import containers, recreation
from remediation.facets.docker.engine import START, engine_advice
from remediation.facets.scripts import shell
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import Container, ContainerStats, EngineFacts, ExecResult, Volume
from remediation.model.limits import LimitExceeded

if TYPE_CHECKING:
    from docker import APIClient

T = TypeVar("T")

_TIMEOUT = 30
_NOT_FOUND = 404
_REFUSED = 400
_STDERR = 2


@checked("dockersdk")
class SdkEngine:
    """Reads the engine through its API; `environment` may contain its address (``DOCKER_HOST``)."""

    def __init__(self, snapshot: Snapshot, environment: Mapping[str, str]) -> None:
        self._snapshot = snapshot
        self._environment = environment
        self._negotiated = ""

    def facts(self) -> EngineFacts:
        """Return the engine's version, memory and runtimes."""
        return self._snapshot.memoize("engine", lambda: self._ask(lambda api: containers.engine(api.info(), api.version())))

    def containers(self) -> Sequence[Container]:
        """Return all containers."""
        return self._snapshot.memoize("containers", lambda: self._ask(self._containers))

    def inspect(self, name: str) -> Container | None:
        """Return one container, or None."""
        return self._snapshot.memoize(f"inspect {name}", lambda: self._ask(lambda api: _inspect(api, name)))

    def logs(self, name: str, *, tail: int = 4000) -> str:
        """Return the end of both output streams in order."""
        return self._snapshot.memoize(
            f"logs {name} {tail}", lambda: self._ask(lambda api: _logs(api, name, tail), words=("logs", name))
        )

    def exec(self, name: str, argv: Sequence[str], *, timeout: float = 60.0) -> ExecResult:
        """Run a read-only program inside a running container."""
        words = ("exec", name, *argv)
        return self._snapshot.memoize(
            f"exec {name} {list(argv)}",
            lambda: self._ask(lambda api: _exec_in_container(api, name, argv), words=words, patience=timeout),
        )

    def stats(self, name: str) -> ContainerStats:
        """Return the resource use of a running container."""
        return self._snapshot.memoize(f"stats {name}", lambda: self._ask(lambda api: self._stats(api, name)))

    def volumes(self) -> Sequence[Volume]:
        """Return the named volumes with the containers that mount them."""
        return self._snapshot.memoize("volumes", lambda: self._ask(self._volumes))

    def _stats(self, api: APIClient, name: str) -> ContainerStats:
        found = _inspect(api, name)
        if found is None or not found.running:
            raise CallFailed(f"container {name} is not running", host=self._snapshot.host)
        seen = containers.stats(api.stats(name, stream=False), containers.memory_limit(found))
        if seen is None:
            raise CallFailed(f"the engine does not report the memory use of {name}", host=self._snapshot.host)
        return seen

    def _volumes(self, api: APIClient) -> tuple[Volume, ...]:
        users = self._containers(api)
        return tuple(containers.volume(each, users) for each in api.volumes()["Volumes"] or ())

    def _containers(self, api: APIClient) -> tuple[Container, ...]:
        found = (_inspect(api, each["Id"]) for each in api.containers(all=True))
        return tuple(each for each in found if each is not None)

    def _ask(self, read: Callable[[APIClient], T], *, words: tuple[str, ...] = ("info",), patience: float = _TIMEOUT) -> T:
        """Call `read` with a client of the engine, which waits as the command `words` of ``docker`` would.

        Raises with the engine's own error message.
        """
        answers: list[T] = []

        def send(call: Call) -> Reply:
            try:
                answers.append(self._answer(read, call.timeout))
            except DeadlineExceeded as late:
                return Failed("timeout", late.message)
            return Completed(0, b"", b"")

        reply = self._snapshot.carry_out(Run(("docker", *words), timeout=patience, env=self._environment), send)
        if isinstance(reply, Failed):
            raise DeadlineExceeded(reply.message, host=self._snapshot.host, next_step=START)
        return answers[0]

    def _answer(self, read: Callable[[APIClient], T], patience: float) -> T:
        import docker
        import requests

        try:
            with closing(
                docker.APIClient(base_url=self._address(), version=self._version(patience), timeout=round(patience))
            ) as api:
                _confine(api)
                return read(api)
        except requests.exceptions.TooManyRedirects as error:
            raise CallFailed(
                "the Docker engine redirects to another address, and redirects are not followed", host=self._snapshot.host,
                next_step="set the engine's own address in DOCKER_HOST or docker_host",
            ) from error  # fmt: skip
        except LimitExceeded as error:
            raise CallFailed(f"the Docker engine's answer is too large: {error.message}", host=self._snapshot.host) from error
        except docker.errors.APIError as error:
            message = str(error.explanation or error)
            raise CallFailed(
                f"the Docker engine refused: {message}", host=self._snapshot.host, status=error.status_code, output=message
            ) from error
        except (requests.exceptions.Timeout, TimeoutError) as error:
            raise DeadlineExceeded(
                f"the Docker engine did not answer within {patience:.0f} s", host=self._snapshot.host, next_step=START
            ) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            message = _innermost(error)
            raise CallFailed(
                f"the Docker engine does not answer: {message}",
                host=self._snapshot.host,
                next_step=engine_advice(message),
                output=message,
            ) from error

    def _version(self, patience: float) -> str:
        """Return the engine's newest API version: new engines reject old versions and vice versa.

        Uses a separate client: a client that negotiates in its constructor leaks its socket if the engine does not answer.
        """
        if not self._negotiated:
            import docker
            from docker import constants

            _knock(self._address())
            known = constants.DEFAULT_DOCKER_API_VERSION
            with closing(
                docker.APIClient(base_url=self._address(), version=known, timeout=round(min(patience, _TIMEOUT)))
            ) as api:
                _confine(api)
                self._negotiated = str(api.version(api_version=False)["ApiVersion"])
        return self._negotiated

    def _address(self) -> str | None:
        """Return the engine's address as the CLI resolves it: DOCKER_HOST, else the current context."""
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
    """Adds changing containers and volumes."""

    def restart(self, name: str, *, timeout: float = 30.0) -> None:
        """Restart a container, which is killed if it does not stop within `timeout` seconds."""
        self._change(lambda api: api.restart(name, timeout=round(timeout)), patience=timeout + _TIMEOUT)

    def execute(self, name: str, argv: Sequence[str]) -> ExecResult:
        """Run a program that changes something inside a running container."""
        return self._change(lambda api: _exec_in_container(api, name, argv), patience=60.0)

    def start(self, name: str) -> None:
        """Start a container. A running container is left as it is."""
        self._change(lambda api: api.start(name))

    def stop(self, name: str, *, timeout: float = 30.0) -> None:
        """Stop a container, which is killed after `timeout` seconds."""
        self._change(lambda api: api.stop(name, timeout=round(timeout)), patience=timeout + _TIMEOUT)

    def recreate(self, name: str, changed: Mapping[str, Any]) -> None:
        """Replace a container by one with a changed ``HostConfig``."""
        recreation.recreate(self._request, self._snapshot.host, name, changed)

    def give_back(self, name: str) -> None:
        """Let the container that a broken recreation renamed run again under its name."""
        recreation.give_back(self._request, name, recreation.spare_name(name))

    def remove(self, name: str) -> None:
        """Remove a stopped container; its volumes stay."""
        self._change(lambda api: api.remove_container(name))

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None, /, *, timeout: float = 60.0) -> Any:
        """Make one request with the SDK's session, whose errors are those of the SDK's methods."""
        import docker
        import requests

        def send(api: APIClient) -> Any:
            try:
                answer = api.request(method, f"{api.base_url}{path}", json=body, timeout=timeout)
            except requests.exceptions.ConnectionError as error:
                if "Read timed out" in str(error):  # within the body; before it, requests itself raises Timeout
                    raise TimeoutError from error
                raise
            if answer.status_code >= _REFUSED:
                message = answer.json().get("message") if answer.content else None
                raise docker.errors.APIError(f"HTTP {answer.status_code}", response=answer, explanation=message)
            return answer.json() if answer.content else None

        return self._change(send, patience=timeout)

    def create_volume(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        """Create a local volume unless it exists."""
        self._change(lambda api: api.create_volume(name, labels=dict(labels or {})))

    def remove_volume(self, name: str) -> None:
        """Remove a volume and its content, if it exists."""
        try:
            self._change(lambda api: api.remove_volume(name), patience=120)
        except CallFailed as error:
            if error.status != _NOT_FOUND:
                raise

    def copy_volume(self, source: str, target: str, *, image: str, paths: Sequence[str] = (".",), timeout: float = 3600.0) -> int:
        """Copy paths from one volume to another in a one-off container, using an image that is already present."""
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
                output = api.logs(made, stdout=True, stderr=True).decode("utf-8", errors="replace").strip()
            finally:
                api.remove_container(made, force=True)
            if code != 0:
                words = " ".join(output[-400:].split())
                raise CallFailed(f"{what} failed: {words}", host=self._snapshot.host, status=code, output=words)
            return int(output.split()[-1])

        return self._change(copy, patience=timeout)

    def _change(self, write: Callable[[APIClient], T], *, patience: float = _TIMEOUT) -> T:
        self._snapshot.invalidate()
        return self._answer(write, patience)


def _confine(api: APIClient) -> None:
    """Disable redirects, so that a change cannot reach another engine."""
    api.max_redirects = 0


def _knock(address: str | None) -> None:
    """Raise OSError if no server listens on the socket file. The SDK would leak its own socket."""
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
    """Remove an abandoned helper container, if there is one."""
    import docker

    try:
        api.remove_container(name, force=True)
    except docker.errors.NotFound:
        return


def _exec_in_container(api: APIClient, name: str, argv: Sequence[str]) -> ExecResult:
    from docker.utils import socket as frames

    run = str(api.exec_create(name, list(argv))["Id"])
    out, err = BoundedOutput("stdout"), BoundedOutput("stderr")
    stream: Any = api.exec_start(run, socket=True)
    with closing(getattr(stream, "_response", stream)), socket.socket(fileno=os.dup(stream.fileno())) as same:
        # the SDK removes the timeout of such a socket, so a hanging program would block forever
        with watchdog(api.timeout or _TIMEOUT, lambda: same.shutdown(socket.SHUT_RDWR)) as dog:
            for number, piece in frames.frames_iter(stream, tty=False):  # type: ignore[no-untyped-call]  # untyped in docker
                (err if number == _STDERR else out).take(piece)
        if dog.expired:
            raise TimeoutError
    stdout, stderr = (sink.content().decode("utf-8", errors="replace") for sink in (out, err))
    return containers.exec_result(int(api.exec_inspect(run)["ExitCode"] or 0), stdout, stderr)


def _logs(api: APIClient, name: str, tail: int) -> str:
    text: bytes = api.logs(name, stdout=True, stderr=True, tail=tail)
    return text.decode("utf-8", errors="replace")


def _innermost(error: BaseException) -> str:
    """Return the message of the original error, which requests wraps several times."""
    seen = error
    while seen.__context__ is not None:
        seen = seen.__context__
    if isinstance(seen, FileNotFoundError):
        return "its socket does not exist"
    return str(seen) or type(error).__name__
