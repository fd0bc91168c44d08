"""Who sends ``num_gpu``: Modelfile, compose services' environment and files, the server's request log, open connections."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.readers.logs.common import REQUEST
from remediation.diagnosis.readers.texts.requested_options import read_requested_options
from remediation.model.facts import ModelShow
from remediation.model.finding import Quote, Sender
from remediation.model.text.digits import is_whole

# names that applications give a variable which ends up as num_gpu; the bare OLLAMA_NUM_GPU is read by no server, but an
# application may pass it on (facts/ollama 5.2: "OLLAMA_NUM_GPU used as a value")
_VARIABLE = re.compile(r"(?:^|_)(?:NUM_GPUS?(?:_LAYERS)?|N_GPU_LAYERS|GPU_LAYERS)$", re.IGNORECASE)
_ASSIGNED = re.compile(r"^\s*(?:-\s*)?(?:export\s+)?[\"']?([A-Za-z]\w*)[\"']?\s*[=:]\s*[\"']?(?:\$\{\w+:?-)?(\d+)\b")
_NUM_GPU = re.compile(r'"num_gpu"\s*:\s*(-?\d{1,6})\b')
_MODEL = re.compile(r'"model"\s*:\s*"([^"]{1,200})"')
_DEAD = "OLLAMA_NUM_GPU"
_CONFIGURATION = frozenset({"client_config", "modelfile", "docker_compose"})
_FEW = 64
_NEXT_LINES = 1000
_MOST_CALLERS = 8


def find_senders(evidence: Evidence, load: Load | None = None) -> tuple[Sender, ...]:
    """Return the senders of ``num_gpu``, the surest first: configured options before open connections.

    `load` is the load with the request for few layers: the access log has its sender after it.
    """
    found = [
        *_models(evidence.shows),
        *_request_log(evidence),
        *_services(evidence),
        *_files(evidence),
        *_connected_senders(evidence),
        *_callers(evidence, load),
    ]
    seen: dict[tuple[str, str], Sender] = {}
    for one in found:
        seen.setdefault((one.place.where, one.place.text), one)
    return tuple(seen.values())


def _models(shows: Sequence[ModelShow]) -> Iterator[Sender]:
    for show in shows:
        text = show.parameters.get("num_gpu")
        if text is not None and not text.startswith("-"):
            value = int(text) if is_whole(text) else None
            cure = (
                "create the model again with PARAMETER num_gpu -1 (an inherited parameter cannot be removed), "
                f"or send num_gpu -1 per request, then unload {show.model}"
            )
            yield Sender(
                f"the Modelfile of {show.model}", value, Quote(f"/api/show {show.model} parameters", f"num_gpu {text}"), cure
            )


def _request_log(evidence: Evidence) -> Iterator[Sender]:
    """Yield the bodies that the server wrote with OLLAMA_DEBUG_LOG_REQUESTS (v0.18.3 and newer)."""
    for piece in evidence.pieces:
        if piece.kind != "request_log":
            continue
        match = _NUM_GPU.search(piece.text)
        if match is None or int(match[1]) < 0:
            continue
        model, caller = _MODEL.search(piece.text), _caller(evidence, piece.label)
        yield Sender(
            f"a client's request for {model[1] if model else 'a model'}{f' from {caller}' if caller else ''}",
            int(match[1]),
            Quote(piece.label, match[0]),
            "remove num_gpu from the client's options, then unload the model",
        )


def _caller(evidence: Evidence, path: str) -> str:
    """Return the address behind a body that the server wrote: its log names the body, and the request's own line comes next."""
    name = re.split(r"[\\/]", path)[-1]
    for piece in evidence.pieces:
        at = piece.text.find(f"{name}, replay using") if piece.kind == "server_log" else -1
        match = REQUEST.search(piece.text, at, at + _NEXT_LINES) if at >= 0 else None
        if match:
            return match["caller"]
    return ""


def _services(evidence: Evidence) -> Iterator[Sender]:
    """Yield the services whose environment names a number of layers: as defined, then as the containers have it."""
    defined = (evidence.compose or {}).get("services")
    for service, definition in defined.items() if isinstance(defined, Mapping) else ():
        server = "ollama" in str(definition.get("image", "")) if isinstance(definition, Mapping) else False
        yield from _variables(evidence, str(service), _environment(definition), server=server)
    for service, environment in evidence.services.items():
        yield from _variables(evidence, service, environment, server="OLLAMA_HOST" in environment and _DEAD in environment)


