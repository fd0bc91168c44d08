"""Creates a host's facets from its name and variables. The first read opens the connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from remediation.connections.settings import ConnectionSettings, from_variables, with_servers
from remediation.facets.host_info import HostInfo
from remediation.facets.protocols import NO_CONTEXT, LookContext
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
"""Host variable: the seconds of the host's time that pass in one real second."""
_ENVIRONMENT = {"docker_host": "DOCKER_HOST", "docker_config": "DOCKER_CONFIG"}
"""Host variables with the address of the engine, and the environment variables that pass it to ``docker``."""


class Host:
    """See `remediation.facets.access.HostAccess`. Each access of `reader` returns a new snapshot."""

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
        """A read-only view with a new snapshot."""
        return self.reader_for("")

    def reader_for(self, purpose: str, *, snapshot: Reader | None = None, context: LookContext = NO_CONTEXT) -> HostReader:
        """Return a reader with a new snapshot, or with that of `snapshot`, which prefetches what `purpose` usually reads."""
        from remediation.facets.host import HostReader

        if isinstance(snapshot, HostReader):
            return snapshot.also(purpose, context)
        return HostReader(self._place, Snapshot(lambda: self.connection, hints=self._hints, purpose=purpose), context)

    def restore_found(self, found: Mapping[str, Found], loaded: Sequence[Runner]) -> None:
        """Adopt the target's model and the runners found by an earlier process of the same run."""
        self._place.restore_found(found, loaded)

    @property
    def clock(self) -> Clock:
        """The clock to use when waiting for this host."""
        return self._place.clock

    @property
    def connection(self) -> Connection:
        """The underlying connection."""
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    @property
    def round_trips(self) -> int:
        """The number of exchanges with the host so far."""
        return self._connection.round_trips if self._connection is not None else 0

    @property
    def written(self) -> int:
        """The number of exchanges so far that may have changed the host."""
        return int(getattr(self._connection, "written", 0))

    @property
    def notes(self) -> Sequence[str]:
        """Remarks about the connection for the user."""
        return tuple(getattr(self._connection, "notes", self._warnings))

    def writer(self, on_progress: Callable[[PullProgress], None] | None = None) -> HostWriter:
        """Return the host with its writers; `on_progress` receives pull progress."""
        if self._check:
            name = self._place.name
            raise WriteRefused(
                f"{name}: cannot create a writer in check mode", host=name, next_step="run without --check to change the host"
            )
        from remediation.facets.host import HostWriter

        return HostWriter(self._place, Snapshot(lambda: self.connection, changing=True, hints=self._hints), on_progress)

    def close(self) -> None:
        """Close the connection."""
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
    """Return a host that connects on its first read. Raises `UsageError` for variables that define no connection.

    `recorder` is the `recorder` method of a `Cassette` if the run is recorded.
    """
    settings, variables = from_variables(name, variables), with_servers(name, variables)
    record = recorder(settings) if recorder is not None else None

    def connect() -> Connection:
        from remediation.connections.factory import open_connection

        return open_connection(settings, scripts=script, check=check, note=note, recorder=record)

    return Host(settings, variables, connect, check=check, clock=clock or SystemClock(float(variables.get(SCALE) or 1.0)))
