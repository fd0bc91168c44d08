"""Everything collected from a host or pasted by a user, as one typed, serialisable record (design 6)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from remediation.model.facts import (
    EngineFacts,
    Gpu,
    GpuUse,
    ModelEntry,
    ModelShow,
    Process,
    Runner,
    Serving,
    SystemFacts,
    WslServer,
)
from remediation.model.text.shape import ODD

T = TypeVar("T")

FORMAT = "remediation-evidence"
FORMAT_VERSION = 1

PLATFORMS = ("windows", "linux", "wsl", "docker-windows", "docker-linux", "unknown")
KINDS = (
    "server_log", "nvidia_smi", "ollama_ps", "docker_inspect", "docker_compose", "docker_error",
    "api", "client_config", "modelfile", "env", "request_log", "other",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Piece:
    """A collected text: ``kind`` is one of `KINDS`, ``name`` its label in quotes (a file name, a command)."""

    kind: str
    text: str
    name: str = ""

    @property
    def label(self) -> str:
        """The label in quotes."""
        return self.name or self.kind


@dataclass(frozen=True, slots=True)
class Evidence:
    """One incident or host. ``None`` means not collected, an empty tuple collected and empty.

    ``environment`` holds the settings as the server printed them, ``container`` the inspect record, ``compose``
    the resolved definition and ``compose_files`` the project's files and the configuration its services mount, by path.
    ``services`` holds the model settings of the project's other containers, ``connections`` the clients connected to the
    server's port. ``skipped`` names the missing parts with their reasons.
    ``programs`` are Ollama's own processes, ``probe`` says how a request to the loaded model failed, ``silent`` why
    the endpoint gives no answer (it hangs, or a proxy has no server behind it). Sizes are bytes.
    ``rights`` says how to give the login the rights for refused parts. ``engine`` is read where a container has lost the card.
    """

    platform: str = "unknown"
    ollama_version: str | None = None
    gpu: str | None = None
    symptom: str | None = None
    pieces: tuple[Piece, ...] = ()
    host: str = ""
    model: str | None = None
    runners: tuple[Runner, ...] | None = None
    models: tuple[ModelEntry, ...] | None = None
    shows: tuple[ModelShow, ...] = ()
    container: Mapping[str, Any] | None = None
    compose: Mapping[str, Any] | None = None
    compose_files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] | None = None
    services: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    connections: tuple[str, ...] | None = None
    use: GpuUse | None = None
    programs: tuple[Process, ...] | None = None
    probe: str = ""
    silent: str = ""
    serving: Serving | None = None
    system: SystemFacts | None = None
    collected_at: float | None = None
    skipped: tuple[str, ...] = ()
    rights: str = ""
    engine: EngineFacts | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record as one JSON object that `from_json` reads back unchanged."""
        return {"format": FORMAT, "version": FORMAT_VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evidence:
        """Return the record in `data`; unknown or damaged parts are omitted and named in ``skipped``."""
        values: dict[str, Any] = {}
        skipped: list[str] = []
        if data.get("version", FORMAT_VERSION) != FORMAT_VERSION:
            skipped.append(
                f"evidence format version {data['version']!r} is not {FORMAT_VERSION}; only the known fields were read"
            )
        for key, raw in data.items():
            if key in {"format", "version", "skipped"}:
                continue
            decode = _DECODERS.get(key)
            if decode is None:
                skipped.append(f"unknown part {key!r}")
                continue
            try:
                values[key] = decode(raw)
            except ODD as error:
                skipped.append(f"damaged part {key!r}: {error}")
        earlier = data.get("skipped")
        before = [str(item) for item in earlier] if isinstance(earlier, (list, tuple)) else []
        return cls(**values, skipped=tuple(before + skipped))

    @property
    def guest(self) -> WslServer | None:
        """The server in a distribution of WSL, None for other hosts."""
        return self.serving.guest if self.serving is not None else None

    @property
    def unit(self) -> str:
        """The systemd unit of a native server without ``.service``; the usual name if it is unknown."""
        unit = self.serving.unit if self.serving is not None else None
        if unit is not None:
            return unit.short
        return self.serving.guest_unit if self.serving is not None else "ollama"


def _text(raw: object) -> str | None:
    if raw is None or isinstance(raw, str):
        return raw
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return str(raw)
    msg = f"expected text, got {type(raw).__name__}"
    raise TypeError(msg)


def _platform(raw: object) -> str:
    return raw if isinstance(raw, str) and raw in PLATFORMS else "unknown"


def _number(raw: object) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, (int, float)):
        return float(raw)
    msg = f"expected a number, got {type(raw).__name__}"
    raise TypeError(msg)


