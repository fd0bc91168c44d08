"""Reads everything that a diagnosis needs in two exchanges, plus one for what depends on their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from remediation.connections.calls import Call, ReadFile
from remediation.facets.docker import compose, engine
from remediation.facets.docker.containers import PROJECT
from remediation.facets.gpu import devices as gpu
from remediation.facets.machine import processes, system
from remediation.facets.machine import session as desktop
from remediation.facets.machine.wsl import list_calls
from remediation.facets.ollama import client as ollama
from remediation.facets.ollama import clients, request_log
from remediation.facets.ollama.service_log import LINES, PROGRAMS, ServiceLog
from remediation.facets.services.in_wsl import calls_in_wsl
from remediation.facets.services.serving import SERVER_RUN
from remediation.facets.snapshot import Snapshot, attempt
from remediation.facets.target import NATIVE, PORT, Finder, dotenv_of
from remediation.model.facts import ComposeProject, Target

if TYPE_CHECKING:
    from remediation.facets.host_info import HostInfo

LOG_LINES = LINES
_FEW = 3
"""Number of models whose metadata is read in advance while the target's model is unknown."""


def prefetch(snapshot: Snapshot, place: HostInfo) -> None:
    """Send all calls. Errors are ignored here and raised by the later read."""
    docker = engine.CommandEngine(snapshot, place.environment)
    url = str(place.variables.get("endpoint") or snapshot.hints.get("endpoint") or NATIVE).rstrip("/")
    # the loaded models come first, because their metadata is read next
    server = (ollama.running_call(url), ollama.version_call(url), ollama.models_call(url))
    machine: tuple[Call, ...]
    port = urlsplit(url).port or PORT
    if place.windows:
        machine = (system.FACTS_PROBE, desktop.SESSION_PROBE, processes.LIST_PROBE, gpu.USE_PROBE)
    else:
        machine = (system.FACTS_RUN, desktop.USER_RUN, desktop.NUMBER_RUN, processes.LIST_RUN, SERVER_RUN)
        machine += () if place.native else (gpu.devices_call(snapshot), gpu.APPS_RUN)
    engines: tuple[Call, ...] = () if place.native else (*docker.first_calls(), docker.info, docker.version)
    snapshot.prefetch(*machine, *engines, *server, clients.connections_call(place.windows, port))

    records = () if place.native else docker.record_calls()
    metadata = _metadata(snapshot, place, url, stored=False)
    log = _native_log(snapshot, place, docker)
    guests = list_calls() if place.windows and not log and not docker.record_calls() else ()  # a server can only be in WSL
    snapshot.fetch(*records, *metadata, *log, *guests, *gpu.older_devices(snapshot))
    metadata = metadata or _metadata(snapshot, place, url, stored=True)
    if place.native:
        snapshot.fetch(*metadata)
        return
    target = attempt(Finder(snapshot, place.variables, docker.containers, model=False).find) or Target()
    calls: list[Call] = []
    if target.container is not None:
        calls.append(docker.log_call(str(target.container.value), LOG_LINES))
        inside = clients.requests_call(attempt(lambda: docker.inspect(str(target.container.value))), place.environment)  # type: ignore[union-attr]
        calls += [inside] if inside is not None else []
    if target.project is not None and isinstance(target.project.value, ComposeProject):
        project = target.project.value
        calls.append(compose.CommandCompose(snapshot, place.environment, docker.containers).config_run(project))
        own = [each for each in attempt(docker.containers) or () if each.labels.get(PROJECT) == project.name]
        calls += [ReadFile(path) for path in (*project.files, dotenv_of(project), *clients.mounted_configuration(own))]
    wrote = (
        request_log.call(clients.native_requests(snapshot), windows=place.windows) if log and target.container is None else None
    )
    snapshot.fetch(*calls, *metadata, *(() if wrote is None else (wrote,)), *calls_in_wsl(snapshot))
    if place.windows:
        cards: tuple[Call, ...] = (gpu.USE_PROBE, processes.LIST_PROBE)
    else:
        attempt(gpu.PosixGpu(snapshot).use)
        cards = (gpu.devices_call(snapshot), gpu.APPS_RUN, processes.LIST_RUN, SERVER_RUN)
    # the reads of most steps that follow
    snapshot.preload(*docker.first_calls(), *server, *metadata, *calls[:1], *cards, *(log if target.container is None else ()))


def _native_log(snapshot: Snapshot, place: HostInfo, docker: engine.CommandEngine) -> tuple[Call, ...]:
    """Return the call for a native server's log, if the answers so far suggest that there is one."""
    if place.native:
        return ()
    if place.windows:
        here = {each.name.lower() for each in attempt(processes.WindowsProcesses(snapshot).list) or ()}
        there = bool(here & PROGRAMS)
    else:
        there = not docker.record_calls()  # no containers
    call = attempt(lambda: ServiceLog(snapshot).call(LOG_LINES)) if there else None
    return () if call is None else (call,)


def _metadata(snapshot: Snapshot, place: HostInfo, url: str, *, stored: bool) -> list[Call]:
    """Return the metadata requests of candidate models: the loaded ones, else some of the stored ones."""
    client = ollama.OllamaByHttp.at(snapshot, url)
    named = place.variables.get("model")
    names = [named] if isinstance(named, str) else [each.model for each in attempt(client.running) or ()]
    if stored and not names:
        names = [each.name for each in attempt(client.models) or ()]
    return [ollama.show_call(url, name) for name in names[:_FEW]]
