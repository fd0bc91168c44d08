"""What carried a text here is taken off: shippers' records, quote marks, line numbers, clocks, markup, wrapped lines, odd spaces.

Logs of any size are read line by line (`readers.logs.lines`); this is for texts that people paste or export, up to a few MB. Every line
keeps its number where the carrier kept lines.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from remediation.model.text.json_text import load_json

_LARGEST, _WRITTEN = 4_000_000, 400_000
_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("\u00a0\u2007\u202f\u2009\u2002\u2003\u3000", " "),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f", None),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2018\u2019\u201a", "'"),
        "\uff1a": ":",
        "\uff1d": "=",
        "\uff05": "%",
        "\u2044": "/",
        "\uff0f": "/",
    }
)
"""Spaces, quotation marks and signs of word processors, chats and East Asian keyboards, and what browsers put between words."""
_COLOUR = re.compile(r"(?:\x1b|\^\[|\\u001b|\\x1b|\\033|\\e)\[[0-9;]{0,20}[mK]|(?<!\w)\[(?:0|[0-9;]{1,8})m")
_ENTITY = re.compile(r"&(?:quot|lt|gt|amp|#34|#39|nbsp|#x27);")
_MARKDOWN = re.compile(r"\\([_*\[\]|<>#`~])")
_OTHER_RECORD = re.compile(
    r'"(?:HostConfig|DeviceRequests|apiVersion|containerStatuses|size_vram|pieces|evidence|choices|role|RepoTags)"'
)
"""In a record of Docker, Kubernetes or an API, whose keys count."""
_MOST_LEVELS = 6
_KEYS = ("MESSAGE", "message", "short_message", "log", "line", "msg", "body", "textPayload")
"""Where journald, Graylog, Docker, Loki and log services keep a line."""
_LEAST, _FEWEST = 3, 2
_NEARLY_ALL = 0.85
_PREFIXES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:> ?){1,4}",
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})? ?(?:Z|[+-]\d\d:?\d\d)? (?=\S)",
        r"\[?\d{1,4}[./-]\d{1,2}[./-]\d{1,4},? \d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?(?: [AP]M)?\]? ",
        r"<\d{1,3}>1 \S{10,40} \S{1,64} \S{1,48} \S{1,64} \S{1,32} (?:- |\[[^\]\n]{1,200}\] )?",
        r"\[pod/[^\]\n]{1,120}\] ",
        r"[\w./-]{1,100}\.(?:log|txt|out)[\w.-]{0,12}[:-](?:\d{1,7}[:-])? ?",
        r" {0,7}\d{1,7}(?:\t|: ?| ?\| ?)",
        r"[-*\u2022] ",
        r"[A-Za-z0-9][\w.-]{0,60} {1,20}\| ",
    )
)
"""What editors, mail, chats, collectors and shells put in front of each line."""
_ITSELF = re.compile(
    r"(?:[^\n]{0,60}?\bollama\[\d{1,9}\]: )?(?:time=|\[GIN\]|llama_|print_info|load|llm_load|ggml_|common_|gguf_)"
)
_BEGINS = re.compile(
    r"(?:time=\d|\[GIN\]|\d{4}[/-]\d\d[/-]\d\d|(?:llama|ggml|llm|load|print_info|common|gguf)_?\w{0,40}:|[|+>$#{}-]|\s\s|\w{3} [ \d]\d \d\d:|[^\n]{0,60}?\bollama\[\d{1,9}\]: )"
)
"""The beginning of a separate line; the rest of a line that was cut may begin with one blank."""
_NARROWEST, _WIDEST = 60, 400
_CSV = re.compile(r'"(?:[^"\n]|""){0,80}",')


def plain_text(text: str) -> str:
    """Return a text without its carrier's marks; a text without such marks is returned as it is."""
    if len(text) > _LARGEST:
        return text
    if not text.isascii():
        text = text.translate(_CHARACTERS)
    if "\r" in text:
        text = text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")
    if "[" in text and "m" in text and _COLOUR.search(text):
        text = _COLOUR.sub("", text)
    if "&" in text and len(_ENTITY.findall(text)) >= _LEAST:
        text = html.unescape(text)
    text = _lines_of_records(_with_line_ends(text))
    if "\\_" in text and text.count("\\_") >= _LEAST:
        text = _MARKDOWN.sub(r"\1", text)
    return _in_english(_unwrap(_without_prefix(text)))


def _in_english(text: str) -> str:
    """Return a text with the messages of systems and shells in English; a log is written by the program, in one language."""
    if len(text) > _WRITTEN or (text.isascii() and not any(wording in text for wording in _ascii_words())):
        return text
    for message, wordings in system_messages().items():
        for wording in wordings:
            if wording in text:
                text = text.replace(wording, message)
    return text


@lru_cache(maxsize=1)
def system_messages() -> Mapping[str, Sequence[str]]:
    """Return the messages of systems and shells in English, each with its wordings in other languages."""
    import yaml

    found: dict[str, list[str]] = yaml.safe_load(resources.files(__package__).joinpath("system_messages.yml").read_text("utf-8"))
    return found


@lru_cache(maxsize=1)
def _ascii_words() -> tuple[str, ...]:
    return tuple(wording for wordings in system_messages().values() for wording in wordings if wording.isascii())


def _with_line_ends(text: str) -> str:
    """Return a text whose line ends are written as two characters with real ones."""
    if text.count("\\n") < _LEAST or text.count("\\n") < _LEAST * (text.count("\n") + 1) or text.lstrip()[:1] in {"{", "["}:
        return text
    return text.replace('\\"', '"').replace("\\n", "\n").replace("\\t", "\t")


