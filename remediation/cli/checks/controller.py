"""Checks the controller itself: Python, the installation, extras, the folder of runs, the inventory and its key files."""

from __future__ import annotations

import os
import platform
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from remediation import __version__
from remediation.cli.checks.check import Check, good, missing_check, worth_knowing
from remediation.connections.settings import ConnectionSettings
from remediation.engine.journal.journal import runs_folder
from remediation.model.text.words import plural

if TYPE_CHECKING:
    from remediation.cli.context import Session

OLDEST = (3, 10)
EXTRAS: Mapping[str, tuple[str, str]] = {
    "dask": ("distributed", "--executor"),
    "keyring": ("keyring", "passwords from the desktop's store"),
    "metrics": ("prometheus_client", "watch --metrics"),
}
"""Extra -> (the module that it installs, what it is for)."""

NAMED = 3
"""How many hosts a check names; the others are counted."""

_SHARED = stat.S_IRWXG | stat.S_IRWXO


def installation() -> Iterator[Check]:
    """Check the interpreter, the distribution, its extras, and the folder of runs."""
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST:
        yield missing_check("Python", f"{version} at {sys.executable}", "everything", "install Python 3.10 or newer")
    else:
        yield good("Python", f"{version} at {sys.executable}")
    yield good("remediation", f"{__version__} at {Path(__file__).parents[2]}")
    for extra, (module, purpose) in EXTRAS.items():
        if find_spec(module) is not None:
            yield good(f"extra {extra}", f"installed: {purpose}")
        else:
            yield worth_knowing(
                f"extra {extra}", f"not installed; needed for {purpose}", cure=f"pip install 'remediation[{extra}]'"
            )
    yield _runs()


def _runs() -> Check:
    folder = runs_folder()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        cure = f"give this user write access to {there}, or set XDG_STATE_HOME to another folder"
        return missing_check("run folder", f"{folder} cannot be written", "every run: each keeps its journal there", cure)
    count = sum(1 for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else 0
    return good("run folder", f"{folder}, {plural(count, 'run')}")


def inventory(hosts: Session) -> Iterator[Check]:
    """Check the hosts of an inventory that was read without errors: how each is connected to, and the files they name."""
    names = hosts.selected()
    settings = [_settings(hosts, name) for name in names]
    kinds = [each.kind for each in settings]
    by_kind = ", ".join(f"{kinds.count(kind)} by {kind}" for kind in dict.fromkeys(kinds))
    yield good("inventory", f"{plural(len(names), 'host')} ({by_kind}) of {', '.join(hosts.sources)}")
    yield from warnings(settings)
    yield from key_files(settings)


def _settings(hosts: Session, name: str) -> ConnectionSettings:
    from remediation.connections.settings import from_variables

    return from_variables(name, hosts.variables(name))


def warnings(settings: Iterable[ConnectionSettings]) -> Iterator[Check]:
    """Report connections that the inventory makes less safe than the default, once per reason."""
    by_reason: dict[str, list[str]] = {}
    for each in settings:
        for text in each.warnings:
            by_reason.setdefault(text.removeprefix(f"{each.name}: "), []).append(each.name)
    for reason, names in by_reason.items():
        yield worth_knowing("connections", f"{_join_names(names)}: {reason}")


def key_files(settings: Iterable[ConnectionSettings]) -> Iterator[Check]:
    """Check the files that the connections name: private keys, client certificates, authorities, known hosts."""
    users: dict[tuple[str, str], list[str]] = {}
    for each in settings:
        for variable, name in _files(each).items():
            users.setdefault((variable, name), []).append(each.name)
    for (variable, name), hosts in users.items():
        path = Path(name).expanduser()
        named = f"{variable} of {_join_names(hosts)}: {path}"
        if not path.is_file():
            yield missing_check("keys", f"{named} does not exist", "the login there", f"create the file, or mend {variable}")
        elif not os.access(path, os.R_OK):
            yield missing_check("keys", f"{named} cannot be read", "the login there", f"give this user read access to {path}")
        elif os.name == "posix" and variable in _PRIVATE and path.stat().st_mode & _SHARED:
            yield worth_knowing("keys", f"{named} can be read by other users", cure=f"chmod 600 {path}")
        else:
            yield good("keys", named)


_PRIVATE = ("ansible_ssh_private_key_file", "ansible_winrm_cert_key_pem")


def _files(settings: ConnectionSettings) -> dict[str, str]:
    ssh, winrm = settings.ssh, settings.winrm
    found = {
        "ansible_ssh_private_key_file": ssh.key_file,
        "ansible_ssh_known_hosts_file": ssh.known_hosts,
        "ansible_ssh_config_file": ssh.config_file,
        "ansible_winrm_cert_pem": winrm.cert_pem,
        "ansible_winrm_cert_key_pem": winrm.cert_key_pem,
        "ansible_winrm_ca_trust_path": winrm.ca_trust_path,
        "ansible_replay_file": settings.cassette,
    }
    return {name: path for name, path in found.items() if path}


def _join_names(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
