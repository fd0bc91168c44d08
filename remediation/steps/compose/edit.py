"""Edits nested keys of a service in the text of a Compose file and leaves everything else untouched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ruamel.yaml.nodes import MappingNode, ScalarNode

from remediation.model.errors import CallFailed
from remediation.steps.compose.text import ComposeText

DEVICES = "deploy.resources.reservations.devices: driver nvidia, count all, capabilities [gpu]"
_DEVICE_LINES = ("- driver: nvidia", "  count: all", "  capabilities: [gpu]")
_INDENT = "  "


def with_value(path: str, text: str, service: str, keys: Sequence[str], value: str) -> str:
    """Return the text with a scalar of a service set; missing parent mappings are created."""
    parsed = ComposeText(path, text)
    found = _walk(_service(parsed, service), keys)
    if found is not None:
        if not isinstance(found, ScalarNode):
            raise CallFailed(f"{path}: {'.'.join(keys)} of service {service} is not a scalar", next_step=f"edit {path} by hand")
        return text[: found.start_mark.index] + value + text[found.end_mark.index :]
    return _insert_keys(parsed, service, keys, (value,), inline=True)


def with_devices(path: str, text: str, service: str) -> str:
    """Return the text with a reservation of all NVIDIA devices for a service."""
    return _insert_keys(
        ComposeText(path, text), service, ("deploy", "resources", "reservations", "devices"), _DEVICE_LINES, inline=False
    )


def _service(parsed: ComposeText, service: str) -> MappingNode:
    node = parsed.services.get(service)
    if node is None:
        raise CallFailed(f"{parsed.path} has no service {service}", next_step="name the service that runs Ollama")
    return node


def _walk(node: MappingNode, keys: Sequence[str]) -> Any:
    found: Any = node
    for key in keys:
        if not isinstance(found, MappingNode):
            return None
        found = next((value for name, value in reversed(found.value) if name.value == key), None)
    return found


def _insert_keys(parsed: ComposeText, service: str, keys: Sequence[str], lines: Sequence[str], *, inline: bool) -> str:
    """Insert the missing keys before the first entry of the deepest existing mapping."""
    node, depth = _service(parsed, service), 0
    while depth < len(keys):
        inner = _walk(node, keys[depth : depth + 1])
        if not isinstance(inner, MappingNode) or not inner.value:
            break
        node, depth = inner, depth + 1
    if node.flow_style or not node.value:
        raise CallFailed(
            f"{parsed.path}: service {service} is in flow style, which is not edited automatically",
            next_step=f"add {'.'.join(keys)} of service {service} in {parsed.path} by hand",
        )
    first = node.value[0][0].start_mark
    start = parsed.text.rfind("\n", 0, first.index) + 1
    indent, line_end = parsed.text[start : first.index], "\r\n" if "\r\n" in parsed.text else "\n"
    made = [f"{indent}{_INDENT * level}{key}:" for level, key in enumerate(keys[depth:])]
    if inline:
        made[-1] += f" {lines[0]}"
    else:
        made += [f"{indent}{_INDENT * len(keys[depth:])}{line}" for line in lines]
    return parsed.text[:start] + "".join(line + line_end for line in made) + parsed.text[start:]
