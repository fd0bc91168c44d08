"""Which part of a text about containers is about the server's: a Compose file and a list of records describe other containers too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_SERVICES = re.compile(r"^([ \t]{0,20})services:[ \t]*(?:#.*)?$")
_SERVICE = re.compile(r"^([ \t]{1,40})[\"']?([\w.-]{1,80})[\"']?:[ \t]*(?:[#&].*)?$")
_IMAGE = re.compile(r"^[ \t]{0,40}image:[ \t]*[\"']?([^\s\"'#]{1,200})", re.MULTILINE)
_SERVES = re.compile(r"(?:^|[/-])ollama(?:[:@/-]|$)|:(?:[\w.-]{0,40}-)?ollama$", re.IGNORECASE)
"""An image that holds the server; front ends with a server of their own have it in the tag."""
_BESIDE = re.compile(
    r"(?:^|[/_-])(?:open-?webui|postgres\w*|redis|valkey|mariadb|mysql|mongo\w*|nginx|traefik|caddy|qdrant|chroma\w*|weaviate|milvus|n8n|dify\w*|searxng"
    r"|watchtower|portainer|grafana|prometheus|minio|elasticsearch|rabbitmq|litellm|librechat|anythingllm)(?:[-_:@/.]|$)",
    re.IGNORECASE,
)
"""Containers that run next to a server and compute nothing for it."""
_LONG = 1_000_000


def server_part(text: str, kind: str) -> str:
    """Return a text without the containers that are known not to be the server's; its lines keep their numbers."""
    if len(text) > _LONG:
        return text
    if kind == "docker_inspect":
        return _of_records(text)
    return _of_services(text) if "services:" in text else text


def _of_services(text: str) -> str:
    """Return a Compose file with the services that hold the server; all of it where none is known to."""
    lines = text.split("\n")
    blocks = list(_blocks(lines))
    serving = [block for block in blocks if _holds_server(lines, block)]
    if not serving or len(serving) == len(blocks):
        return text
    for start, end in blocks:
        if (start, end) not in serving:
            lines[start:end] = [""] * (end - start)
    return "\n".join(lines)


def _blocks(lines: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the first line of each service and the line after its last one."""
    begun, inside, depth = -1, -1, -1
    for number, line in enumerate(lines):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if inside < 0:
            match = _SERVICES.match(line)
            inside = len(match[1]) if match else -1
            continue
        if indent <= inside:
            if begun >= 0:
                yield begun, number
            begun, depth = -1, -1
            inside = len(match[1]) if (match := _SERVICES.match(line)) else -1
            continue
        if (match := _SERVICE.match(line)) is not None and depth in {-1, indent}:
            if begun >= 0:
                yield begun, number
            begun, depth = number, indent
    if begun >= 0:
        yield begun, len(lines)


def _holds_server(lines: list[str], block: tuple[int, int]) -> bool:
    start, end = block
    image = _IMAGE.search("\n".join(lines[start:end]))
    if image is not None:
        return _SERVES.search(image[1]) is not None
    name = lines[start].strip().strip(":\"'").lower()
    return "ollama" in name and "ui" not in name


def _of_records(text: str) -> str:
    """Return the records of `docker inspect` without those of containers next to the server."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text
    records = data if isinstance(data, list) else [data]
    kept = [one for one in records if not _stands_beside(one)]
    return text if len(kept) == len(records) else json.dumps(kept, indent=1) if kept else ""


def _stands_beside(record: object) -> bool:
    if not isinstance(record, dict):
        return False
    config = record.get("Config")
    image = str(config.get("Image") or "") if isinstance(config, dict) else ""
    name = str(record.get("Name") or "").lstrip("/")
    return not _SERVES.search(image) and any(_BESIDE.search(one) for one in (image, name) if one)
