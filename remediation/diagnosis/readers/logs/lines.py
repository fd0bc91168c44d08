"""From raw text to plain log lines: frames of Docker, Compose, journald and terminals taken off, wrapped lines joined."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator

from remediation.model.text.json_text import load_json

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]{0,40}[A-Za-z]|\][^\x07]{0,400}\x07|[()][A-Z0-9])")
_JOURNAL = re.compile(r"^(?:[^\[\]=|]{0,70}\s)?[\w.@-]+\[\d+\]:(?!\s?segfault )\s?")  # the kernel names who died that way
_COMPOSE = re.compile(r"^(?:[A-Za-z0-9][\w./-]{0,60}\s*|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]?\d*\s)\|\s")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(?:Z|[+-]\d\d:?\d\d)\s(?:std(?:out|err) [FP] )?")

# prefixes of a line of Ollama or llama.cpp: quote marks, line numbers, other tools' clocks and names;
# a message of a C library that lacks its line end is no such thing, it touches the line
_BEFORE = re.compile(
    r"^(?:.{0,110}?[\s|>:\]])(?=time=\d\S+ level=|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \w+\.go:\d+:|\[GIN\] "
    r"|(?:llm_load_\w+|llama_\w+|load_tensors|load_backend|ggml_\w+|gguf_\w+|print_info|common_\w+): )"
)
_ITSELF = ("time=", "[GIN]", "llama_", "print_info", "load", "llm_load", "ggml_", "common_", "gguf_")
_RECORD = re.compile(r'^\{"(?=.*"(?:MESSAGE|message|log|line)":)')

_CUT_FRAME = re.compile(r'"\s*,\s*"(?:s(?:t(?:r.*)?)?)?$')

_JOINED_LINES = 16
_JOINED_CHARACTERS = 8000


def unframe(line: str) -> str:
    """Return one line without colour, carriage return and the prefix of its carrier."""
    line = line.rstrip("\r\n")
    if line.startswith('{"log":'):
        line = _docker_json(line)
    elif line.startswith('{"') and _RECORD.match(line):
        line = _message(line)
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    head = line[:100]
    if head.startswith(_ITSELF):
        return line
    if " | " in head or "| " in head[:64]:
        line = _COMPOSE.sub("", line, count=1)
        head = line[:100]
    if "]: " in head or head.endswith("]:"):
        line = _JOURNAL.sub("", line, count=1)
    if line[:4].isdigit():
        line = _STAMP.sub("", line, count=1)
    return line


def _in_front(line: str, earlier: str) -> str:
    """Return what stands in front of a line that no known carrier put there; `earlier` is what stood before the last one."""
    if not line or line.startswith(_ITSELF):
        return ""
    if ("time=" in line or ": " in line or "[GIN]" in line) and (match := _BEFORE.match(line)):
        return match[0]
    return earlier if earlier and line.startswith(earlier) else ""


def _message(line: str) -> str:
    """Return the text inside a record of journald or of a log shipper."""
    try:
        record = load_json(line)
    except ValueError:
        return line
    texts = (record.get(key) for key in ("MESSAGE", "message", "log", "line")) if isinstance(record, dict) else ()
    return next((text.rstrip("\r\n") for text in texts if isinstance(text, str)), line)


def _docker_json(line: str) -> str:
    """Return the text inside Docker's json-file framing; a truncated record gives its readable part."""
    try:
        record = load_json(line)
    except ValueError:
        cut = line[len('{"log":') :].lstrip().lstrip('"')
        return _CUT_FRAME.sub("", cut).replace('\\"', '"').replace("\\n", "")
    log = record.get("log") if isinstance(record, dict) else None
    return log.rstrip("\r\n") if isinstance(log, str) else line


_FIELD = re.compile(r"^\s{0,8}(level|source|msg|time|[a-z_.]{2,40})=(.{0,400})$")


def rejoin_fields(text: str) -> str:
    """Return a text in whose lines each field of Ollama's logger stands alone, as viewers copy it, with the fields of a record in one line."""
    if "\nmsg=" not in text or "\nlevel=" not in f"\n{text}":
        return text
    lines: list[str] = []
    for line in text.splitlines():
        match = _FIELD.match(line)
        if match is None or " " in line.split("=", 1)[0].strip():
            lines.append(line)
            continue
        value = match[2].strip()
        field = f'{match[1]}="{value}"' if " " in value and not value.startswith('"') else f"{match[1]}={value}"
        begins = match[1] in {"time", "level"} and not (lines and lines[-1].startswith("time=") and " level=" not in lines[-1])
        if begins or not lines or not lines[-1].startswith(("time=", "level=")):
            lines.append(field)
        else:
            lines[-1] += f" {field}"
    return "\n".join(lines)


def plain_lines(source: str | Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, plain line); lines that a web page or terminal wrapped are joined again.

    Only a line that begins with a blank and follows a ``key=value`` line of Ollama's own logger is taken for the
    rest of that line, so llama.cpp's indented lines stay lines of their own.
    """
    lines = io.StringIO(source) if isinstance(source, str) else source
    number, text, joined, front = 0, "", 0, ""
    for count, raw in enumerate(lines, start=1):
        if raw == "\n":  # what a condensed log leaves of its lines (`logs.condensing`)
            if number:
                yield number, text
            number, text, joined = 0, "", 0
            continue
        # requests are most lines of a server that is watched
        line = raw.rstrip("\r\n") if raw.startswith("[GIN]") and "\x1b" not in raw else unframe(raw)
        front = _in_front(line, front)
        line = line[len(front) :]
        if (
            line[:1] in {" ", "\t"}
            and joined < _JOINED_LINES
            and (" level=" in text or "msg=" in text)
            and len(text) < _JOINED_CHARACTERS
            and line.strip()
        ):
            text = f"{text} {line.strip()}"
            joined += 1
            continue
        if number:
            yield number, text
        number, text, joined = count, line, 0
    if number:
        yield number, text
