"""An existing Dask cluster as a place to run hosts (extra ``dask``).

Each worker holds one session as an actor. Its arguments and answers go from the controller to the worker (through the scheduler if the
controller cannot reach all workers) and are neither tasks nor results: the scheduler does not keep them, and no worker spills or stores
them. Dask never starts an actor again on another worker; what happens to the hosts of a lost worker is decided by
`remediation.engine.executors.remote`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import platform
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

from remediation import __version__
from remediation.engine.executors.courier import WorkerChannel, WorkerLost
from remediation.engine.executors.parcels import Parcel
from remediation.engine.executors.session import RemoteSession
from remediation.model.errors import RemediationError, UsageError

CONNECTING = 10.0
"""Seconds for the scheduler to answer."""

ANSWERING = 30.0
"""Seconds that a worker may take beyond the time a call asks for, before it counts as lost."""

REACHING = 3.0
"""Seconds to find out whether the controller can connect to the workers themselves."""

_TRIES = 3
_PACKAGE = "remediation"
_log = logging.getLogger(__name__)
_TLS = "set distributed.comm.tls (ca-file, client.key, client.cert) in Dask's configuration"


class SchedulerUnavailable(RemediationError):
    """The scheduler does not answer, or not as a scheduler."""

    exit_code = 1


class SessionActor:
    """The session of one run on a worker. Its methods run in the worker's event loop."""

    def __init__(self) -> None:
        self._session = RemoteSession()
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session.outbox.changed = self._notify

    def _notify(self) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the worker is closing
                loop.call_soon_threadsafe(self._changed.set)

    async def post(self, number: int, parcels: list[Parcel]) -> None:
        """Take the controller's messages."""
        self._session.post(number, parcels)

    async def poll(self, acknowledged: int, seconds: float) -> list[tuple[int, Parcel]]:
        """Return the messages for the controller."""
        self._loop = asyncio.get_running_loop()
        self._session.seen()
        self._changed.clear()
        if not self._session.outbox.waiting(acknowledged):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)
        self._session.seen()
        return self._session.outbox.take(acknowledged)


@dataclass(slots=True)
class ActorChannel:
    """See `remediation.engine.executors.courier.WorkerChannel`."""

    name: str
    actor: Any
    future: Any
    alive: Callable[[str], bool]
    left: bool = False

    def post(self, number: int, parcels: Sequence[Parcel]) -> None:
        """Deliver messages."""
        self._call("post", number, list(parcels), seconds=0.0)

    def poll(self, acknowledged: int, seconds: float) -> Sequence[tuple[int, Parcel]]:
        """Return the worker's messages."""
        found: Sequence[tuple[int, Parcel]] = self._call("poll", acknowledged, seconds, seconds=seconds)
        return found

    def leave(self) -> None:
        """Let `DaskCluster.join` begin another session on the worker."""
        self.left = True

    def release(self) -> None:
        """Let the worker forget the session."""
        with suppress(Exception):
            self.future.release()

    def _call(self, method: str, *arguments: Any, seconds: float) -> Any:
        """Call the session; a lost connection to a worker that is still there is tried again, since each message has a number."""
        for attempt in range(1, _TRIES + 1):
            try:
                return getattr(self.actor, method)(*arguments).result(timeout=seconds + ANSWERING)
            except Exception as error:
                if attempt == _TRIES or not isinstance(error, OSError) or not self.alive(self.name):
                    raise WorkerLost(_first_line(error)) from None
                time.sleep(0.2)
        raise WorkerLost("no answer")


