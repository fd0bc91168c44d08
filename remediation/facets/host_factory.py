"""From a host's name and variables to its facets. Nothing is connected before the first read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from remediation.connections.settings import ConnectionSettings, from_variables, with_servers
from remediation.facets.host_info import HostInfo
from remediation.facets.scripts import script
from remediation.facets.snapshot import Snapshot
from remediation.model.clock import Clock, SystemClock
from remediation.model.errors import WriteRefused

if TYPE_CHECKING:
    from remediation.connections.calls import Connection
    from remediation.connections.guard import Recorder
    from remediation.facets.host import HostReader, HostWriter
    from remediation.facets.protocols import Reader
    from remediation.model.facts import Found, PullProgress, Runner

SCALE = "lab_scale"
"""The host variable that says how many of the host's seconds pass in one of ours."""
_ENVIRONMENT = {"docker_host": "DOCKER_HOST", "docker_config": "DOCKER_CONFIG"}
"""Host variables that say where the engine is, and the variables by which ``docker`` is told."""


class Host:
    """See `remediation.facets.access.HostAccess`. Each access of `reader` is a new look at the host."""

    def __init__(
        self, settings: ConnectionSettings, variables: Mapping[str, Any], connect: Callable[[], Connection], *, check: bool, clock: Clock
    ) -> None:  # fmt: skip
        self._check = check
        self._connect = connect
        self._connection: Connection | None = None
        self._hints: dict[str, Any] = {}
        self._warnings = settings.warnings
        environment = {name: str(variables[key]) for key, name in _ENVIRONMENT.items() if variables.get(key)}
        self._place = HostInfo(
            settings.name,
            variables,
            windows=settings.platform == "windows",
            local=settings.kind == "local",
            clock=clock,
            environment=environment,
        )

    @property
    def reader(self) -> HostReader:
        """A new look at the host: what it is told holds for it alone."""
        return self._reader(Snapshot(lambda: self.connection, hints=self._hints))

    def reader_for(self, purpose: str, *, snapshot: Reader | None = None) -> HostReader:
        """Return a new look at the host, or `snapshot`'s again, for a purpose that looks for much the same each time."""
        if snapshot is not None and hasattr(snapshot, "also"):
            found: HostReader = snapshot.also(purpose)
            return found
        return self._reader(Snapshot(lambda: self.connection, hints=self._hints, purpose=purpose))

    def _reader(self, look: Snapshot) -> HostReader:
        from remediation.facets.host import HostReader

        return HostReader(self._place, look)

    def take_up(self, found: Mapping[str, Found], loaded: Sequence[Runner]) -> None:
        """Go on with the target's model and the runners that an earlier process of the same run has found."""
        self._place.take_up(found, loaded)

    @property
    def clock(self) -> Clock:
        """The clock by which to wait for this host."""
        return self._place.clock

    @property
    def connection(self) -> Connection:
        """The connection underneath."""
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    @property
    def round_trips(self) -> int:
        """Exchanges that went over the wire so far."""
        return self._connection.round_trips if self._connection is not None else 0

    @property
    def written(self) -> int:
        """Exchanges so far by which the host may have been changed."""
        return int(getattr(self._connection, "written", 0))

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know of the connection."""
        return tuple(getattr(self._connection, "notes", self._warnings))

    def writer(self, told: Callable[[PullProgress], None] | None = None) -> HostWriter:
        """Return the host with its writers; `told` hears how far a pull has come."""
        if self._check:
            name = self._place.name
            raise WriteRefused(
                f"{name}: a writer was asked for in check mode", host=name, next_step="run without --check to change the host"
            )
        from remediation.facets.host import HostWriter

        return HostWriter(self._place, Snapshot(lambda: self.connection, changing=True, hints=self._hints), told)

    def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._connection.close()


def open_host(
    name: str,
    variables: Mapping[str, Any],
    *,
    check: bool,
    clock: Clock | None = None,
    note: Callable[[str], None] = lambda _: None,
    recorder: Callable[[ConnectionSettings], Recorder] | None = None,
) -> Host:
    """Return a host that opens by its first read; raises `UsageError` for variables that name no connection.

    `recorder` is a `Cassette`'s method of that name, where the run is recorded.
    """
    settings, variables = from_variables(name, variables), with_servers(name, variables)
    told = recorder(settings) if recorder is not None else None

    def connect() -> Connection:
        from remediation.connections.factory import open_connection

        return open_connection(settings, scripts=script, check=check, note=note, recorder=told)

    return Host(settings, variables, connect, check=check, clock=clock or SystemClock(float(variables.get(SCALE) or 1.0)))
