"""Facts about the stored models: listed ones that cannot be used, and truncated files."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

import re

from remediation.diagnosis.facts.base import FactSheet

_EMBEDS = re.compile(r"embed|bge|minilm|nomic", re.IGNORECASE)
_LISTED = re.compile(r"/api/tags[^\n]{0,200}200:? ([^\n]*)")
# the end of a connection does not mean a truncated file
_TRANSPORT = re.compile(r"while running the model|predict|pull|retries|Post \\?\"|connection|/completion", re.IGNORECASE)


def derive_store(sheet: FactSheet) -> None:
    """Detect listed models that cannot be used, and truncated files."""
    reading = sheet.reading
    ended = next((hit for hit in reading.hits if hit.key == "unexpected_eof" and not _TRANSPORT.search(hit.at.text)), None)
    sheet.record(
        "store.ended", (ended is not None) or None, "the model's files end too early", ended.at if ended else None, of=ended
    )
    listed = _LISTED.search("\n".join(piece.text for piece in reading.evidence.pieces if piece.kind == "api"))
    names = {name.strip() for name in listed[1].split(",")} if listed else set()
    missing, refused = reading.hit("not_found"), reading.hit("no_generate")
    if missing is not None and missing.groups and missing.groups[0] in names:
        sheet.record(
            "store.listed_not_found",
            True,
            "the server lists the model and cannot find it",
            missing.at,
            refused.at if refused else None,
        )
    if refused is not None and not _EMBEDS.search(refused.at.text):
        text = "the model's file is empty or missing: it has no abilities left"
        proven = bool(refused.groups) and refused.groups[0].strip('\\"') in names
        sheet.record("store.no_abilities_listed", proven or None, text, refused.at)
        sheet.record("store.no_abilities", True, text, refused.at)
    panic = reading.hit("gguf_panic")
    if panic is not None and "gguf" in reading.all_text:
        sheet.record("store.panic", True, "the model file's header is damaged: the reader panics in it", panic.at, of=panic)
    unloadable = reading.hit("unloadable")
    if unloadable is not None and reading.hit("unknown_architecture", "gpu_oom") is None:
        sheet.record("store.unloadable", True, "the model file cannot be loaded", unloadable.at, of=unloadable)
