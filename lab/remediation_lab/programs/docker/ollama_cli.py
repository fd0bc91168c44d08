"""`docker exec ... ollama`: the client program in the image, by the server's API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from remediation_lab.ollama.server import OllamaServer
from remediation_lab.programs import Done, failed, printed
from remediation_lab.programs.docker.formats import table

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_MEGABYTE, _GIGABYTE = 10**6, 10**9


def ollama(_: Machine, server: OllamaServer, words: Sequence[str]) -> Done:
    """Run one of the client's commands."""
    match list(words):
        case ["--version"] | ["-v"]:
            return printed(f"ollama version is {_ask(server, '/api/version')['version']}\n")
        case ["ps"]:
            return printed(_ps(_ask(server, "/api/ps")["models"]))
        case ["list"] | ["ls"]:
            return printed(_list(_ask(server, "/api/tags")["models"]))
        case ["show", "--modelfile", model] | ["show", model, "--modelfile"]:
            shown = _ask(server, "/api/show", {"model": model})
            return failed(f"Error: {shown['error']}") if "error" in shown else printed(shown["modelfile"])
        case ["stop", model]:
            answer = _ask(server, "/api/generate", {"model": model, "keep_alive": 0})
            return failed(f"Error: {answer['error']}") if "error" in answer else printed("")
        case _:
            return failed(f'Error: unknown command "{words[0] if words else ""}" for "ollama"')


def _ask(server: OllamaServer, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    method = "GET" if body is None else "POST"
    payload = b"" if body is None else json.dumps({**body, "stream": False}).encode()
    answer: dict[str, Any] = json.loads(server.handle(method, path, payload).read())
    return answer


def _size(size: int) -> str:
    return f"{size / _GIGABYTE:.1f} GB" if size >= _GIGABYTE else f"{size // _MEGABYTE} MB"


def _placed(model: Mapping[str, Any]) -> str:
    size, vram = model["size"], model["size_vram"]
    if not vram:
        return "100% CPU"
    if vram == size:
        return "100% GPU"
    cpu = round((size - vram) / size * 100)
    return f"{cpu}%/{100 - cpu}% CPU/GPU"


def _ps(models: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        [
            each["name"],
            each["digest"][:12],
            _size(each["size"]),
            _placed(each),
            str(each["context_length"]),
            str(each["expires_at"]),
        ]
        for each in models
    ]
    return table(["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"], lines)


def _list(models: Sequence[Mapping[str, Any]]) -> str:
    lines = [[each["name"], each["digest"][:12], _size(each["size"]), str(each["modified_at"])] for each in models]
    return table(["NAME", "ID", "SIZE", "MODIFIED"], lines)
