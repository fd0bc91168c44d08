"""Chooses the implementation of each facet of a host."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property

from remediation.facets import protocols
from remediation.facets.checked import readable_error
from remediation.facets.docker import compose, engine
from remediation.facets.docker.sdk import SdkEngine, SdkEngineWriter
from remediation.facets.gpu import devices as gpu
from remediation.facets.gpu.nvml import NvmlGpu
from remediation.facets.host_info import HostInfo
from remediation.facets.machine import files, processes, service_manager, system
from remediation.facets.machine import session as desktop
from remediation.facets.ollama import client as ollama
from remediation.facets.ollama import clients, generate, pull
from remediation.facets.ollama.service_log import LINES
from remediation.facets.ollama.writer import Asker, OllamaWriterByHttp
from remediation.facets.protocols import NO_CONTEXT, LookContext
from remediation.facets.services.daemon import LinuxDaemon, LinuxDaemonWriter
from remediation.facets.services.serving import HostServices, HostServicesWriter
from remediation.facets.snapshot import Snapshot
from remediation.facets.target import Finder
from remediation.model.errors import CallFailed
from remediation.model.facts import Target


class HostReader:
    """A host with one snapshot: repeated reads return the same answers. Create a new reader for fresh ones."""

    def __init__(self, place: HostInfo, snapshot: Snapshot, context: LookContext = NO_CONTEXT) -> None:
        self._place, self._snapshot = place, snapshot
        self.context = context
        self.name = place.name
        self.variables = place.variables

    @cached_property
    def gpu(self) -> protocols.GpuReader:
        """The NVIDIA devices."""
        if self._place.windows:
            return gpu.WindowsGpu(self._snapshot)
        return NvmlGpu(self._snapshot, self._place.clock) if self._place.native else gpu.PosixGpu(self._snapshot)

    @cached_property
    def processes(self) -> protocols.ProcessReader:
        """Running programs."""
        return processes.WindowsProcesses(self._snapshot) if self._place.windows else processes.PosixProcesses(self._snapshot)

    @cached_property
    def engine(self) -> SdkEngine | engine.CommandEngine:
        """The Docker engine."""
        kind = SdkEngine if self._place.native else engine.CommandEngine
        return kind(self._snapshot, self._place.environment)

    @cached_property
    def compose(self) -> protocols.ComposeReader:
        """Compose projects."""
        return compose.CommandCompose(self._snapshot, self._place.environment, self.engine.containers)

    @cached_property
    def ollama(self) -> protocols.OllamaReader:
        """The Ollama server of the target."""
        return ollama.OllamaByHttp(self._snapshot, self.target, self.engine, self._place.registry, self._place.runners)

    @cached_property
    def desktop(self) -> protocols.DesktopReader:
        """The login and the desktop."""
        if self._place.windows:
            return desktop.WindowsDesktop(self._snapshot, self.engine.facts, remote=not self._place.local)
        return desktop.PosixDesktop(self._snapshot)

    @cached_property
    def system(self) -> protocols.SystemReader:
        """The machine."""
        kind = system.WindowsSystem if self._place.windows else system.PosixSystem
        return kind(self._snapshot, self.engine.facts)

    @cached_property
    def files(self) -> protocols.FilesReader:
        """Files."""
        return files.HostFiles(self._snapshot)

    @cached_property
    def services(self) -> protocols.ServicesReader:
        """What serves Ollama."""
        return HostServices(self._snapshot, self.target, self.engine.inspect)

    @cached_property
    def service_manager(self) -> protocols.ServiceManagerReader:
        """systemd, or the service control manager."""
        return service_manager.HostServiceManager(self._snapshot)

    @cached_property
    def daemon(self) -> protocols.DaemonReader:
        """The Docker daemon of a Linux host."""
        return LinuxDaemon(self._snapshot, self._place.environment.get("DOCKER_HOST", ""))

    @cached_property
    def callers(self) -> clients.Callers:
        """The clients that query the server, if the host can identify them."""
        return clients.Callers(
            self._snapshot,
            self.target,
            self.engine.inspect,
            self.processes.list,
            {} if self._place.native else self._place.environment,
        )

    def target(self) -> Target:
        """Return the target on this host, each part with its source."""
        first = self.engine.first_calls if isinstance(self.engine, engine.CommandEngine) else tuple
        finder = Finder(
            self._snapshot, self._place.variables, self.engine.containers, first,
            history="model" not in self._place.earlier, logs=lambda name: self.engine.logs(name, tail=LINES),
        )  # fmt: skip
        with readable_error(lambda: self.name, "target"):
            return self._snapshot.memoize("target", lambda: self._place.remember(finder.find()))

    def also(self, purpose: str, context: LookContext = NO_CONTEXT) -> HostReader:
        """Return a reader with the same snapshot for another purpose."""
        return HostReader(self._place, self._snapshot.fork(purpose), context)

    def prefetch(self) -> None:
        """Read what a diagnosis needs in two exchanges, plus one for what depends on their answers."""
        from remediation.facets.prefetch import prefetch

        with suppress(CallFailed), readable_error(lambda: self.name, "prefetch"):  # errors are raised again by the later read
            prefetch(self._snapshot, self._place)


class HostWriter(HostReader):
    """A host with methods that change it. Its reads are always fresh."""

    def __init__(self, place: HostInfo, snapshot: Snapshot, on_progress: pull.Progress | None = None) -> None:
        super().__init__(place, snapshot)
        self._on_progress = on_progress
        self._target: Target | None = None

    @cached_property
    def processes(self) -> protocols.ProcessWriter:
        """Running programs, and closing them."""
        if self._place.windows:
            return processes.WindowsProcessWriter(self._snapshot)
        return processes.PosixProcessWriter(self._snapshot)

    @cached_property
    def engine(self) -> SdkEngineWriter | engine.CommandEngineWriter:
        """The Docker engine, and changing containers."""
        kind = SdkEngineWriter if self._place.native else engine.CommandEngineWriter
        return kind(self._snapshot, self._place.environment)

    @cached_property
    def compose(self) -> protocols.ComposeWriter:
        """Compose projects, and bringing them up."""
        return compose.CommandComposeWriter(self._snapshot, self._place.environment, self.engine.containers)

    @cached_property
    def ollama(self) -> protocols.OllamaWriter:
        """The Ollama server of the target, and loading and querying models."""
        return OllamaWriterByHttp(
            self._snapshot,
            self.target,
            self.engine,
            clock=self._place.clock,
            asker=self._asker(),
            registry=self._place.registry,
            on_progress=self._on_progress,
            seen=self._place.runners,
            restart_server=self.services.restart_server,
        )

    @cached_property
    def desktop(self) -> protocols.DesktopWriter:
        """The login, the desktop and Docker Desktop."""
        if self._place.windows:
            return desktop.WindowsDesktopWriter(
                self._snapshot, self.engine.facts, self._place.clock, remote=not self._place.local
            )
        return desktop.PosixDesktopWriter(self._snapshot)

    @cached_property
    def system(self) -> protocols.SystemWriter:
        """The machine, and restarting it."""
        if self._place.windows:
            return system.WindowsSystemWriter(self._snapshot, self.engine.facts, self._place.clock)
        return system.PosixSystemWriter(self._snapshot, self.engine.facts, self._place.clock, local=self._place.local)

    @cached_property
    def files(self) -> protocols.FilesWriter:
        """Files, and replacing them."""
        return files.HostFilesWriter(self._snapshot)

    @cached_property
    def services(self) -> HostServicesWriter:
        """What serves Ollama, and restarting services."""
        return HostServicesWriter(self._snapshot, self.target, self.engine.inspect)

    @cached_property
    def service_manager(self) -> protocols.ServiceManagerWriter:
        """Systemd or the service control manager, and changing services."""
        return service_manager.HostServiceManagerWriter(self._snapshot)

    @cached_property
    def daemon(self) -> LinuxDaemonWriter:
        """The Docker daemon of a Linux host, and restarting it."""
        return LinuxDaemonWriter(self._snapshot, self._place.environment.get("DOCKER_HOST", ""))

    def target(self) -> Target:
        """Return the target, looked up once, because a writer exists for one change.

        Uses the target that the change was planned with, unless the host was changed before the first call.
        """
        if self._target is None:
            seen = next((each for each in self._place.latest if each.endpoint is not None), None)
            self._target = super().target() if seen is None or self._snapshot.wrote else seen
        return self._target

    def _asker(self) -> Asker:
        if self._place.windows:
            return generate.ProbeAsker(self._snapshot)
        return generate.LocalAsker(self._snapshot) if self._place.local else generate.PosixAsker(self._snapshot)
