"""The knowledge: one entry per mechanism in the YAML files of this folder, validated when they are loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from remediation.diagnosis.knowledge.schema import CauseEntry, Entry, KnowledgeFile, LikelyCures
from remediation.diagnosis.untrusted import load_yaml
from remediation.model.errors import UsageError
from remediation.model.extensions import extension_names, load_extension
from remediation.model.finding import Cause

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

GROUP = "remediation.knowledge"
"""Entry points of this group name packages whose YAML files hold mechanisms."""


class Knowledge(NamedTuple):
    """All mechanisms by id, in file order, the rules that exclude whole causes, and what to do where no mechanism stands out."""

    mechanisms: Mapping[str, Entry]
    causes: Mapping[Cause, CauseEntry]
    likely: tuple[LikelyCures, ...]


@lru_cache(maxsize=1)
def knowledge() -> Knowledge:
    """Return the knowledge, with entries of other distributions last. Raises `ValueError` if an entry is invalid or duplicate.

    An invalid entry of another distribution raises `UsageError`.
    """
    mechanisms: dict[str, Entry] = {}
    causes: dict[Cause, CauseEntry] = {}
    likely: list[LikelyCures] = []
    for name, part in _parts(resources.files(__name__)):
        _add(mechanisms, part, name)
        causes |= part.causes
        likely += part.likely
    for extension in extension_names(GROUP):
        package = load_extension(GROUP, extension)
        try:
            for name, part in _parts(resources.files(package)):
                _add(mechanisms, part, f"{package.__name__}/{name}")
                likely[:0] = part.likely  # the last built-in one has no condition
        except ValueError as error:
            raise UsageError(
                f"the mechanisms of {extension!r} cannot be used: {' '.join(str(error).split())[:300]}",
                next_step="mend or uninstall the distribution that brings them",
            ) from error
    return Knowledge(mechanisms, causes, tuple(likely))


def _parts(folder: Traversable) -> Iterator[tuple[str, KnowledgeFile]]:
    """Yield the files of a package with mechanisms, each validated."""
    for file in sorted((one for one in folder.iterdir() if one.name.endswith(".yml")), key=lambda one: one.name):
        yield file.name, KnowledgeFile.model_validate(load_yaml(file.read_text("utf-8"), file.name))


def _add(mechanisms: dict[str, Entry], part: KnowledgeFile, name: str) -> None:
    twice = [entry.id for entry in part.mechanisms if entry.id in mechanisms]
    if twice:
        raise ValueError(f"{name}: {', '.join(twice)} stands twice")
    mechanisms |= {entry.id: entry for entry in part.mechanisms}
