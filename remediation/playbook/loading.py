"""What is shared by the readers of one playbook: its mistakes, its files, and small questions about raw values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remediation.model.errors import InputError, Place, RemediationError
from remediation.playbook import keywords
from remediation.playbook.keywords import Kind
from remediation.playbook.problems import Problems, meant, where
from remediation.templating.nodes import Table, plain
from remediation.templating.reading import Decrypt, read_yaml
from remediation.templating.templar import Scope

if TYPE_CHECKING:
    from remediation.steps.contract import Step

DEEPEST = 30
"""How deep imports may lie in one another; more is taken for a file that imports itself."""


@dataclass(slots=True)
class Loading:
    """One reading of a playbook: its mistakes, the files that were read, and what is known before any host is."""

    root: Path
    steps: Callable[[], Mapping[str, type[Step[Any]]]]
    early: Mapping[str, Any] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)
    files: list[Path] = field(default_factory=list)
    depth: int = 0
    decrypt: Decrypt | None = None

    def read(self, path: Path, place: Place | None) -> Any:  # noqa: ANN401 - whatever the file holds
        """Return what a YAML file holds; None, and a problem, where it cannot be read."""
        try:
            content = read_yaml(path, decrypt=self.decrypt)
        except InputError as error:
            self.problems.take(error, place)
            return None
        if path not in self.files:
            self.files.append(path)
        return content

    def find(self, name: Any, folder: Path, place: Place | None, *, names: Mapping[str, Any] | None = None) -> Path | None:  # noqa: ANN401
        """Return the file that is named: beside the file that names it, then beside the playbook; else note a problem."""
        try:
            text = str(Scope((self.early, names or {})).render(name))
        except RemediationError as error:
            self.problems.add(f"{error.message}; the name of an import must be known before any host is", where(name, place))
            return None
        found = find_file(text, (folder, self.root), "tasks")
        if found is None:
            self.problems.add(f"there is no file {text!r} in {folder}", where(name, place))
        return found

    def expect(self, raw: Mapping[Any, Any], kinds: Mapping[str, Kind], what: str) -> None:
        """Note every key of `raw` that `kinds` does not hold, and every value that is of another kind."""
        for key, value in raw.items():
            if key not in kinds:
                self.problems.add(f"{what} has no keyword {str(key)!r}{meant(key, kinds)}", key_place(raw, key))
                continue
            kind = kinds[key]
            well = kind[1](value) if key in keywords.STATIC else keywords.fits(kind, value)
            if not well:
                self.problems.add(f"{key}: {kind[0]} is wanted, not {shown(value)}", value_place(raw, key))


def find_file(name: str, folders: tuple[Path, ...], subfolder: str) -> Path | None:
    """Return the file `name` in the first of `folders` that has it, or in their `subfolder`."""
    path = Path(name).expanduser()
    if path.is_absolute():
        return path if path.is_file() else None
    for folder in dict.fromkeys(folders):
        for candidate in (folder / path, folder / subfolder / path):
            if candidate.is_file():
                return candidate
    return None


def key_place(raw: Mapping[Any, Any], key: object) -> Place | None:
    """Return where a key stands."""
    return raw.key_places.get(key) or raw.place if isinstance(raw, Table) else None


def value_place(raw: Mapping[Any, Any], key: object) -> Place | None:
    """Return where a key's value stands."""
    return raw.value_places.get(key) or key_place(raw, key) if isinstance(raw, Table) else None


def shown(value: object) -> str:
    """Return a value as it is quoted in a message."""
    kinds = {dict: "a mapping", Table: "a mapping", type(None): "nothing"}
    if type(value) in kinds:
        return kinds[type(value)]
    return "a list" if isinstance(value, list) else repr(plain(value))


def texts_of(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - as it stands in the file
    """Return a text or a list of texts as a tuple."""
    if value is None:
        return ()
    return tuple(item if isinstance(item, str) else str(item) for item in (value if isinstance(value, list) else [value]))


def tags_of(value: Any) -> frozenset[str]:  # noqa: ANN401 - as it stands in the file
    """Return tags: a text separated by commas, or a list of such."""
    return frozenset(tag.strip() for text in texts_of(value) for tag in text.split(",") if tag.strip())
