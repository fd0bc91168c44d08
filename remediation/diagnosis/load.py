"""Reading what ``--evidence`` names: an incident file, a saved record, a plain log, several pieces, or stdin."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from remediation.diagnosis.evidence import FORMAT, Evidence, Piece
from remediation.diagnosis.logs import condense_file
from remediation.model.errors import UsageError

_TEXT_SUFFIXES = {".log", ".txt", ".json", ".yml", ".yaml", ".md", ".out", ".conf", ".env", ".gz", ""}
_HEAD = 200_000
_UNPACKED = 64_000_000  # of a packed file no more than this is read
_LONG = 32_000_000  # from this size on a file is a log, of which beginning and end are read

# what a text is, by what is in it; the first that matches
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "server_log",
        re.compile(
            r"level=(?:INFO|WARN|DEBUG|ERROR)\b.*source=|llm_load_tensors|load_tensors:|llama_model_loader|\[GIN\]|server config|ggml_cuda_init"
        ),
    ),
    ("nvidia_smi", re.compile(r"NVIDIA-SMI|NVSMI LOG|Failed to initialize NVML|memory\.total")),
    (
        "docker_error",
        re.compile(r"docker: Error|Error response from daemon|OCI runtime|nvidia-container-cli|Cannot connect to the Docker"),
    ),
    ("docker_inspect", re.compile(r'"HostConfig"|"DeviceRequests"|"OOMKilled"')),
    ("docker_compose", re.compile(r"^services:\s*$|^\s+image:\s", re.MULTILINE)),
    ("ollama_ps", re.compile(r"PROCESSOR|\d+%/\d+% CPU/GPU|100% (?:GPU|CPU)")),
    ("modelfile", re.compile(r"^(?:FROM|PARAMETER|TEMPLATE) ", re.MULTILINE)),
    ("api", re.compile(r"/api/(?:ps|show|tags|generate|chat)|\"size_vram\"|\"load_duration\"")),
    ("env", re.compile(r"^(?:export |Environment=|set )?\"?(?:OLLAMA|CUDA|NVIDIA)_[A-Z_]+[=:]", re.MULTILINE)),
    ("client_config", re.compile(r"num_gpu|num_ctx|temperature")),
)


def recognise(text: str) -> str:
    """Return the kind of a text by its content."""
    head = text[:_HEAD]
    return next((kind for kind, pattern in _KINDS if pattern.search(head)), "other")


def load_evidence(argument: str, *, stdin: Callable[[], str] = sys.stdin.read) -> Evidence:
    """Return the incident that one ``--evidence`` argument names; raises `UsageError` where there is nothing to read.

    `argument` is a file, a folder, several files divided by commas (one incident of several pieces), or ``-``.
    """
    if argument == "-":
        return _of_text(stdin(), "stdin")
    path = Path(argument)
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.is_file() and one.suffix.lower() in _TEXT_SUFFIXES)
        if not files:
            msg = f"{argument}: the folder holds no evidence"
            raise UsageError(msg, next_step="name a folder with logs and texts of one incident")
        return merged([_of_file(one) for one in files])
    if path.exists():
        return _of_file(path)
    parts = [Path(part) for part in argument.split(",") if part]
    missing = [part for part in parts if not part.is_file()]
    if missing:
        msg = f"{missing[0]}: there is no such file"
        raise UsageError(msg, next_step="name an incident file, a saved record, a log, a folder, or - for stdin")
    return merged([_of_file(part) for part in parts])


def _of_file(path: Path) -> Evidence:
    try:
        if path.stat().st_size > _LONG:
            with path.open("rb") as file:
                return Evidence(pieces=(Piece("server_log", condense_file(file), path.name),))
        text = decoded(path.read_bytes())
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise UsageError(msg) from error
    return _of_text(text, path.name)


def decoded(content: bytes) -> str:
    """Return a file's text: packed by gzip or not, UTF-16 where its mark says so (PowerShell's ``>``), else UTF-8."""
    if content.startswith(b"\x1f\x8b"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
                content = packed.read(_UNPACKED)
        except (OSError, EOFError, zlib.error):
            return ""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="replace")


def _of_text(text: str, name: str) -> Evidence:
    """Return the evidence in a text: a record, an incident, or the text itself."""
    text = text.removeprefix("\ufeff")
    head = text.lstrip()[:2000]
    if head.startswith("{"):
        data = _json(text)
        if data is not None and (data.get("format") == FORMAT or "pieces" in data):
            return Evidence.from_json(data)
        if data is not None and "evidence" in data:
            return of_incident(data)
    if re.search(r"^(?:evidence|symptom|platform|ollama_version)\s*:", text[:_HEAD] if len(text) > _HEAD else text, re.MULTILINE):
        incident = _yaml(text)
        if incident is not None and "evidence" in incident:
            return of_incident(incident)
    return Evidence(pieces=(Piece(recognise(text), text, name),))


def _json(text: str) -> dict[str, Any] | None:
    try:
        data = json.loads(text)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _yaml(text: str) -> dict[str, Any] | None:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return data if isinstance(data, dict) else None


def of_incident(data: Mapping[str, Any]) -> Evidence:
    """Return the evidence of an incident file; what is not evidence (``expected``, ``fix``) is never looked at."""
    wanted = {key: data.get(key) for key in ("platform", "ollama_version", "gpu", "symptom")}
    items, skipped = data.get("evidence"), []
    pieces = []
    for number, item in enumerate(items if isinstance(items, list) else [], start=1):
        if isinstance(item, Mapping) and item.get("text") is not None:
            pieces.append({"kind": item.get("kind", "other"), "text": str(item["text"]), "name": item.get("name", "")})
        else:
            skipped.append(f"item {number} of the evidence has no text")
    evidence = Evidence.from_json({**wanted, "pieces": pieces})
    return replace(evidence, skipped=(*evidence.skipped, *skipped))


def merged(parts: list[Evidence]) -> Evidence:
    """Return several pieces as one incident; of each fact the first that is known."""
    first = parts[0]
    for part in parts[1:]:
        values: dict[str, Any] = {"pieces": (*first.pieces, *part.pieces), "skipped": (*first.skipped, *part.skipped)}
        for name in (
            "ollama_version",
            "gpu",
            "symptom",
            "runners",
            "models",
            "container",
            "compose",
            "environment",
            "use",
            "system",
            "model",
        ):
            if getattr(first, name) is None:
                values[name] = getattr(part, name)
        if first.platform == "unknown":
            values["platform"] = part.platform
        if not first.shows:
            values["shows"] = part.shows
        if not first.compose_files:
            values["compose_files"] = part.compose_files
        first = replace(first, **values)
    return first
