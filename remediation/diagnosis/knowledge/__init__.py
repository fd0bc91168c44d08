"""The knowledge: one entry per mechanism, as data in this folder, validated when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from remediation.diagnosis.knowledge.schema import CauseEntry, Entry, Part
from remediation.diagnosis.untrusted import load_yaml
from remediation.model.finding import Cause


class Knowledge(NamedTuple):
    """All mechanisms by id, in the files' order, and what excludes whole causes."""

    mechanisms: Mapping[str, Entry]
    causes: Mapping[Cause, CauseEntry]


@lru_cache(maxsize=1)
def knowledge() -> Knowledge:
    """Return the knowledge. Raises `ValueError` where an entry is wrong or stands twice."""
    mechanisms: dict[str, Entry] = {}
    causes: dict[Cause, CauseEntry] = {}
    files = sorted((one for one in resources.files(__name__).iterdir() if one.name.endswith(".yml")), key=lambda one: one.name)
    for file in files:
        part = Part.model_validate(load_yaml(file.read_text("utf-8"), file.name))
        twice = [entry.id for entry in part.mechanisms if entry.id in mechanisms]
        if twice:
            raise ValueError(f"{file.name}: {', '.join(twice)} stands twice")
        mechanisms |= {entry.id: entry for entry in part.mechanisms}
        causes |= part.causes
    return Knowledge(mechanisms, causes)
