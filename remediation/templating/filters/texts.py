"""Filters on paths and other texts, under Ansible's names."""

from __future__ import annotations

import glob
import ntpath
import os
import posixpath
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from remediation.templating.errors import TemplateError

STYLES: Mapping[str, tuple[str, str, str]] = {
    "plain": ("", "# ", ""),
    "erlang": ("", "% ", ""),
    "c": ("", "// ", ""),
    "cblock": ("/*", " * ", " */"),
    "xml": ("<!--", " - ", "-->"),
}
"""For each style: the text before a comment, on each of its lines, and after it."""

_AROUND = ("beginning", "decoration", "end")


def comment(value: object, style: str = "plain", **own: Any) -> str:
    """Return a text as a comment, with an empty comment line before and after."""
    if style not in STYLES:
        raise TemplateError(f"comment: the style is one of {', '.join(STYLES)}, not {style!r}")
    beginning, mark, end = (str(own.get(name, usual)) for name, usual in zip(_AROUND, STYLES[style], strict=True))
    newline = str(own.get("newline", "\n"))
    prefix, postfix = (str(own.get(name, mark.rstrip())) for name in ("prefix", "postfix"))
    *lines, last = [f"{mark}{line}" for line in str(value).split(newline)]
    before = [
        *([beginning] if beginning else []),
        *(["" if prefix == newline else prefix] * int(own.get("prefix_count", 1)) if prefix else []),
    ]
    after = [*[postfix] * int(own.get("postfix_count", 1)), *([end] if end else [])]
    return newline.join([*before, *(mark.rstrip() if line == mark else line for line in lines), last, *after])


def path_join(value: Any) -> str:
    """Return the joined parts of a path."""
    return posixpath.join(*([value] if isinstance(value, str) else value))


def common_path(value: Any) -> str:
    """Return the longest common prefix of several paths."""
    if not isinstance(value, (list, tuple)):
        raise TemplateError(f"commonpath takes a list of paths, not {value!r}")
    return posixpath.commonpath(value)


_PARTS = ("fragment", "hostname", "netloc", "password", "path", "port", "query", "scheme", "username")


def split_url(value: str, query: str = "") -> Any:
    """Return the parts of a URL, or one of them."""
    if query and query not in _PARTS:
        raise TemplateError(f"urlsplit: a URL has no part {query!r}; use one of {', '.join(_PARTS)}")
    split = urlsplit(value)
    return getattr(split, query) if query else {name: getattr(split, name) for name in _PARTS}


TEXTS: Mapping[str, Callable[..., Any]] = {
    "basename": lambda value: posixpath.basename(str(value)),
    "comment": comment,
    "commonpath": common_path,
    "dirname": lambda value: posixpath.dirname(str(value)),
    "expandvars": lambda value: os.path.expandvars(str(value)),
    "fileglob": lambda value: [path for path in glob.glob(str(value)) if Path(path).is_file()],  # noqa: PTH207 - takes an absolute pattern
    "expanduser": lambda value: str(Path(str(value)).expanduser()),
    "normpath": lambda value: posixpath.normpath(str(value)),
    "path_join": path_join,
    "quote": lambda value: shlex.quote("" if value is None else str(value)),
    "realpath": lambda value: str(Path(str(value)).resolve()),
    "relpath": lambda value, start=".": posixpath.relpath(str(value), start),
    "splitext": lambda value: posixpath.splitext(str(value)),
    "urlsplit": split_url,
    "urldecode": lambda value: unquote_plus(str(value)),
    "win_basename": lambda value: ntpath.basename(str(value)),
    "win_dirname": lambda value: ntpath.dirname(str(value)),
    "win_splitdrive": lambda value: ntpath.splitdrive(str(value)),
}