class DaskCluster:
    """See `remediation.engine.executors.courier.Cluster`."""

    def __init__(self, address: str, client: Any) -> None:
        self.address = address
        self._client = client
        self._joined: dict[str, ActorChannel] = {}
        self._lock = threading.Lock()

    def join(self) -> Sequence[WorkerChannel]:
        """Begin a session on every worker without one. Raises `UsageError` for a worker that cannot run hosts."""
        with self._lock:
            there = self.workers()
            self._joined = {
                name: channel
                for name, channel in self._joined.items()
                if name in there and not channel.left and channel.future.status == "finished"
            }
            new = [name for name in there if name not in self._joined]
            if new:
                self._check(new)
                self._client.direct_to_workers = self._reaches(new)
            channels = [self._begin(name) for name in new]
            self._joined |= {channel.name: channel for channel in channels}
            return channels

    def check(self) -> None:
        """Raise `UsageError` if there is no worker, or one that cannot run hosts."""
        there = self.workers()
        if not there:
            raise UsageError(f"{self.address} has no workers", next_step="start them: dask worker tls://HOST:PORT")
        self._check(there)

    def workers(self) -> tuple[str, ...]:
        """Return the addresses of the workers. Raises `SchedulerUnavailable`."""
        try:
            found = self._client.sync(self._client.scheduler.identity, callback_timeout=CONNECTING)
        except Exception as error:
            raise SchedulerUnavailable(
                f"the Dask scheduler {self.address} does not answer: {_first_line(error)}", next_step="check that it runs"
            ) from None
        return tuple(found["workers"])

    def is_encrypted(self) -> bool:
        """Return whether the scheduler and all workers are reached over TLS."""
        addresses = (self._client.scheduler.address, *self.workers())
        return all(address.startswith("tls://") for address in addresses)

    def is_loopback(self) -> bool:
        """Return whether the scheduler and all workers are on this machine."""
        return all(_on_this_machine(address) for address in (self._client.scheduler.address, *self.workers()))

    def _begin(self, name: str) -> ActorChannel:
        future = self._client.submit(
            SessionActor, key=f"remediation-{uuid.uuid4().hex}", workers=[name], allow_other_workers=False, retries=0, pure=False,
            actor=True,
        )  # fmt: skip
        try:
            return ActorChannel(name, future.result(timeout=ANSWERING), future, self._alive)
        except Exception as error:
            raise UsageError(
                f"the worker {name} cannot run hosts: {_first_line(error)}", next_step="see the worker's log"
            ) from None

    def _reaches(self, names: Sequence[str]) -> bool:
        """Return whether this machine can connect to the workers; if not, messages go through the scheduler."""

        async def ask() -> None:
            await asyncio.gather(*(self._client.rpc(name).identity() for name in names))

        try:
            self._client.sync(ask, callback_timeout=REACHING)
        except Exception as error:  # Dask and Tornado have errors of their own
            _log.info("no direct connection to the workers of %s: %s", self.address, _first_line(error))
            return False
        return True

    def _alive(self, name: str) -> bool:
        try:
            return name in self.workers()
        except SchedulerUnavailable:
            return False

    def _check(self, names: Sequence[str]) -> None:
        """Raise `UsageError` for a worker that has no remediation, or another version."""
        found = self._call_on_workers(version, _PACKAGE, names=names)
        for name, value in found.items():
            if isinstance(value, PackageNotFoundError):
                raise UsageError(
                    f"remediation is not installed on the worker {name}",
                    next_step=f"install remediation[dask] {__version__} into the Python that runs it",
                )
            if isinstance(value, Exception):
                raise UsageError(f"the worker {name} does not answer: {_first_line(value)}", next_step="see the worker's log")
            if value != __version__:
                raise UsageError(
                    f"the worker {name} has remediation {value}, and this is {__version__}",
                    next_step="install the same version on both",
                )
        mine = platform.python_version_tuple()[:2]
        for name, value in self._call_on_workers(platform.python_version_tuple, names=names).items():
            if not isinstance(value, Exception) and tuple(value[:2]) != mine:
                raise UsageError(
                    f"the worker {name} runs Python {'.'.join(value[:2])}, and this is {'.'.join(mine)}",
                    next_step="use the same minor version on both",
                )

    def _call_on_workers(self, function: Callable[..., Any], *arguments: Any, names: Sequence[str]) -> Mapping[str, Any]:
        """Return what a function of the standard library returns on each worker; an exception is its result."""
        try:
            found: Mapping[str, Any] = self._client.run(function, *arguments, workers=list(names), on_error="return")
        except Exception as error:
            raise SchedulerUnavailable(
                f"the workers at {self.address} do not answer: {_first_line(error)}", next_step="check that they run"
            ) from None
        return found


@contextmanager
def connect_cluster(address: str) -> Iterator[DaskCluster]:
    """Connect to the scheduler at ``dask://HOST:PORT`` or ``tls://HOST:PORT``. Raises `UsageError`, `SchedulerUnavailable`.

    The TLS files are those of Dask's own configuration. ``dask://`` uses them if there are any.
    """
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            f"--executor {address} needs the package distributed: {error}", next_step="pip install 'remediation[dask]'"
        ) from None
    _quiet()
    place = place_of_scheduler(address)
    client_class: Any = distributed.Client  # its functions have no types
    security_class: Any = distributed.Security
    security = security_class()
    tls = bool(security.get_tls_config_for_role("client").get("ca_file"))
    if address.startswith("tls:") and not tls:
        raise UsageError(f"--executor {address}: Dask has no TLS files for a client", next_step=_TLS)
    url = f"{'tls' if tls else 'tcp'}://{place}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions of Dask's dependencies; what matters is checked
        try:
            client = client_class(url, security=security, timeout=CONNECTING, direct_to_workers=False)
        except Exception as error:
            raise SchedulerUnavailable(
                f"cannot connect to the Dask scheduler {url}: {_first_line(error)}",
                next_step="check the address, and whether the scheduler uses TLS (tls://HOST:PORT)",
            ) from None
        try:
            yield DaskCluster(address, client)
        finally:
            with suppress(Exception):
                client.close(timeout=CONNECTING)


def place_of_scheduler(address: str) -> str:
    """Return HOST:PORT of an executor's address. Raises `UsageError`."""
    found = urlsplit(address)
    try:
        port = found.port
    except ValueError:
        port = None
    if found.scheme not in {"dask", "tls"} or not found.hostname or port is None or found.path or found.query or found.username:
        raise UsageError(
            f"--executor: expected local, dask://HOST:PORT or tls://HOST:PORT, got {address!r}",
            next_step="the port is often 8786",
        )
    return f"[{found.hostname}]:{port}" if ":" in found.hostname else f"{found.hostname}:{port}"


def _on_this_machine(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _first_line(error: BaseException) -> str:
    """Return the first line of an error, without the objects that Dask prints."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]


def _quiet() -> None:
    """Keep Dask's own log off the terminal: what matters becomes one sentence."""
    for name in ("distributed", "distributed.client", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
