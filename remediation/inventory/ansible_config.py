"""The settings of ``ansible.cfg`` and of ``ANSIBLE_*`` variables that a run uses; the environment takes precedence over the file.

The first of these files counts, as in Ansible: ``ANSIBLE_CONFIG``, ``ansible.cfg`` in the working folder, ``~/.ansible.cfg``,
``/etc/ansible/ansible.cfg``.
"""

from __future__ import annotations

import configparser
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from remediation.model.errors import Place, UsageError
from remediation.model.files import read_text

FILE = "ansible.cfg"
SECTION = "defaults"
VARIABLES: Mapping[str, str] = {
    "host_key_checking": "ansible_host_key_checking",
    "private_key_file": "ansible_ssh_private_key_file",
    "remote_user": "ansible_user",
    "timeout": "ansible_timeout",
}
"""Settings that are defaults of connection variables."""
NAMES = ("forks", "inventory", "roles_path", "vault_password_file", *VARIABLES)
"""The settings that are read; the others of Ansible have no meaning here."""


@dataclass(frozen=True, slots=True)
class AnsibleConfig:
    """The settings that are given, as text, the file that they come from, and its settings that have no effect here.

    Those of ``of_environment`` come from variables of the environment.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None
    ignored: tuple[str, ...] = ()
    of_environment: frozenset[str] = frozenset()

    def origin(self, name: str) -> str:
        """Return where a setting stands: a variable of the environment, or the file."""
        return f"ANSIBLE_{name.upper()}" if name in self.of_environment else str(self.path)

    def note(self) -> str:
        """Return a sentence about the settings that have no effect, "" without any."""
        if not self.ignored:
            return ""
        near = {name: get_close_matches(name, NAMES, n=1, cutoff=0.8) for name in self.ignored}
        hints = "".join(f"; did you mean {found[0]!r} instead of {name!r}?" for name, found in near.items() if found)
        verb = "has" if len(self.ignored) == 1 else "have"
        return f"{self.path}: {', '.join(self.ignored)} {verb} no effect here{hints}"

    def paths(self, name: str, separator: str) -> tuple[Path, ...] | None:
        """Return a list of paths, relative ones below the file's folder; None if it is not given."""
        if name not in self.values:
            return None
        parts = [part.strip() for part in self.values[name].split(separator) if part.strip()]
        return tuple(self._absolute(part) for part in parts)

    def sources(self) -> tuple[str, ...]:
        """Return the inventories: files, folders, or lists of hosts such as ``a,b,``."""
        given = self.values.get("inventory", "").strip()
        if not given:
            return ()
        parts = [part.strip() for part in given.split(",") if part.strip()]
        known = [self._absolute(part) for part in parts]
        return tuple(map(str, known)) if all(path.exists() for path in known) else (given if "," in given else f"{known[0]}",)

    def variables(self) -> dict[str, Any]:
        """Return the connection variables that hosts have unless they say otherwise."""
        found: dict[str, Any] = {}
        for setting, name in VARIABLES.items():
            if setting in self.values:
                value = self.values[setting]
                found[name] = str(self._absolute(value)) if setting == "private_key_file" else value
        return found

    def place(self) -> Place | None:
        """Return the place of the file."""
        return Place(str(self.path), 1, 1) if self.path else None

    def _absolute(self, text: str) -> Path:
        path = Path(text).expanduser()
        folder = self.path.parent if self.path else Path()
        return path if path.is_absolute() else folder / path


def ansible_config(environment: Mapping[str, str] = os.environ) -> AnsibleConfig:
    """Return the settings. Raises `UsageError` for a file that cannot be read."""
    path = next(_candidates(environment), None)
    values: dict[str, str] = {}
    ignored: tuple[str, ...] = ()
    if path is not None:
        parser = configparser.ConfigParser(interpolation=None, strict=False, inline_comment_prefixes=(";",))
        try:
            parser.read_string(read_text(path, encoding="utf-8-sig"), str(path))
        except (configparser.Error, OSError, UnicodeDecodeError) as error:
            message = " ".join(str(error).split())
            raise UsageError(
                f"{path} cannot be read: {message}", next_step="correct it, or set ANSIBLE_CONFIG to another file"
            ) from None
        if parser.has_section(SECTION):
            values = {name: parser.get(SECTION, name) for name in NAMES if parser.has_option(SECTION, name)}
            ignored = tuple(name for name in parser.options(SECTION) if name not in NAMES)
    overriding = {name: environment[f"ANSIBLE_{name.upper()}"] for name in NAMES if environment.get(f"ANSIBLE_{name.upper()}")}
    return AnsibleConfig({**values, **overriding}, path, ignored, frozenset(overriding))


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    given = environment.get("ANSIBLE_CONFIG")
    if given:
        named = Path(given).expanduser()
        named = named / FILE if named.is_dir() else named
        if named.is_file():
            yield named
    here = Path(FILE)
    if here.is_file() and not (os.name == "posix" and Path().stat().st_mode & stat.S_IWOTH):  # anyone could have put it there
        yield here
    for other in (Path("~/.ansible.cfg"), Path("/etc/ansible/ansible.cfg")):
        try:
            if other.expanduser().is_file():
                yield other.expanduser()
        except (OSError, RuntimeError):
            continue
