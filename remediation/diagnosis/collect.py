"""Collect evidence from a host without changing it: no load, no unload, no generation (design 6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.readers.logs import read_cached
from remediation.diagnosis.runners import OLLAMA_PROGRAMS
from remediation.facets.machine.rights import elevation, is_refusal
from remediation.facets.ollama.client import BEHIND_A_PROXY
from remediation.facets.ollama.clients import mounted_configuration
from remediation.facets.protocols import Reader
from remediation.facets.services.serving import from_processes
from remediation.model.errors import Blocked, CallFailed, DeadlineExceeded, HostError, Unreachable
from remediation.model.facts import (
    Blob,
    ComposeProject,
    Container,
    DockerDesktop,
    Gpu,
    Manager,
    ModelEntry,
    ModelShow,
    Process,
    Runner,
    SystemFacts,
    Target,
)

T = TypeVar("T")

LOG_LINES = 4000

# variables of an application that may hold request options for models; all others are private
_ABOUT_MODELS = re.compile(r"OLLAMA|GPU|LAYERS|MODEL|LLM|CTX|CONTEXT|CUDA|NVIDIA", re.IGNORECASE)
# signs that a container has lost the card
_LOST = re.compile(r"NVML: Unknown Error|[Oo]peration not permitted|\b(?:error|cuInit)\D{0,20}(?:800|999)\b")
_PROJECT = "com.docker.compose.project"


@runtime_checkable
class PrefetchingReader(Protocol):
    """A reader that can prefetch all parts in few exchanges."""

    def prefetch(self) -> None:
        """Fetch everything that a diagnosis reads; a failed part fails again when it is read."""


@runtime_checkable
class CallersReader(Protocol):
    """The server's clients; a reader has it as ``callers`` if the host can list them."""

    def requests(self) -> Sequence[tuple[str, str]]:
        """Return (path, body or its relevant parts) of the requests logged with OLLAMA_DEBUG_LOG_REQUESTS (v0.18.3 and newer)."""

    def connections(self) -> Sequence[str]:
        """Return the holders of connections to the server's port, one phrase each."""


_ENGINE = "docker"
_WHOLE = "the host"
_VERSION = "ollama version"


