"""Digest mismatch, truncated blob, broken store or volume (facts/ollama 2.4, 5.2; recordings, surprise 9)."""

from __future__ import annotations

import re

from remediation.diagnosis.causes.base import LIKELY, Verdict, found
from remediation.diagnosis.reading import Reading
from remediation.model.finding import Cause

_CURE = "remove the model and pull it again (a pull alone does not re-hash blobs that are there)"
_LISTED = re.compile(r"/api/tags[^\n]{0,200}200:? ([^\n]*)")

# an end of a connection is no end of a file
_TRANSPORT = re.compile(r"while running the model|predict|pull|retries|Post \\?\"|connection|/completion", re.IGNORECASE)

_SIGNS = {
    "digest_mismatch": (0.97, "what was downloaded does not have the digest it should"),
    "truncated": (0.97, "the model file ends before its tensors do"),
    "bad_magic": (0.96, "the file is no model file"),
    "gguf_panic": (0.94, "the model file's header is damaged: the reader panics in it"),
    "gguf_invalid": (0.94, "the model file is damaged"),
    "bad_manifest": (0.93, "the model's manifest is damaged"),
    "blob_missing": (0.93, "the model's file is not in the store"),
    "blob_unreadable": (0.93, "the model's file is there and cannot be read: it is damaged"),
    "disk_error": (0.92, "the disk fails while the model file is read"),
    "metadata_failed": (0.92, "the model's metadata cannot be read"),
    "tensor_read": (0.9, "the model file cannot be read"),
}


def find(reading: Reading) -> Verdict:
    """Look for damaged files; then for models that are listed and yet cannot be used."""
    for key, (confidence, because) in _SIGNS.items():
        hit = reading.hit(key)
        if hit is not None and not (key == "gguf_panic" and "gguf" not in reading.all_text):
            return found(Cause.MODEL_CORRUPT, confidence, because, hit.at, cure=_CURE)
    ended = next((hit for hit in reading.hits if hit.key == "unexpected_eof" and not _TRANSPORT.search(hit.at.text)), None)
    if ended is not None:
        return found(Cause.MODEL_CORRUPT, 0.9, "the model's files end too early", ended.at, cure=_CURE)
    listed = _LISTED.search("\n".join(piece.text for piece in reading.evidence.pieces if piece.kind == "api"))
    names = {name.strip() for name in listed[1].split(",")} if listed else set()
    missing = reading.hit("not_found")
    refused = reading.hit("no_generate")
    if missing is not None and missing.groups and missing.groups[0] in names:
        return found(
            Cause.MODEL_CORRUPT,
            0.94,
            "the server lists the model and cannot find it",
            missing.at,
            refused.at if refused else None,
            cure=_CURE,
        )
    if refused is not None and not re.search(r"embed|bge|minilm|nomic", refused.at.text, re.IGNORECASE):
        proven = bool(refused.groups) and refused.groups[0].strip('\\"') in names
        return found(
            Cause.MODEL_CORRUPT,
            0.93 if proven else LIKELY,
            "the model's file is empty or missing: it has no abilities left",
            refused.at,
            cure=_CURE,
        )
    unloadable = reading.hit("unloadable")
    if unloadable is not None and reading.hit("unknown_architecture", "gpu_oom") is None:
        return found(Cause.MODEL_CORRUPT, 0.78, "the model file cannot be loaded", unloadable.at, cure=_CURE)
    return None
