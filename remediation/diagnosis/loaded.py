"""The options with which the loaded runner was started, according to its log.

A request reloads a runner with other options: num_ctx, num_batch, main_gpu, use_mmap, num_thread; num_gpu only if the
request has it (server/sched.go, needsReload). ``/api/ps`` shows only the context.
"""

from __future__ import annotations

import re

from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.versions import at_least, parse_version
from remediation.model.text.digits import is_whole
from remediation.model.text.timestamps import parse_timestamp

_START = re.compile(r'msg=load request="\{Operation:commit|starting llama server" cmd="')
_BATCH = re.compile(r"\bBatchSize:(\d+)|--batch-size (\d+)")
_CARD = re.compile(r"\bMainGPU:([1-9]\d*)|--main-gpu ([1-9]\d*)")
_CONTEXT = re.compile(r"\bKvSize:(\d+)|--ctx-size (\d+)")
_BATCH_SIZE = 512
"""Ollama's default options (api.DefaultOptions)."""
_CHOOSES_ITSELF = "0.30.0"
"""From v0.30.0 the server chooses a batch that fits, so the number is no client's request (facts/ollama 4.5)."""


def unlike_ours(evidence: Evidence) -> str:
    """Return the option of the last runner that a plain request would not have, "" if none is known."""
    if at_least(parse_version(evidence.ollama_version), _CHOOSES_ITSELF):
        return ""
    line = next((line for line in _backwards(evidence) if _START.search(line)), "")
    baked = {name: value for show in evidence.shows for name, value in show.parameters.items()}
    batch, context, card = _number(_BATCH, line), _number(_CONTEXT, line), _number(_CARD, line)
    usual = int(baked["num_batch"]) if is_whole(baked.get("num_batch", "")) else _BATCH_SIZE
    if batch is not None and batch not in {usual, min(usual, context or usual)}:
        return f"a client loaded the runner with num_batch {batch}"
    if card is not None and baked.get("main_gpu") != str(card):
        return f"a client loaded the runner with main_gpu {card}"
    return ""


def keep_alive_left(expires_at: str, now: float) -> float | None:
    """Return how long an idle runner stays loaded, by the host's clock; None if ``/api/ps`` does not show it."""
    expires = parse_timestamp(expires_at)
    return None if expires is None else expires - now


def _backwards(evidence: Evidence) -> list[str]:
    return [line for piece in evidence.pieces if piece.kind == "server_log" for line in piece.text.splitlines()][::-1]


def _number(pattern: re.Pattern[str], line: str) -> int | None:
    match = pattern.search(line)
    return int(next(group for group in match.groups() if group)) if match else None
