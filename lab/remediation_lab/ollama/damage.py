"""The answers of a damaged model: the server repairs nothing, and notices nothing before a request (recordings, surprise 9)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from remediation_lab.ollama.answers import ApiError


class Damage(str, Enum):
    """What is wrong with a model's files."""

    NONE = ""
    CONFIG_MISSING = "config-missing"
    LAYER_MISSING = (
        "layer-missing"  # a template, system text or parameters: opened as the configuration is, but not by the listing
    )
    MANIFEST_BROKEN = "manifest-broken"
    BLOB_MISSING = "missing"
    BLOB_EMPTY = "empty"
    BLOB_MAGIC = "magic"
    BLOB_HEADER = "header-flipped"
    BLOB_CUT_IN_HEADER = "truncated-header"
    BLOB_CUT = "truncated"
    BLOB_DATA = "data-flipped"  # loads, and answers wrong words


@dataclass(frozen=True, slots=True)
class Effect:
    """An error by endpoint: status and text, with {model} and {verb} filled in; None means that the endpoint works."""

    listed: bool
    show: tuple[int, str] | None
    run: tuple[int, str] | None


_NOT_FOUND = (404, "model '{model}' not found")
_UNSUPPORTED = (400, '"{model}" does not support {verb}')
_WORKS = Effect(listed=True, show=None, run=None)
EFFECTS = {
    Damage.CONFIG_MISSING: Effect(listed=False, show=_NOT_FOUND, run=_NOT_FOUND),
    Damage.LAYER_MISSING: Effect(listed=True, show=_NOT_FOUND, run=_NOT_FOUND),
    Damage.MANIFEST_BROKEN: Effect(listed=False, show=(500, "unexpected EOF"), run=(500, "unexpected EOF")),
    Damage.BLOB_MISSING: Effect(listed=True, show=_NOT_FOUND, run=_UNSUPPORTED),
    Damage.BLOB_EMPTY: Effect(listed=True, show=(500, "EOF"), run=_UNSUPPORTED),
    Damage.BLOB_MAGIC: Effect(listed=True, show=(500, "invalid file magic"), run=(500, "invalid file magic")),
    Damage.BLOB_HEADER: Effect(listed=True, show=(500, ""), run=(500, "")),
    Damage.BLOB_CUT_IN_HEADER: Effect(listed=True, show=(500, "unexpected EOF"), run=(500, "unexpected EOF")),
}


def listed(damage: Damage) -> bool:
    """Return whether /api/tags still shows the model."""
    return EFFECTS.get(damage, _WORKS).listed


def check(damage: Damage, model: str, *, verb: str) -> None:
    """Raise what the endpoint answers; `verb` is show, generate or chat."""
    effect = EFFECTS.get(damage, _WORKS)
    error = effect.show if verb == "show" else effect.run
    if error is not None:
        raise ApiError(error[0], error[1].format(model=model, verb=verb))
