"""Finds playbooks and inventories: in the working folder first, then in the package (a checkout's folders, or the wheel's)."""

from __future__ import annotations

from pathlib import Path

from remediation.model.errors import UsageError
from remediation.model.files import shipped_folder
from remediation.model.translation import translatable

SUFFIXES = (".yml", ".yaml")
PLAYBOOKS = "playbooks"
INVENTORY = "inventory"
_NOUNS = {PLAYBOOKS: translatable("a playbook"), INVENTORY: translatable("an inventory")}


def find_resource(kind: str, name: str, *, working: Path | None = None) -> Path:
    """Return the file for `name`: a path, or a name with or without folder and suffix. Raises `UsageError`."""
    here = working or Path.cwd()
    given = here / name
    if given.exists() and not given.is_dir():  # a shell's pipe, <(command), is no regular file
        return Path(name)
    inner = Path(name)
    if not inner.is_absolute():
        if inner.parts[:1] == (kind,):
            inner = inner.relative_to(kind)
        for folder in (here / kind, shipped_folder(kind)):
            for candidate in (folder / inner, *(folder / f"{inner}{suffix}" for suffix in SUFFIXES)):
                if candidate.is_file():
                    return candidate.relative_to(here) if candidate.is_relative_to(here) else candidate
    if given.is_dir():
        raise UsageError(f"{name} is a folder, not {_NOUNS[kind]}", next_step=f"name the file in it: {name}/FILE.yml")
    raise UsageError(_not_found_text(kind, name, here), next_step=f"shipped: {', '.join(names(kind)) or 'none'}")


def names(kind: str, *, working: Path | None = None) -> list[str]:
    """Return the names that `find_resource` accepts besides paths."""
    folders = ((working or Path.cwd()) / kind, shipped_folder(kind))
    return sorted({path.stem for folder in folders for suffix in SUFFIXES for path in folder.glob(f"*{suffix}")})


def _not_found_text(kind: str, name: str, here: Path) -> str:
    from remediation.templating.yaml.loader import suggestion

    hint = suggestion(Path(name).stem, names(kind, working=here))
    if kind == INVENTORY:
        return f"no inventory {name!r} here or in the package{hint}"
    return f"no playbook {name!r} here or in the package{hint}"
