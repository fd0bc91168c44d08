"""Who sends ``num_gpu``: Modelfile, compose services' environment and files, the server's request log, open connections."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.texts.asks import read_asks
from remediation.model.facts import ModelShow
from remediation.model.finding import Quote

# names that applications give a variable which ends up as num_gpu; the bare OLLAMA_NUM_GPU is read by no server, but an
# application may pass it on (facts/ollama 5.2: "OLLAMA_NUM_GPU used as a value")
_VARIABLE = re.compile(r"(?:^|_)(?:NUM_GPU(?:_LAYERS)?|N_GPU_LAYERS|GPU_LAYERS)$", re.IGNORECASE)
_GIN = re.compile(r"\[GIN\][^|]*\|\s*\d+ \|[^|]*\|\s*([0-9a-fA-F.:]+) \| POST\s+\"(/api/(?:generate|chat|embed\w*))\"")
_FEW = 64


@dataclass(frozen=True, slots=True)
class Sender:
    """Somebody who asks for a number of layers; ``place`` is the file and line, or the field, to change."""

    who: str
    value: int | None
    place: Quote
    cure: str


def find_senders(evidence: Evidence, *, requests: Sequence[tuple[str, str]] = ()) -> tuple[Sender, ...]:
    """Return who asks for ``num_gpu``, the surest first.

    `requests` are (name, text) of request bodies that the server wrote with OLLAMA_DEBUG_LOG_REQUESTS (v0.18.3 and newer).
    """
    found = [*_models(evidence.shows), *_request_log(requests), *_compose(evidence), *_files(evidence), *_callers(evidence)]
    seen: dict[tuple[str, str], Sender] = {}
    for one in found:
        seen.setdefault((one.place.where, one.place.text), one)
    return tuple(seen.values())


def _models(shows: Sequence[ModelShow]) -> Iterator[Sender]:
    for show in shows:
        text = show.parameters.get("num_gpu")
        if text is not None and not text.startswith("-"):
            value = int(text) if text.isdigit() else None
            cure = f"create the model again with PARAMETER num_gpu -1 (an inherited parameter cannot be removed), or send num_gpu -1 per request, then unload {show.model}"
            yield Sender(
                f"the Modelfile of {show.model}", value, Quote(f"/api/show {show.model} parameters", f"num_gpu {text}"), cure
            )


def _request_log(requests: Sequence[tuple[str, str]]) -> Iterator[Sender]:
    for name, text in requests:
        try:
            body = json.loads(text)
        except ValueError:
            continue
        options = body.get("options") if isinstance(body, Mapping) else None
        value = options.get("num_gpu") if isinstance(options, Mapping) else None
        if isinstance(value, int) and value >= 0:
            yield Sender(
                f"a client's request for {body.get('model', '?')}",
                value,
                Quote(name, f'"num_gpu": {value}'),
                "remove num_gpu from the client's options, then unload the model",
            )


def _compose(evidence: Evidence) -> Iterator[Sender]:
    """Yield the services whose environment names a number of layers."""
    services = (evidence.compose or {}).get("services")
    for service, definition in services.items() if isinstance(services, Mapping) else ():
        for name, value in _environment(definition).items():
            if _VARIABLE.search(name) and value.lstrip("-").isdigit() and int(value) >= 0:
                own = "ollama" in str(definition.get("image", "")) and name.upper() == "OLLAMA_NUM_GPU"
                if own:
                    continue  # on the server itself the variable is read by nobody
                place = _line_of(evidence.compose_files, name) or Quote(
                    f"compose service {service} environment", f"{name}={value}"
                )
                yield Sender(
                    f"the service {service}",
                    int(value),
                    place,
                    f"remove {name} from the service {service} or set it to -1, then docker compose up -d {service}",
                )


def _environment(definition: object) -> dict[str, str]:
    raw: Any = definition.get("environment") if isinstance(definition, Mapping) else None
    if isinstance(raw, Mapping):
        return {str(key): "" if value is None else str(value) for key, value in raw.items()}
    if isinstance(raw, (list, tuple)):
        return {str(item).partition("=")[0]: str(item).partition("=")[2] for item in raw}
    return {}


def _line_of(files: Mapping[str, str], name: str) -> Quote | None:
    for path, text in files.items():
        for number, line in enumerate(text.splitlines(), start=1):
            if name in line and not line.lstrip().startswith("#"):
                return Quote(f"{path}:{number}", line.strip())
    return None


def _files(evidence: Evidence) -> Iterator[Sender]:
    """Yield lines of configuration that ask for few layers."""
    texts = [(path, text) for path, text in evidence.compose_files.items()]
    texts += [
        (piece.label, piece.text) for piece in evidence.pieces if piece.kind in {"client_config", "modelfile", "docker_compose"}
    ]
    for path, text in texts:
        for ask in read_asks(text, path):
            if ask.what == "num_gpu" and ask.value is not None and 0 <= ask.value < _FEW:
                yield Sender(path, ask.value, ask.at, "remove num_gpu there, then unload the model")


def _callers(evidence: Evidence) -> Iterator[Sender]:
    """Yield the addresses that sent requests, where nothing names the sender itself."""
    seen: set[str] = set()
    for piece in evidence.pieces:
        if piece.kind != "server_log":
            continue
        for number, line in enumerate(piece.text.splitlines(), start=1):
            match = _GIN.search(line)
            if match and match[1] not in seen and len(seen) < _FEW:
                seen.add(match[1])
                yield Sender(
                    f"whoever calls from {match[1]}",
                    None,
                    Quote(f"{piece.label}:{number}", line.strip()[:200]),
                    "look for num_gpu in that program; OLLAMA_DEBUG_LOG_REQUESTS=1 (v0.18.3 and newer) writes each request's body",
                )