def _lines_of_records(text: str) -> str:
    """Return the lines that a log service's export holds; a text that is no such export is returned as it is."""
    start = text.lstrip()[:1]
    if start == '"' and _CSV.match(text.lstrip()):
        return _last_columns(text)
    if start not in {"{", "["} or _OTHER_RECORD.search(text) or not any(f'"{key}"' in text for key in (*_KEYS, "values")):
        return text
    try:
        whole = load_json(text)
    except ValueError:
        return _lines_of_lines(text)
    lines = list(_messages(whole))
    return "\n".join(lines) if len(lines) >= _LEAST else text


def _lines_of_lines(text: str) -> str:
    """Return the text of records, of which each has a line or follows another."""
    found, lines, decoder, at = 0, list[str](), json.JSONDecoder(), 0
    if text.lstrip().startswith("{\n") or ("}\n{" in text and "{\n" in text):
        while (start := text.find("{", at)) >= 0:
            try:
                record, at = decoder.raw_decode(text, start)
            except (ValueError, RecursionError):
                return text
            lines += _messages(record)
        return "\n".join(lines) if len(lines) >= _LEAST else text
    for line in text.split("\n"):
        if line.startswith("{"):
            try:
                inside = list(_messages(load_json(line)))
            except ValueError:
                inside = []
            if inside:
                found += 1
                lines.append(" ".join(inside))
                continue
        lines.append(line)
    return "\n".join(lines) if found >= _LEAST or found == sum(bool(line.strip()) for line in text.split("\n")) else text


def _messages(value: Any, level: int = 0) -> Iterator[str]:
    """Yield the lines in records of journald, Graylog, Loki and their like, in their order."""
    if level > _MOST_LEVELS:
        return
    if isinstance(value, list):
        for item in value:
            yield from _messages(item, level + 1)
        return
    if not isinstance(value, dict):
        return
    for key in _KEYS:
        message = value.get(key)
        if isinstance(message, str):
            yield message.rstrip("\r\n")
            return
        if isinstance(message, list) and message and all(isinstance(one, int) and 0 <= one < 256 for one in message):
            yield (
                bytes(message).decode("utf-8", errors="replace").rstrip("\r\n")
            )  # journald's form of a line with control characters
            return
    pairs = value.get("values")
    if isinstance(pairs, list) and all(isinstance(one, list) and len(one) > 1 and isinstance(one[1], str) for one in pairs):
        yield from (one[1].rstrip("\r\n") for one in pairs)
        return
    for item in value.values():
        yield from _messages(item, level + 1)


def _last_columns(text: str) -> str:
    """Return the last column of each row of a spreadsheet's export."""
    import csv
    import io

    try:
        rows = list(csv.reader(io.StringIO(text)))
    except csv.Error:
        return text
    widths = {len(row) for row in rows if row}
    return "\n".join(row[-1] if row else "" for row in rows) if len(rows) >= _LEAST and len(widths) == 1 else text


def _without_prefix(text: str) -> str:
    """Return a text without what stands in front of nearly all of its lines; twice, as a quoted log may have clocks too."""
    for _ in range(2):
        lines = text.split("\n")
        filled = [line for line in lines if line.strip()]
        if len(filled) < _FEWEST:
            return text
        least = _NEARLY_ALL * len(filled)
        pattern = next((one for one in _PREFIXES if sum(one.match(line) is not None for line in filled) >= least), None)
        if pattern is None:
            return _without_margin(text, filled)
        text = "\n".join(_cut(pattern, line) for line in lines)
    return text


def _cut(pattern: re.Pattern[str], line: str) -> str:
    match = pattern.match(line)
    return line[match.end() :] if match is not None else line


def _without_margin(text: str, filled: list[str]) -> str:
    """Return a text without the margin that all its lines share, or the marks of code around each of them."""
    if all(line.startswith("`") and line.rstrip().endswith("`") for line in filled) and not filled[0].startswith("```"):
        return "\n".join(line.strip().strip("`") for line in text.split("\n"))
    margin = min(len(line) - len(line.lstrip(" \t")) for line in filled)
    return "\n".join(line[margin:] for line in text.split("\n")) if margin else text


def _unwrap(text: str) -> str:
    """Return a text in which lines were cut at a width, between words or within them, with the rest of each line behind its beginning."""
    lines = text.split("\n")
    width = max(map(len, lines), default=0)
    if not _NARROWEST <= width <= _WIDEST or "msg=" not in text:
        return text
    rests = list(_rests(lines))
    cut = [number for number in rests if len(lines[number - 1]) == width]
    if len(cut) < _LEAST or len(cut) < len(rests) * _NEARLY_ALL:
        # between words: the first word of the rest had no room
        cut = [number for number in rests if len(lines[number - 1]) + 1 + len(lines[number].split(" ", 1)[0]) > width]
        glue = " "
    else:
        glue = ""
    if len(cut) < _LEAST or len(cut) < len(rests) * _NEARLY_ALL:
        return text
    joined, at, rest = list(lines), 0, set(cut)
    for number, line in enumerate(lines):
        if number in rest:
            joined[at] += f"{glue}{line}"
            joined[number] = ""
        else:
            at = number
    return "\n".join(joined)


def _rests(lines: list[str]) -> Iterator[int]:
    """Yield the lines that begin like no line of a log and follow one that does."""
    inside = False
    for number, line in enumerate(lines):
        if inside and line and not _BEGINS.match(line):
            yield number
        elif not line[:1].isspace():
            inside = _ITSELF.match(line) is not None
