"""What the recordings of real servers hold in addition to the answers: log, environment, driver."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

DRIVER_TOTAL, DRIVER_FREE = 6144 * 1024**2, 5744 * 1024**2
BROKEN = frozenset({"INIT", "COUNT", "CTX", "CC"})
"""Faults of a simulated driver that leave no usable device: an error, no device, no context, a driver that is too old."""


def driver(notes: Sequence[str]) -> dict[str, int]:
    """Return the answer of a simulated driver of v0.9.6; nothing where there was none."""
    note = next((line for line in notes if line.startswith("simulated driver: ")), "")
    found = {name: int(value) for name, value in re.findall(r"FAKE_([A-Z]+)=(\d+)", note)}
    return {"FREE": DRIVER_FREE, **found} if note else {}


def mebibytes(text: str) -> int:
    """Return the bytes of a step that lets other programs go."""
    found = re.search(r"(\d+) MiB", text)
    if found is None:
        raise ValueError(f"no size in the step `other_programs_closed: {text}`")
    return int(found[1]) * 1024**2


def translated(environment: Mapping[str, str]) -> dict[str, str]:
    """Map the variables of the recorder's software device to those of an NVIDIA card."""
    names = {"GGML_VK_VISIBLE_DEVICES": "CUDA_VISIBLE_DEVICES"}
    values = {"vulkan": "cuda_v12"}
    given = {names.get(key, key): value for key, value in environment.items() if key != "OLLAMA_VULKAN"}
    if given.get("OLLAMA_LLM_LIBRARY") in values:
        given["OLLAMA_LLM_LIBRARY"] = values[given["OLLAMA_LLM_LIBRARY"]]
    return given


def lines(folder: Path) -> Iterator[str]:
    """Yield the lines of a server's log, packed or not."""
    plain = folder / "server.log"
    text = (
        plain.read_text("utf-8", "replace")
        if plain.exists()
        else gzip.decompress((folder / "server.log.gz").read_bytes()).decode("utf-8", "replace")
    )
    yield from text.splitlines()
