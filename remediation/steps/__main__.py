"""Generates ``docs/steps.md``: every registered step with its parameters. ``python -m remediation.steps > docs/steps.md``."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from remediation.steps.contract import Step
from remediation.steps.registry import registry

_HEAD = """\
# Steps

Generated from the step classes by `python -m remediation.steps`. `remediate steps --name STEP` prints the section of one step.

A step describes a desired state. The engine observes the host, changes it only if the state is not reached, and observes it again.
Risk and needs apply to every change of the step unless a change states its own. Each plan names the step that undoes it.
"""


def page() -> str:
    """Return the Markdown page."""
    return "\n".join([_HEAD, *(line for name, cls in registry().items() for line in _section(name, cls))])


def _section(name: str, cls: type[Step[Any]]) -> Iterator[str]:
    yield f"## {name}\n"
    facts = [f"risk {cls.risk}"]
    if cls.needs:
        facts.append(f"needs {', '.join(sorted(map(str, cls.needs)))}")
    if cls.once_per_run:
        facts.append("once per run")
    yield f"*{', '.join(facts)}*\n"
    yield f"{inspect.cleandoc(cls.__doc__ or '')}\n"
    if cls.model_fields:
        yield "| parameter | default | example | |\n|---|---|---|---|"
        for field, info in cls.model_fields.items():
            yield f"| `{field}` | {_default(info)} | {_example(info)} | {info.description or ''} |"
        yield ""


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=False)
    return "" if value is None or value is PydanticUndefined else f"`{_json(value)}`"


def _example(info: FieldInfo) -> str:
    extra = info.json_schema_extra
    value = extra.get("example") if isinstance(extra, dict) else None
    return "" if value is None else f"`{_json(value)}`"


def _json(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write(page())
