"""What inspect records, compose files and docker commands say about GPUs and memory limits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediation.diagnosis.units import parse_size
from remediation.model.finding import Quote

_REQUESTED = re.compile(
    r"--gpus\b|driver:\s{0,40}[\"']?(?:nvidia|cdi)|capabilities:\s{0,40}(?:\[\s{0,40}[\"']?(?:gpu|nvidia)|\n\s{0,40}-\s{0,40}[\"']?gpu)|runtime:\s{0,40}[\"']?nvidia"
    r"|--runtime[= ]nvidia|^\s{0,40}gpus:\s{0,40}\S|nvidia\.com/gpu|--device[= ]\S{0,200}(?:nvidia|/dev/kfd|/dev/dri)|-\s{0,40}[\"']?/dev/(?:kfd|dri|nvidia)"
    r"|\"Capabilities\":\s{0,40}\[\s{0,40}\[\s{0,40}\"gpu|\"Runtime\":\s{0,40}\"nvidia\"|\"DeviceRequests\":\s{0,40}\[\s{0,40}\{",
    re.MULTILINE,
)
_NO_REQUEST = re.compile(r"\"?DeviceRequests\"?\s{0,40}[:=]\s{0,40}(?:null|\[\s{0,40}\]|<no value>|none)", re.IGNORECASE)
_NOT_PASSED = re.compile(
    r"(?:names?|lists?|passes|maps|has|contains?|without|lacks?|missing|with)\s(?:no|any|the)?\s?[`\"']?(?:/dev/(?:kfd|dri|nvidia)|--gpus|--device)\S*[^\n]{0,40}(?:devices|config|options|compose|file|flag)|(?:no|without|missing|lacks?) [`\"']?(?:/dev/(?:kfd|dri)|--gpus|--device)\S*[^\n]{0,40}(?:devices|config|options|compose|file|flag)",
    re.IGNORECASE,
)
"""What a sentence says that a container's definition lacks."""
_RUNC = re.compile(r"(?<![A-Za-z])(?<!Default )Runtime\"?\s{0,40}[:=]\s{0,40}\"?runc\b")
_IMAGE = re.compile(
    r"(?:image:\s*[\"']?|docker run[^\n]{0,1000}\s|podman run[^\n]{0,1000}\s)((?:[\w.-]{1,100}/){0,4}ollama(?:/ollama)?(?::[\w.-]{1,128})?)"
)
_COMPUTES = re.compile(
    r"(?:image:\s*[\"']?|(?:docker|podman) run[^\n]{0,400}\s)[\w./-]{0,80}(?:torch|tensorflow|cuda|vllm|text-generation|llama|localai|whisper|diffusion|comfyui|triton)[\w./:-]{0,80}",
    re.IGNORECASE,
)
"""Images of programs that compute on a card, Ollama's aside."""
_LIMIT = re.compile(
    r"(?:mem_limit:|memory:|--memory[= ]|(?<!\w)-m |\"Memory\":|^\s{0,40}Memory:)\s{0,40}[\"']?(\d{1,20}(?:\.\d{1,20})?\s{0,40}[kmgKMG]?i?[bB]?)\b",
    re.MULTILINE,
)
_TRIAL = re.compile(r"(?:docker|podman) (?:container )?run\b[^\n;&]{0,300}\bnvidia-smi\b")
"""A container that only tries the card says nothing of the server's."""
_COMPOSE = re.compile(r"^\s*services:\s*$|^\s+image:\s", re.MULTILINE)
_RUN = re.compile(r"\b(?:docker|podman) (?:container )?run\b")


@dataclass(frozen=True, slots=True)
class DockerReading:
    """One text about a container; ``requested`` None when the text cannot tell."""

    at: Quote
    requested: bool | None = None
    why: str = ""
    memory_limit: int | None = None
    limit_at: Quote | None = None
    image: str = ""


def _quote(text: str, start: int, label: str) -> Quote:
    number = text.count("\n", 0, start) + 1
    return Quote(f"{label}:{number}", text.splitlines()[number - 1].strip()[:300] if text else "")


def read_docker(text: str, label: str) -> DockerReading | None:
    """Return what a text says about a container's GPU and memory; None when it is about none."""
    request, none = _REQUESTED.search(_TRIAL.sub("", text)), _NO_REQUEST.search(text)
    runc, image = _RUNC.search(text), _IMAGE.search(text)
    limit = next((match for match in _LIMIT.finditer(text) if (parse_size(match[1]) or 0) > 0), None)
    at, requested, why = Quote(label, ""), None, ""
    if request:
        requested, at = True, _quote(text, request.start(), label)
    elif none:
        requested, at, why = False, _quote(text, none.start(), label), "the container has no device request"
    elif (lacks := _NOT_PASSED.search(text)) is not None:
        requested, at, why = False, _quote(text, lacks.start(), label), "the container's definition names no device of the card"
    elif runc:
        requested, at, why = False, _quote(text, runc.start(), label), "the container runs under runc, not the NVIDIA runtime"
    elif not image and (computes := _COMPUTES.search(_TRIAL.sub("", text))) is not None:
        requested, at, why = False, _quote(text, computes.start(), label), "the container is started without asking for a GPU"
    elif image and (_COMPOSE.search(text) or _RUN.search(text)):
        requested, at, why = False, _quote(text, image.start(), label), "the container is started without asking for a GPU"
    if requested is None and limit is None and image is None:
        return None
    return DockerReading(
        at=at,
        requested=requested,
        why=why,
        memory_limit=parse_size(limit[1]) if limit else None,
        limit_at=_quote(text, limit.start(1), label) if limit else None,
        image=image[1] if image else "",
    )


def read_inspect(record: Mapping[str, Any], label: str) -> DockerReading:
    """Return what a whole inspect record says."""
    host = record.get("HostConfig") or {}
    requests, runtime = host.get("DeviceRequests"), host.get("Runtime")
    devices = [str(item.get("PathOnHost", "")) for item in host.get("Devices") or [] if isinstance(item, Mapping)]
    requested = bool(requests) or runtime == "nvidia" or any("/dev/kfd" in path or "/dev/nvidia" in path for path in devices)
    memory = host.get("Memory")
    return DockerReading(
        at=Quote(f"{label} HostConfig.DeviceRequests", json.dumps(requests)),
        requested=requested,
        why="" if requested else "the container has no device request",
        memory_limit=memory if isinstance(memory, int) and memory > 0 else None,
        limit_at=Quote(f"{label} HostConfig.Memory", str(memory)),
        image=str((record.get("Config") or {}).get("Image") or ""),
    )