def _variables(evidence: Evidence, service: str, environment: Mapping[str, str], *, server: bool) -> Iterator[Sender]:
    for name, value in environment.items():
        if not (_VARIABLE.search(name) and is_whole(value.removeprefix("-")) and int(value) >= 0):
            continue
        if server and name.upper() == _DEAD:
            continue  # the server does not read the variable
        place = _line_of(evidence.compose_files, name) or Quote(f"compose service {service} environment", f"{name}={value}")
        cure = f"remove {name} from the service {service} or set it to -1, then docker compose up -d {service}"
        yield Sender(f"the service {service}", int(value), place, cure)


def _environment(definition: object) -> dict[str, str]:
    raw: Any = definition.get("environment") if isinstance(definition, Mapping) else None
    if isinstance(raw, Mapping):
        return {str(key): "" if value is None else str(value) for key, value in raw.items()}
    if isinstance(raw, (list, tuple)):
        return {str(item).partition("=")[0]: str(item).partition("=")[2] for item in raw}
    return {}


def _line_of(files: Mapping[str, str], name: str) -> Quote | None:
    wanted = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    for path, text in files.items():
        for number, line in enumerate(text.splitlines(), start=1):
            if wanted.search(line) and not line.lstrip().startswith("#"):
                return Quote(f"{path}:{number}", line.strip())
    return None


def _files(evidence: Evidence) -> Iterator[Sender]:
    """Yield lines of configuration that ask for few layers."""
    texts = list(evidence.compose_files.items())
    texts += [(piece.label, piece.text) for piece in evidence.pieces if piece.kind in _CONFIGURATION]
    for path, text in texts:
        for option in read_requested_options(text, path):
            if option.what == "num_gpu" and option.value is not None and 0 <= option.value < _FEW:
                yield Sender(path, option.value, option.at, "remove num_gpu there, then unload the model")
        if evidence.compose:
            continue  # the resolved definition says which service has the variable
        for number, line in enumerate(text.splitlines(), start=1):
            match = _ASSIGNED.match(line)
            if match and _VARIABLE.search(match[1]) and match[1].upper() != _DEAD and int(match[2]) < _FEW:
                at = Quote(f"{path}:{number}", line.strip()[:200])
                yield Sender(path, int(match[2]), at, f"remove {match[1]} there or set it to -1, then restart what reads it")


def _connected_senders(evidence: Evidence) -> Iterator[Sender]:
    """Yield the programs that hold a connection to the server's port."""
    for text in (evidence.connections or ())[:_MOST_CALLERS]:
        yield Sender(text, None, Quote("connections to the server's port", text), f"look for num_gpu in {text.split(' ')[0]}")


def _callers(evidence: Evidence, load: Load | None) -> Iterator[Sender]:
    """Yield the addresses that sent requests, where nothing names the sender itself: from the load on, if any did since."""
    label, _, begun = load.at.where.rpartition(":") if load is not None else ("", "", "0")
    later = list(_calling_senders(evidence, label, int(begun)))
    yield from later or _calling_senders(evidence, "", 0)


def _calling_senders(evidence: Evidence, label: str, begun: int) -> Iterator[Sender]:
    seen: set[str] = set()
    for piece in evidence.pieces:
        if label and piece.label != label:
            continue
        if piece.kind != "server_log" or "[GIN]" not in piece.text:
            continue
        for number, line in enumerate(piece.text.splitlines(), start=1):
            match = REQUEST.search(line) if "[GIN]" in line and number > begun else None
            # the OpenAI-compatible paths take no num_gpu
            if match and match["path"].startswith("/api/") and match["caller"] not in seen and len(seen) < _MOST_CALLERS:
                seen.add(match["caller"])
                yield Sender(
                    f"a client that calls from {match['caller']}",
                    None,
                    Quote(f"{piece.label}:{number}", line.strip()[:200]),
                    "look for num_gpu in that program; OLLAMA_DEBUG_LOG_REQUESTS=1 (v0.18.3 and newer) writes each request's body",
                )
