"""``steps``: lists the steps, or describes one. ``explain``: describes a mechanism."""

from __future__ import annotations

import sys
from typing import Any

from remediation.cli.options import Explain, Steps
from remediation.cli.task import command_task


@command_task(
    Steps,
    examples=(
        "remediate steps",
        "remediate steps --name vram.free",
    ),
)
def steps(options: Steps) -> int:
    """List the steps, or describe one with its parameters."""
    from remediation.model.errors import UsageError
    from remediation.report.json_lines import document
    from remediation.steps.registry import nearest, registry

    known = registry()
    if options.name is not None and options.name not in known:
        close = nearest(options.name)
        hint = f"; did you mean {close!r}?" if close else ""
        raise UsageError(f"unknown step {options.name!r}{hint}", next_step="remediate steps lists all steps")
    chosen = [known[options.name]] if options.name else list(known.values())
    described = [_describe_step(cls) for cls in chosen]
    if options.json:
        sys.stdout.write(document(described[0] if options.name else described))
    else:
        sys.stdout.writelines(f"{row}\n" for row in (_page(described[0]) if options.name else _list(described)))
    return 0


@command_task(
    Explain,
    examples=(
        "remediate explain other-gpu-processes-hold-vram",
        "remediate explain other-gpu-processes-hold-vram --json",
    ),
)
def explain(options: Explain) -> int:
    """Say what a mechanism is, how it shows, what cures it and how to confirm that."""
    import difflib

    from remediation.diagnosis.knowledge import knowledge
    from remediation.diagnosis.knowledge.explain import explain_rows
    from remediation.model.errors import UsageError
    from remediation.model.translation import gettext, translated
    from remediation.report.json_lines import document
    from remediation.report.text import Line

    known = knowledge().mechanisms
    entry = known.get(options.mechanism)
    if entry is None:
        near = difflib.get_close_matches(options.mechanism, known, n=1, cutoff=0.4)
        of_cause = [name for name, one in known.items() if one.cause == options.mechanism]
        hint = f"; of this cause there are {', '.join(of_cause)}" if of_cause else f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"there is no mechanism {options.mechanism!r}{hint}", next_step="docs/mechanisms.md lists all mechanisms"
        )
    if options.json:
        sys.stdout.write(document(entry.model_dump(mode="json", by_alias=True)))
        return 0
    lines = [Line(translated(entry.title), lead=f"{entry.id}  ")]
    for heading, rows in explain_rows(entry):
        if heading != "what":
            shown = gettext(heading)
            lines += [Line(row, lead=f"  {shown if not number else '':22}") for number, row in enumerate(rows)]
    sys.stdout.writelines(f"{row}\n" for line in lines for row in line.rows())
    return 0


def _describe_step(cls: type[Any]) -> dict[str, Any]:
    schema = cls.model_json_schema()
    wanted = set(schema.get("required", ()))
    parameters = {
        name: {
            "type": _type(info),
            "description": info.get("description", ""),
            "required": name in wanted,
            **({"default": info["default"]} if "default" in info else {}),
            **({"example": info["example"]} if "example" in info else {}),
        }
        for name, info in schema.get("properties", {}).items()
    }
    return {
        "name": cls.name,
        "summary": (cls.__doc__ or "").strip().partition("\n")[0],
        "text": "\n".join(line.strip() for line in (cls.__doc__ or "").strip().splitlines()),
        "risk": str(cls.risk),
        "needs": sorted(map(str, cls.needs)),
        "once_per_run": cls.once_per_run,
        "parameters": parameters,
    }


def _type(info: dict[str, Any]) -> str:
    choices = [_type(choice) for choice in info.get("anyOf", ()) if choice.get("type") != "null"]
    if choices:
        return " or ".join(dict.fromkeys(choices))
    if "enum" in info:
        return " | ".join(map(str, info["enum"]))
    return str(info.get("type", "any"))


def _list(described: list[dict[str, Any]]) -> list[str]:
    from remediation.report.text import Line, columns

    rows = columns([(item["name"], item["risk"], item["summary"]) for item in described])
    return [row for text in rows for row in Line(text, verbatim=True).rows()]


def _page(item: dict[str, Any]) -> list[str]:
    from remediation.report.text import Line

    needs = f", needs {', '.join(item['needs'])}" if item["needs"] else ""
    once = ", once per run" if item["once_per_run"] else ""
    lines = [Line(item["text"], lead=f"{item['name']}  "), Line(f"risk {item['risk']}{needs}{once}", lead="  ")]
    for name, info in item["parameters"].items():
        default = "required" if info["required"] else f"default {info.get('default')!r}"
        example = f"; for example {info['example']}" if "example" in info else ""
        lines.append(Line(f"{info['description']} ({info['type']}, {default}{example})", lead=f"  {name:16}"))
    if not item["parameters"]:
        lines.append(Line("takes no parameters", lead="  "))
    return [row for line in lines for row in line.rows()]
