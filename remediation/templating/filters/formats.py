"""Filters from and to JSON and YAML."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import yaml

from remediation.model.text.yaml_limits import plain_documents
from remediation.templating.errors import TemplateError
from remediation.templating.lazy import materialize
from remediation.templating.yaml.secret import Secret


def json_filter(value: Any, **options: Any) -> str:
    """Return JSON; ``indent`` and ``sort_keys`` as in `json.dumps`."""
    options = {name: item for name, item in options.items() if name in {"indent", "sort_keys", "ensure_ascii", "separators"}}
    return json.dumps(materialize(value), default=_plainly, **options)


def to_nice_json(value: Any, indent: int = 4, sort_keys: bool = True) -> str:
    """Return indented JSON."""
    return json.dumps(materialize(value), default=_plainly, indent=indent, sort_keys=sort_keys, separators=(",", ": "))


def _plainly(value: object) -> str:
    if isinstance(value, Secret):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def to_yaml(value: Any, default_flow_style: bool | None = None, **options: Any) -> str:
    """Return YAML."""
    return _strip_document_end(value, default_flow_style=default_flow_style, **options)


def to_nice_yaml(value: Any, indent: int = 4, default_flow_style: bool = False, **options: Any) -> str:
    """Return indented YAML."""
    return _strip_document_end(value, default_flow_style=default_flow_style, indent=indent, **options)


def _strip_document_end(value: Any, **options: Any) -> str:
    text: str = yaml.safe_dump(materialize(value), allow_unicode=True, **options)
    return text.removesuffix("...\n")  # PyYAML's end marker after a lone scalar


def from_json(value: Any) -> Any:
    """Return the value of a JSON text."""
    try:
        return json.loads(value)
    except RecursionError:
        raise TemplateError("from_json: nested too deeply") from None


def from_yaml(value: str, *, all_documents: bool = False) -> list[Any]:
    """Return the documents of a YAML text: all of them, or at most one."""
    try:
        found = plain_documents(value)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise TemplateError(f"from_yaml: invalid YAML: {getattr(error, 'problem', None) or error}{where}") from None
    if not all_documents and len(found) > 1:
        raise TemplateError("from_yaml: more than one document; use from_yaml_all")
    return found


def _only_document(value: Any) -> Any:
    """Return the value of a YAML text with at most one document; None if it has none."""
    if not isinstance(value, str):
        return value
    found = from_yaml(value)
    return found[0] if found else None


def _all_documents(value: Any) -> Any:
    if value is None:
        return []
    return from_yaml(value, all_documents=True) if isinstance(value, str) else value


FORMATS: Mapping[str, Callable[..., Any]] = {
    "from_json": from_json,
    "from_yaml": _only_document,
    "from_yaml_all": _all_documents,
    "to_json": json_filter,
    "to_nice_json": to_nice_json,
    "to_nice_yaml": to_nice_yaml,
    "to_yaml": to_yaml,
}