class _Parts:
    """Reads the parts in turn and records failed ones. An unreachable host ends the collection."""

    def __init__(self) -> None:
        self.skipped: list[str] = []
        self.refusals: list[Piece] = []
        self.silent = ""

    def read(self, name: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except Unreachable:
            raise  # without any part there is no diagnosis, and a refused login must not be repeated for each part
        except HostError as error:
            if name == _WHOLE and isinstance(error, Blocked):
                raise
            if not (name.startswith("ollama") and any(reported.endswith(f": {error.message}") for reported in self.skipped)):
                self.skipped.append(f"{name}: {error.message}")
            if name == _VERSION and (isinstance(error, DeadlineExceeded) or _is_proxy(error)):
                self.silent = error.message
            if isinstance(error, CallFailed) and error.output and (error.status is not None or name == _ENGINE):
                self.refusals.append(
                    Piece("api" if name.startswith("ollama") else "docker_error", error.output, name)
                )  # the server's error about a damaged model is evidence
            return None


def _is_proxy(error: HostError) -> bool:
    return isinstance(error, CallFailed) and error.status in BEHIND_A_PROXY and not error.output


def collect(host: Reader) -> Evidence:
    """Return the evidence of one host. Failed parts are named in ``skipped``.

    Raises `Unreachable` if the host cannot be reached, `Blocked` if it refuses every query.
    """
    parts = _Parts()
    if isinstance(host, PrefetchingReader):
        parts.read(_WHOLE, host.prefetch)
    target = parts.read("target", host.target) or Target()
    system = parts.read("system", host.system.facts)
    use = parts.read("gpu", host.gpu.use)
    programs = parts.read("processes", host.processes.list)
    version = parts.read(_VERSION, host.ollama.version)
    runners = parts.read("ollama ps", host.ollama.running)
    models = parts.read("ollama models", host.ollama.models)
    model = _model(target, runners)
    show = parts.read("ollama show", lambda: host.ollama.show(model)) if model else None
    # a hanging server without a container runs natively (a container's port is closed if the engine is down), and so does a stopped unit
    natively = bool(parts.silent) and target.container is None and system is not None and system.os == "linux"
    services = getattr(host, "services", None)
    here = system is not None and system.os == "linux" and target.container is None and services is not None
    serving = parts.read("server", services.serving) if here and services is not None else None
    stopped = serving is not None and serving.unit is not None and not serving.unit.pid
    natively = natively or stopped or (serving is not None and serving.elsewhere is not None)
    if version is None and not natively and parts.read(_ENGINE, host.engine.facts) is None:
        # a broken engine is a cause only if no server answers; its message may be missing (it hangs)
        parts.refusals += _desktop(parts.read("docker desktop", host.desktop.docker))
    container = parts.read("container", lambda: host.engine.inspect(_name(target))) if target.container else None
    log = parts.read("server log", lambda: host.ollama.log(tail=LOG_LINES))
    project = target.project.value if target.project is not None and isinstance(target.project.value, ComposeProject) else None
    compose = parts.read("compose config", lambda: host.compose.config(project)) if project else None
    others = _others(host, project, container, parts) if project else []
    callers = getattr(host, "callers", None)
    requests, connections = _callers(callers, parts) if isinstance(callers, CallersReader) else ((), None)
    if services is not None and container is None and _only_in_wsl(system, programs):
        found = parts.read("server", services.serving)
        serving = found if found is not None and found.guest is not None else None
    elif services is not None and container is None and system is not None and system.os == "windows":
        serving = from_processes(programs or ())
        # the log of the app says which settings it read
        if serving.process is not None and (log is None or serving.manager in {Manager.WINDOWS_SERVICE, Manager.WINDOWS_TASK}):
            serving = parts.read("server", services.serving) or serving
    guest = serving is not None and serving.guest is not None
    pieces = (
        *((Piece("server_log", log, "server.log"),) if log else ()),
        *parts.refusals,
        *(Piece("other", f"{gpu.name}: {gpu.problem}", "gpu") for gpu in (use.gpus if use else ()) if gpu.problem),
        *(() if any(one.name == "ollama show" for one in parts.refusals) else _lost(model, show, models)),
    )
    if model and show is None and models is not None:
        pieces = (*pieces, *_missing_layers(model, parts.read("the model's files", lambda: host.ollama.blobs(model))))
    environment = read_cached(log).environment if log else {}
    lost = container is not None and log is not None and _LOST.search(log) is not None
    engine = parts.read(_ENGINE, host.engine.facts) if lost else None
    return Evidence(
        engine=engine,
        platform="wsl" if guest else _platform(system.os if system else "", containerised=container is not None),
        ollama_version=version,
        gpu=", ".join(_card(gpu) for gpu in use.gpus) if use else None,
        pieces=(*pieces, *(Piece("request_log", text, path) for path, text in requests)),
        host=host.name,
        model=model,
        runners=tuple(runners) if runners is not None else None,
        models=tuple(models) if models is not None else None,
        shows=(show,) if isinstance(show, ModelShow) else (),
        container=container.raw if isinstance(container, Container) else None,
        compose=compose,
        compose_files=_files(host, project, others, parts) if project else {},
        environment=environment or None,
        services={one.service or one.name: _about_models(one) for one in others},
        connections=tuple(connections) if connections is not None else None,
        use=use,
        programs=tuple(one for one in programs if one.program in OLLAMA_PROGRAMS) if programs is not None else None,
        silent=parts.silent,
        serving=serving,
        system=system,
        collected_at=system.now if system else None,
        skipped=tuple(parts.skipped),
        rights=_rights(host, system),
    )


def nothing_read(evidence: Evidence) -> str:
    """Return why nothing could be read from a host, "" if something was: then the login is at fault, and there is no diagnosis."""
    parts = (evidence.system, evidence.use, evidence.programs, evidence.ollama_version, evidence.container, evidence.pieces)
    if any(parts) or evidence.silent or not evidence.skipped:
        return ""
    return evidence.skipped[0].partition(": ")[2]


def _rights(host: Reader, system: SystemFacts | None) -> str:
    """Return how to give a login the missing rights if Windows refused parts of the evidence, else ""."""
    if system is None or not any(map(is_refusal, system.problems.values())):
        return ""
    try:
        session = host.desktop.session()
    except HostError:
        return ""
    return "" if session.elevated else f"give {session.user} administrator's rights: {elevation(session.user)}"


def _card(gpu: Gpu) -> str:
    return f"{gpu.name} {gpu.problem or 'memory unknown' if gpu.total is None else f'{gpu.total // 1024**2} MiB'}"


def _desktop(docker: DockerDesktop | None) -> tuple[Piece, ...]:
    """Return what the state of Docker Desktop proves about a silent engine; a starting engine proves nothing."""
    if docker is None or docker.engine or docker.state not in {"stopped", "running"}:
        return ()
    how = "is stopped" if docker.state == "stopped" else "hangs: it runs, and its engine does not answer"
    return (Piece("docker_error", f"Docker Desktop {docker.version} {how}", "docker desktop"),)


def _lost(model: str | None, show: ModelShow | None, models: Sequence[ModelEntry] | None) -> tuple[Piece, ...]:
    """Return the server's error about a listed model whose file is missing (recordings, surprise 9)."""
    names = [entry.name for entry in models or ()]
    if model is None or show is not None or model not in names:
        return ()
    return (Piece("api", f"GET /api/tags 200: {', '.join(names)}\nPOST /api/show 404: model '{model}' not found", "api"),)


def _missing_layers(model: str, blobs: Sequence[Blob] | None) -> tuple[Piece, ...]:
    """Return the missing layers that a manifest names: such a model is not listed (recordings, corrupt-config-missing)."""
    missing = [blob.digest.replace(":", "-") for blob in blobs or () if blob.present is None]
    text = "\n".join(f"blobs/{name}: no such file, and the manifest of {model} names it" for name in missing)
    return (Piece("other", text, "the model's files"),) if missing else ()


def _model(target: Target, runners: Sequence[Runner] | None) -> str | None:
    """Return the model to judge: the named one, else the loaded one with the smallest part on the GPU."""
    if target.model is not None:
        return str(target.model.value)
    return min(runners, key=lambda one: one.size_vram / max(1, one.size)).model if runners else None


def _name(target: Target) -> str:
    return str(target.container.value) if target.container is not None else ""


def _only_in_wsl(system: SystemFacts | None, programs: Sequence[Process] | None) -> bool:
    """Whether Windows runs no program of Ollama, so that a server can only be in a distribution of WSL."""
    if system is None or system.os != "windows" or programs is None:
        return False
    return not any(each.program in OLLAMA_PROGRAMS for each in programs)


def _platform(system: str, *, containerised: bool) -> str:
    if system not in {"windows", "linux"}:
        return "unknown"
    return f"docker-{system}" if containerised else system


def _others(host: Reader, project: ComposeProject, server: Container | None, parts: _Parts) -> list[Container]:
    """Return the project's containers except the server's."""
    listed = parts.read("containers", host.engine.containers) or ()
    return [one for one in listed if one.labels.get(_PROJECT) == project.name and (server is None or one.id != server.id)]


def _about_models(container: Container) -> dict[str, str]:
    return {name: value for name, value in container.environment.items() if _ABOUT_MODELS.search(name)}


def _callers(callers: CallersReader, parts: _Parts) -> tuple[Sequence[tuple[str, str]], Sequence[str] | None]:
    return parts.read("request log", callers.requests) or (), parts.read("connections", callers.connections)


def _files(host: Reader, project: ComposeProject, others: Sequence[Container], parts: _Parts) -> dict[str, str]:
    """Return the texts of the project's files, and of the configuration that its applications mount, by path."""
    paths = [*project.files, *mounted_configuration(others)]
    texts = {}
    for path in dict.fromkeys(paths):
        content = parts.read(f"file {path}", lambda path=path: host.files.read(path))  # type: ignore[misc]
        if content is not None:
            texts[path] = content.decode("utf-8", errors="replace")
    return texts
