"""The model that a server loaded last, by its log: after a restart nothing else names it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from remediation.facets.ollama import client as ollama
from remediation.facets.snapshot import Snapshot, attempt

_MANY = 64
"""Number of stored models above which their metadata is not read to find the one whose file was loaded."""
_START = re.compile(r"\bListening on \S*:\d{1,5}(?= \(version|\"|\s|$)")
_BLOB = re.compile(r"sha256-([0-9a-f]{64})")
_FILE = re.compile(r"^FROM \S*?sha256[-:]([0-9a-f]{64})\s*$", re.MULTILINE)


def last_loaded(log: str) -> str:
    """Return the digest of the file that the log's servers loaded last, or "".

    It is "" also if that server had loaded others before: they may have been in use at the same time.
    """
    for life in reversed(_START.split(log)):
        digests = set(_runner_files(life))
        if digests:
            return digests.pop() if len(digests) == 1 else ""
    return ""


def _runner_files(log: str) -> Iterator[str]:
    """Yield the digest in each runner's command line: ``cmd="ollama runner --model /…/blobs/sha256-… --port 1"`` (v0.1.33+)."""
    for line in log.splitlines():
        if "starting " in line and " cmd=" in line:
            path = line.partition("--model ")[2].partition(" ")[0]
            yield from _BLOB.findall(path)


def stored_as(snapshot: Snapshot, endpoint: str, digest: str, stored: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the stored models that consist of this file, by their metadata."""
    if not digest or len(stored) > _MANY:
        return ()
    client = ollama.OllamaByHttp.at(snapshot, endpoint)
    snapshot.fetch(*(ollama.show_call(endpoint, name) for name in stored))
    shown = [attempt(lambda name=name: client.show(name)) for name in stored]  # type: ignore[misc]
    return tuple(each.model for each in shown if each is not None and digest in _FILE.findall(each.modelfile))
