"""Reading a host into evidence, changing nothing: no load, no unload, no generation (design 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.logs import read_log
from remediation.facets.protocols import Reader
from remediation.model.errors import HostError
from remediation.model.facts import ComposeProject, Container, ModelShow, Runner, Target

T = TypeVar("T")

LOG_LINES = 4000


def collect(host: Reader) -> Evidence:
    """Return everything that one host shows. A part that fails is named in ``skipped``, the others are read all the same."""
    skipped: list[str] = []

    def part(name: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except HostError as error:
            skipped.append(f"{name}: {error.message}")
            return None

    target = part("target", host.target) or Target()
    system = part("system", host.system.facts)
    use = part("gpu", host.gpu.use)
    version = part("ollama version", host.ollama.version)
    runners = part("ollama ps", host.ollama.running)
    models = part("ollama models", host.ollama.models)
    model = _model(target, runners)
    show = part("ollama show", lambda: host.ollama.show(model)) if model else None
    container = part("container", lambda: host.engine.inspect(_name(target))) if target.container else None
    log = part("server log", lambda: host.ollama.log(tail=LOG_LINES))
    project = target.project.value if target.project is not None and isinstance(target.project.value, ComposeProject) else None
    compose = part("compose config", lambda: host.compose.config(project)) if project else None
    files = _compose_files(host, project, part) if project else {}
    pieces = (Piece("server_log", log, "server.log"),) if log else ()
    environment = read_log(log).environment if log else {}
    return Evidence(
        platform=_platform(system.os if system else "", containerised=container is not None),
        ollama_version=version,
        gpu=", ".join(f"{gpu.name} {gpu.total // 1024**2} MiB" for gpu in use.gpus) if use else None,
        pieces=pieces,
        host=host.name,
        model=model,
        runners=tuple(runners) if runners is not None else None,
        models=tuple(models) if models is not None else None,
        shows=(show,) if isinstance(show, ModelShow) else (),
        container=container.raw if isinstance(container, Container) else None,
        compose=compose,
        compose_files=files,
        environment=environment or None,
        use=use,
        system=system,
        collected_at=system.now if system else None,
        skipped=tuple(skipped),
    )


def _model(target: Target, runners: Sequence[Runner] | None) -> str | None:
    if target.model is not None:
        return str(target.model.value)
    return runners[0].model if runners else None


def _name(target: Target) -> str:
    return str(target.container.value) if target.container is not None else ""


def _platform(system: str, *, containerised: bool) -> str:
    if system not in {"windows", "linux"}:
        return "unknown"
    return f"docker-{system}" if containerised else system


def _compose_files(
    host: Reader, project: ComposeProject, part: Callable[[str, Callable[[], bytes | None]], bytes | None]
) -> dict[str, str]:
    """Return the texts of the project's files by path."""
    texts = {}
    for path in project.files:
        content = part(f"file {path}", lambda path=path: host.files.read(path))  # type: ignore[misc]
        if content is not None:
            texts[path] = content.decode("utf-8", errors="replace")
    return texts
