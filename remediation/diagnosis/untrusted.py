"""Read YAML, JSON and long lines from untrusted sources within limits.

YAML is counted before it is built: a few lines of aliases may expand to billions of values, and deep nesting exhausts the stack.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from remediation.model.errors import UsageError
from remediation.model.text.json_text import load_json

if TYPE_CHECKING:
    import yaml

MOST_VALUES = 200_000
"""Values of a YAML document, each counted as often as an alias repeats it."""

LONGEST_LINE = 16_384
"""Characters of one line that are read of a log or a text; no program writes longer ones that mean anything here."""

LONGEST_JSON = 64_000_000
"""Characters of a JSON document that is passed as a file."""

MOST_DIGITS = 30
_DIGITS = re.compile(rf"(?<!\d)(\d{{{MOST_DIGITS}}})\d+")


def bound_line_lengths(text: str) -> str:
    """Return `text` with what is too long for any line cut off, and no number that is too long for any amount.

    A JSON document that stands in one long line is written in many.
    """
    if max(map(len, text.split("\n")), default=0) > LONGEST_LINE:
        document = parse_json(text) if text.lstrip()[:1] in {"{", "["} else None
        if document is not None:
            text = json.dumps(document, indent=1, ensure_ascii=False)
        text = "\n".join(line[:LONGEST_LINE] for line in text.split("\n"))
    return _DIGITS.sub(r"\1", text)


def parse_json(text: str) -> Any:
    """Return what JSON text holds, None where it is no JSON or passes the limits."""
    try:
        return load_json(text, LONGEST_JSON)
    except ValueError:
        return None


def load_yaml(text: str, name: str) -> Any:
    """Return what YAML text holds as plain values; dates and odd numbers stay text.

    Raises `UsageError` where it passes the limits, and ``yaml.YAMLError`` where it is no YAML. `name` is what the error calls it.
    """
    import yaml

    from remediation.model.text import yaml_limits

    try:
        yaml_limits.check_limits(text, circles=False, most=MOST_VALUES)
    except yaml_limits.TooMuch as error:
        limits = f"at most {MOST_VALUES:,} values and {yaml_limits.DEEPEST} levels are read"
        raise UsageError(f"{name}: {error.problem}: {limits}", next_step="give a smaller file, written without aliases") from None

    class Plain(yaml_limits.FASTEST):  # type: ignore[misc]
        """Builds texts, numbers, truths, lists and mappings."""

    for tag in ("timestamp", "binary", "set", "omap", "pairs"):
        Plain.add_constructor(f"tag:yaml.org,2002:{tag}", _plain)
    for tag in ("int", "float"):
        Plain.add_constructor(f"tag:yaml.org,2002:{tag}", _number(getattr(yaml.SafeLoader, f"construct_yaml_{tag}")))
    Plain.add_constructor(None, _plain)
    return yaml.load(text, Loader=Plain)  # noqa: S506 - a safe loader


def _plain(loader: Any, node: yaml.Node) -> Any:
    kind = type(node).__name__
    if kind == "ScalarNode":
        return str(node.value)
    return loader.construct_mapping(node, deep=True) if kind == "MappingNode" else loader.construct_sequence(node, deep=True)


def _number(construct: Any) -> Any:
    def made(loader: Any, node: yaml.Node) -> Any:
        if len(node.value) > MOST_DIGITS:
            return str(node.value)
        try:
            return construct(loader, node)
        except (ValueError, OverflowError):
            return str(node.value)

    return made
