"""Renders a page from a template, with its style sheet, its script, and a policy that forbids everything else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from remediation import __version__
from remediation.model.text.visible import visible
from remediation.model.translation import gettext, language, ngettext, translated

FOLDER = Path(__file__).parent
_OPTION = re.compile(r"(?<!\S)(-{1,2}[a-z][\w-]*)")


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return the page. Texts are escaped, and control characters are spelled out."""
    style, script = _file("page.css"), _file("page.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    own = {"lang": language(), "style": Markup(style), "script": Markup(script), "policy": policy, "version": __version__}  # noqa: S704 - files of this package
    return _environment().get_template(template).render({**own, **values})


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, finalize=_visible_text,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {"gettext": gettext, "ngettext": ngettext, "translated": translated}
    environment.filters["code_spans"] = code_spans
    return environment


def code_spans(text: str) -> Markup:
    """Return a text with its words in backquotes as code, and with options (``--max-risk``) that no line break divides."""
    parts = visible(text).split("`")
    if len(parts) % 2 == 0:
        return _whole_options(visible(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(_whole_options(part)) if index % 2 else _whole_options(part)
        for index, part in enumerate(parts)
    )


def _whole_options(text: str) -> Markup:
    return Markup("").join(
        Markup('<span class="option">{}</span>').format(part) if index % 2 else part
        for index, part in enumerate(_OPTION.split(text))
    )


@cache
def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return the text's hash as a content security policy names it: only these texts are applied and run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _visible_text(value: Any) -> Any:
    """Return a text without control characters and bidirectional marks."""
    return visible(value) if type(value) is str else value
