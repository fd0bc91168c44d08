"""Load the ``--evidence`` argument: an incident file, a saved record, a plain log, several pieces, or stdin."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from remediation.diagnosis.decoding import UNPACKED, decode_text, is_packed, refuse_bytes
from remediation.diagnosis.evidence import FORMAT, Evidence, Piece
from remediation.diagnosis.pasted import parts
from remediation.diagnosis.readers.logs import condense_file
from remediation.diagnosis.readers.texts.carriers import plain_text
from remediation.diagnosis.untrusted import load_yaml, parse_json
from remediation.model.errors import UsageError
from remediation.model.text.shape import ODD, explain_error

_TEXT_SUFFIXES = {".log", ".txt", ".json", ".yml", ".yaml", ".md", ".out", ".conf", ".env", ".gz", ".bz2", ".xz", ""}
_HEAD = 200_000
_SAMPLE = 65_536
_LONG = 32_000_000  # a larger file is a log, of which the beginning and the end are read
_IN_ALL = 256_000_000
_MOST_FILES = 1000
_NAMED = 200
_INCIDENT = re.compile(r"^evidence\s*:", re.MULTILINE)
_NEXT = "name an incident file, a saved record, a log, a folder, or - for stdin"

# the kind of a text by its content; the first match decides
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "server_log",
        re.compile(
            r"level=(?:INFO|WARN|DEBUG|ERROR)\b.{0,400}source=|llm_load_tensors|load_tensors:|llama_model_loader|\[GIN\]|server config|ggml_cuda_init"
        ),
    ),
    ("nvidia_smi", re.compile(r"NVIDIA-SMI|NVSMI LOG|Failed to initialize NVML|memory\.total")),
    (
        "docker_error",
        re.compile(r"docker: Error|Error response from daemon|OCI runtime|nvidia-container-cli|Cannot connect to the Docker"),
    ),
    ("docker_inspect", re.compile(r'"HostConfig"|"DeviceRequests"|"OOMKilled"')),
    ("docker_compose", re.compile(r"^services:\s*$|^\s+image:\s", re.MULTILINE)),
    ("ollama_ps", re.compile(r"PROCESSOR|\d{1,3}%/\d{1,3}% CPU/GPU|100% (?:GPU|CPU)")),
    ("modelfile", re.compile(r"^(?:FROM|PARAMETER|TEMPLATE) ", re.MULTILINE)),
    ("api", re.compile(r"/api/(?:ps|show|tags|generate|chat)|\"size_vram\"|\"load_duration\"")),
    ("env", re.compile(r"^(?:export |Environment=|set )?\"?(?:OLLAMA|CUDA|NVIDIA)_[A-Z_]+[=:]", re.MULTILINE)),
    ("client_config", re.compile(r"num_gpu|num_ctx|temperature")),
)


def recognise(text: str) -> str:
    """Return the kind of a text by its content."""
    head = text[:_HEAD]
    return next((kind for kind, pattern in _KINDS if pattern.search(head)), "other")


def load_evidence(argument: str, *, stdin: Callable[[], str] | None = None) -> Evidence:
    """Return the incident that one ``--evidence`` argument names; raises `UsageError` if there is nothing to read.

    `argument` is a file, a folder, several files separated by commas (one incident of several pieces), or ``-``.
    """
    if argument == "-":
        return _of_text(stdin() if stdin is not None else _standard_input(), "stdin")
    if not argument.strip():
        raise UsageError("--evidence was given nothing", next_step=_NEXT)
    path = Path(argument)
    try:
        if path.is_dir():
            files = sorted(one for one in path.iterdir() if one.is_file() and one.suffix.lower() in _TEXT_SUFFIXES)
            if not files:
                msg = f"{argument}: the folder holds no evidence"
                raise UsageError(msg, next_step="name a folder with logs and texts of one incident")
            return _of_files(files, argument, folder=True)
        if path.exists():
            return _of_file(path)
        parts = [Path(part) for part in argument.split(",") if part]
        missing = [part for part in parts if not part.is_file()]
    except (OSError, ValueError) as error:  # the name is too long, contains a NUL, or is in an unreadable folder
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{argument[:_NAMED]}: cannot be read: {reason}", next_step=_NEXT) from None
    if missing or not parts:
        msg = f"{missing[0] if missing else argument}: there is no such file"
        raise UsageError(msg, next_step=_NEXT)
    return _of_files(parts, argument)


@contextmanager
def as_input_errors(name: str) -> Iterator[None]:
    """Turn unexpected errors from malformed evidence, which may hold anything, into one sentence.

    Raises `UsageError`. The readers check their input; this covers the rest.
    """
    try:
        yield
    except ODD as error:
        raise UsageError(
            f"{name[:_NAMED]}: this evidence cannot be diagnosed: a value in it is not of the kind that stands there ({explain_error(error)})",
            next_step="take that value out, or give the log itself; please report the file if a program wrote it",
        ) from error


def _standard_input() -> str:
    """Return at most `UNPACKED` bytes of standard input, decoded as a file is."""
    if sys.stdin is None:
        raise UsageError("-: there is no standard input", next_step=_NEXT)
    stream = getattr(sys.stdin, "buffer", None)
    content = stream.read(UNPACKED + 1) if stream is not None else sys.stdin.read(UNPACKED + 1).encode("utf-8", "surrogatepass")
    if len(content) > UNPACKED:
        raise UsageError(
            f"-: more than {UNPACKED // 1_000_000} MB on standard input", next_step="save it to a file, and name that"
        )
    return decode_text(content, "stdin")


def _of_files(files: Sequence[Path], argument: str, *, folder: bool = False) -> Evidence:
    """Return several files as one incident; of a folder, what is no text is skipped. Raises `UsageError` above the read limit."""
    if len(files) > _MOST_FILES:
        msg = f"{argument[:_NAMED]}: at most {_MOST_FILES:,} files are read as one incident, and these are {len(files):,}"
        raise UsageError(msg, next_step="name a folder with the logs and texts of one incident")
    size = sum(min(one.stat().st_size, _LONG) for one in files)
    if size > _IN_ALL:
        msg = f"{argument[:_NAMED]}: {size // 1_000_000} MB, and at most {_IN_ALL // 1_000_000} MB are read as one incident"
        raise UsageError(msg, next_step="name the files that show the fault")
    parts, skipped = [], []
    for one in files:
        try:
            parts.append(_of_file(one))
        except UsageError as error:
            if not folder:
                raise
            skipped.append(error.message)
    if not parts:
        raise UsageError(f"{argument[:_NAMED]}: none of the files in the folder is evidence: {skipped[0]}", next_step=_NEXT)
    whole = merge_evidence(parts)
    return replace(whole, skipped=(*whole.skipped, *skipped))


def _of_file(path: Path) -> Evidence:
    try:
        if not path.is_file():  # a pipe or a device never ends
            raise UsageError(f"{path}: this is no regular file", next_step="save its content to a file, or pipe it in and name -")
        if path.stat().st_size > _LONG:
            with path.open("rb") as file:
                head = file.read(_SAMPLE)
                file.seek(0)
                if not is_packed(head):
                    refuse_bytes(head, str(path))
                    return Evidence(pieces=(Piece("server_log", condense_file(file), path.name),))
                return _of_text(decode_text(file.read(UNPACKED), str(path)), path.name)
        text = decode_text(path.read_bytes(), str(path))
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise UsageError(msg, next_step="see whether the file is still there, and may be read") from error
    return _of_text(text, path.name)


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
        incident = _yaml(text, name)
        if incident is not None and "evidence" in incident:
            return of_incident(incident)
        if incident is None and _INCIDENT.search(text, 0, _HEAD):
            note = f"{name}: this looks like an incident file, but is no valid YAML; it was read as plain text"
            return Evidence(pieces=tuple(_pieces(plain_text(text), name)), skipped=(note,))
    return Evidence(pieces=tuple(_pieces(plain_text(text), name)))


def _pieces(text: str, name: str) -> Iterator[Piece]:
    """Yield a piece for each kind of output in a text, in which every line keeps its number."""
    kinds: dict[str, list[str]] = {}
    for part in parts(text):
        lines = kinds.setdefault(recognise(part), [])
        lines += part.split("\n")[len(lines) :]
    if len(kinds) == 1:
        yield Piece(next(iter(kinds)), text, name)
        return
    for kind, lines in kinds.items():
        yield Piece(kind, "\n".join(lines), name)


def _json(text: str) -> dict[str, Any] | None:
    data = parse_json(text)
    return data if isinstance(data, dict) else None


def _yaml(text: str, name: str) -> dict[str, Any] | None:
    import yaml

    try:
        data = load_yaml(text, name)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def of_incident(data: Mapping[str, Any]) -> Evidence:
    """Return the evidence of an incident file; other keys (``expected``, ``fix``) are never read."""
    wanted = {key: data.get(key) for key in ("platform", "ollama_version", "gpu", "symptom")}
    items, skipped = data.get("evidence"), []
    if items is not None and not isinstance(items, list):
        skipped.append(f"the evidence is no list but a {type(items).__name__}: a list of {{kind, text}} is read")
    pieces = []
    for number, item in enumerate(items if isinstance(items, list) else [], start=1):
        text = item.get("text") if isinstance(item, Mapping) else None
        if isinstance(item, Mapping) and isinstance(text, (str, int, float)):
            pieces.append({"kind": item.get("kind", "other"), "text": plain_text(str(text)), "name": item.get("name", "")})
        elif text is None:
            skipped.append(f"item {number} of the evidence has no text")
        else:
            skipped.append(f"item {number} of the evidence is no text but a {type(text).__name__}")
    evidence = Evidence.from_json({**wanted, "pieces": pieces})
    return replace(evidence, skipped=(*evidence.skipped, *skipped))


def merge_evidence(parts: list[Evidence]) -> Evidence:
    """Return several pieces as one incident; the first known value of each field counts."""
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
            "serving",
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
