"""How docker prints: JSON with Go's escapes, templates, tables, and its ways of telling times."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from remediation_lab.programs.docker.arguments import Usage
from remediation_lab.wire import Json

_PIECE = re.compile(r"\{\{\s*(?:(?P<json>json)\s+)?(?P<path>\.[\w.]*|\(index[^}]*|[^}]*?)\s*\}\}")
_NEVER = "0001-01-01T00:00:00Z"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def compact(value: Json) -> str:
    """Write JSON in one line as Go's encoder does."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def pretty(value: Json, indent: int = 4) -> str:
    """Write JSON over several lines, unescaped."""
    return json.dumps(value, indent=indent, ensure_ascii=False) + "\n"


def template(text: str, value: Mapping[str, Any]) -> str:
    """Fill a Go template of plain fields and ``json``; Usage for what the lab's CLI does not know."""

    def one(match: re.Match[str]) -> str:
        path = match["path"]
        if not path.startswith("."):
            raise Usage(
                f'template parsing error: template: :1: function "{path.split()[0] if path.split() else ""}" not defined', 64
            )
        found: Any = value
        for name in path.split("."):
            if not name:
                continue
            if not isinstance(found, Mapping) or name not in found:
                raise Usage(f'template: :1:2: executing "" at <{path}>: map has no entry for key "{name}"', 1)
            found = found[name]
        if match["json"]:
            return compact(found)
        if found is None:
            return "<nil>"
        return str(found).lower() if isinstance(found, bool) else str(found)

    return _PIECE.sub(one, text.replace("\\t", "\t"))


def rows(style: str, found: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str]]) -> str:
    """Print records as a table (``""`` or ``table``), as JSON lines (``json``) or by a template."""
    if style == "json":
        return "".join(f"{compact(each)}\n" for each in found)
    if style and not style.startswith("table"):
        return "".join(f"{template(style, each)}\n" for each in found)
    return table([title for title, _ in columns], [[str(each[key]) for _, key in columns] for each in found])


def table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Print columns three spaces apart."""
    widths = [max(len(row[index]) for row in (titles, *lines)) for index in range(len(titles))]
    return "".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in (titles, *lines)
    )


def instant(seconds: float) -> str:
    """Write a time as the engine's JSON does."""
    if not seconds:
        return _NEVER
    whole = int(seconds)
    stamp = datetime.fromtimestamp(whole, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{int((seconds - whole) * 1e9):09d}Z"


def created_at(seconds: float) -> str:
    """Write a time as `docker ps` does."""
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")


def ago(seconds: float) -> str:
    """Write a span as docker's units.HumanDuration does."""
    if seconds < 1:
        return "Less than a second"
    if seconds < _MINUTE:
        return f"{int(seconds)} second{'s' if int(seconds) != 1 else ''}"
    minutes = int(seconds // _MINUTE)
    if minutes < _MINUTE:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = round(seconds / _HOUR)
    if hours < 48:  # docker's own limit
        return "About an hour" if hours == 1 else f"{hours} hours"
    return f"{int(seconds // _DAY)} days"
