"""``ollama ps`` and ``/api/ps``, also the bare share that people quote ("23%/77% CPU/GPU")."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from remediation.diagnosis.units import parse_size
from remediation.model.finding import Quote

_SHARE = re.compile(
    r"(?P<cpu>\d{1,3})\s?%\s?[/-]\s?(?P<gpu>\d{1,3})\s?%\s{0,100}(?:CPU\s?[/-]\s?GPU)?"
    r"|(?P<first>\d{1,3})\s?%\s?GPU\s?(?:[/,+&|-]|and)\s?(?P<second>\d{1,3})\s?%\s?CPU|(?P<third>\d{1,3})\s?%\s?CPU\s?(?:[/,+&|-]|and)\s?(?P<fourth>\d{1,3})\s?%\s?GPU"
    r"|100\s?%\s{0,100}(?P<whole>GPU|CPU|CP\b|GP\b)",
    re.IGNORECASE,
)
_SIZE = re.compile(r"(?<!\d)(\d{1,20}(?:\.\d{1,20})?\s?[KMGT]i?B)\b")
_NAME = re.compile(r"^\s{0,100}([\w./-]+:[\w.-]+|[\w.-]+/[\w./-]+)\s")
_CONTEXT = re.compile(r"^\W*(\d{3,7})\b")
_HEADING = re.compile(r"^\s{0,20}NAME\s.{0,100}\bSIZE\b")
_LAST_NUMBER = re.compile(r"(?<!\S)(\d{3,7})\s{0,100}$")
_LONE_CONTEXT = re.compile(r"\bCONTEXT\s{0,100}[:=]?\s{0,100}(\d{3,7})\b")


@dataclass(frozen=True, slots=True)
class PsRow:
    """One loaded model; ``gpu`` is the share of its bytes on the GPU, 0 to 1 (never a share of layers: facts/ollama 3)."""

    at: Quote
    name: str = ""
    size: int | None = None
    size_vram: int | None = None
    gpu: float | None = None
    context: int | None = None


def read_ps(text: str, label: str) -> tuple[PsRow, ...]:
    """Return the rows of all process lists in a text."""
    rows = list(_json_rows(text, label))
    heading = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if _HEADING.match(line):
            heading = line
        elif (
            heading
            and "CONTEXT" in heading
            and "%" not in line
            and (row := _cut_row(line, Quote(f"{label}:{number}", line.strip()[:300])))
        ):
            rows.append(row)
            continue
        if ("%" not in line and "CONTEXT" not in line) or '"models"' in line:
            continue
        rows += _line(line, Quote(f"{label}:{number}", line.strip()[:300]))
    return tuple(rows)


def _line(line: str, at: Quote) -> Iterator[PsRow]:
    """Yield the row of a line; a line that compares has several shares."""
    name, found = _NAME.match(line), list(_SHARE.finditer(line))
    if not found and (lone := _LONE_CONTEXT.search(line)) is not None:
        yield PsRow(at, context=int(lone[1]))
    for match in found:
        share = _share(match, line)
        sizes, context = list(_SIZE.finditer(line[: match.start()])), _CONTEXT.match(line[match.end() :])
        if share is not None:
            yield PsRow(
                at=at,
                name=name[1] if name else "",
                size=parse_size(sizes[0 if len(found) == 1 else -1][1]) if sizes else None,
                gpu=share,
                context=int(context[1]) if context else None,
            )


def _share(match: re.Match[str], line: str) -> float | None:
    if match["whole"]:
        return 1.0 if match["whole"].upper().startswith("G") else 0.0
    cpu, gpu = match["cpu"] or match["second"] or match["third"], match["gpu"] or match["first"] or match["fourth"]
    if not 98 <= int(cpu) + int(gpu) <= 102 or ("CPU" not in line.upper() and "GPU" not in line.upper()):
        return None
    return int(gpu) / 100


def _cut_row(line: str, at: Quote) -> PsRow | None:
    """Return a row whose column PROCESSOR was left out."""
    name, size, context = _NAME.match(line), _SIZE.search(line), _LAST_NUMBER.search(line)
    if name is None or size is None:
        return None
    return PsRow(at, name[1], parse_size(size[1]), context=int(context[1]) if context else None)


def _json_rows(text: str, label: str) -> list[PsRow]:
    rows: list[PsRow] = []
    decoder = json.JSONDecoder()
    for match in re.finditer(r'\{\s*"models"\s*:', text):
        candidate = match.start()
        try:
            data, _ = decoder.raw_decode(text, candidate)
        except (ValueError, RecursionError):
            continue
        number = text.count("\n", 0, candidate) + 1
        models = data.get("models")
        listed = [item for item in models if isinstance(item, dict)] if isinstance(models, list) else []
        rows += [row_of(item, f"{label}:{number}") for item in listed if isinstance(item.get("size_vram"), int)]
    return rows


def row_of(item: dict[str, object], where: str) -> PsRow:
    """Return the row of one entry of ``/api/ps``."""
    size, vram = item.get("size"), item.get("size_vram")
    context = item.get("context_length")
    if not isinstance(size, int) or not isinstance(vram, int):
        size = vram = None
    shown = {key: item.get(key) for key in ("name", "size", "size_vram", "context_length")}
    return PsRow(
        at=Quote(where, json.dumps(shown)),
        name=str(item.get("name") or item.get("model") or ""),
        size=size,
        size_vram=vram,
        gpu=min(1.0, vram / size) if size and vram is not None else None,
        context=context if isinstance(context, int) and context > 0 else None,
    )