def _text_mapping(raw: object) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        msg = f"expected an object, got {type(raw).__name__}"
        raise TypeError(msg)
    return {str(key): value for key, value in raw.items()}


def _optional_mapping(raw: object) -> dict[str, Any] | None:
    return None if raw is None else _text_mapping(raw)


def _texts(raw: object) -> dict[str, str]:
    return {key: str(value) for key, value in _text_mapping(raw).items() if value is None or isinstance(value, (str, int, float))}


def _optional_texts(raw: object) -> dict[str, str] | None:
    return None if raw is None else _texts(raw)


def _items(raw: object) -> list[Any]:
    if not isinstance(raw, (list, tuple)):
        msg = f"expected a list, got {type(raw).__name__}"
        raise TypeError(msg)
    return list(raw)


def _record(kind: type[T], raw: object) -> T:
    """Return a record with its types checked; raises `ValueError` in one sentence."""
    from pydantic import TypeAdapter, ValidationError

    names = {item.name for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    try:
        return TypeAdapter(kind).validate_python({key: value for key, value in _text_mapping(raw).items() if key in names})
    except ValidationError as error:
        wrong = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from None


def _pieces(raw: object) -> tuple[Piece, ...]:
    found = []
    for item in _items(raw):
        part = _text_mapping(item)
        kind = part.get("kind")
        text, name = part["text"], part.get("name")
        if not isinstance(text, str):
            raise TypeError(f"a piece's text is a {type(text).__name__}")
        found.append(Piece(kind if kind in KINDS else "other", text, name if isinstance(name, str) else ""))
    return tuple(found)


def _use(raw: object) -> GpuUse | None:
    if raw is None:
        return None
    part = _text_mapping(raw)
    return GpuUse(
        gpus=tuple(_record(Gpu, item) for item in _items(part["gpus"])),
        processes=tuple(_record(Process, item) for item in _items(part.get("processes", ()))),
        reliable=bool(part.get("reliable", True)),
        why_unreliable=str(part.get("why_unreliable", "")),
    )


_DECODERS: Mapping[str, Any] = {
    "platform": _platform,
    "ollama_version": _text,
    "gpu": _text,
    "symptom": _text,
    "pieces": _pieces,
    "host": lambda raw: _text(raw) or "",
    "rights": lambda raw: _text(raw) or "",
    "model": _text,
    "runners": lambda raw: None if raw is None else tuple(_record(Runner, item) for item in _items(raw)),
    "models": lambda raw: None if raw is None else tuple(_record(ModelEntry, item) for item in _items(raw)),
    "shows": lambda raw: tuple(_record(ModelShow, item) for item in _items(raw)),
    "container": _optional_mapping,
    "compose": _optional_mapping,
    "compose_files": _texts,
    "environment": _optional_texts,
    "services": lambda raw: {name: _texts(values) for name, values in _text_mapping(raw).items()},
    "connections": lambda raw: None if raw is None else tuple(str(item) for item in _items(raw)),
    "use": _use,
    "programs": lambda raw: None if raw is None else tuple(_record(Process, item) for item in _items(raw)),
    "probe": lambda raw: _text(raw) or "",
    "silent": lambda raw: _text(raw) or "",
    "engine": lambda raw: None if raw is None else _record(EngineFacts, raw),
    "serving": lambda raw: None if raw is None else _record(Serving, raw),
    "system": lambda raw: None if raw is None else _record(SystemFacts, raw),
    "collected_at": _number,
}
