"""Vault passwords from ``--vault-password-file``: a file, a program that prints it, or the terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from remediation.inventory.ansible_config import ansible_config
from remediation.model.errors import UsageError
from remediation.templating.yaml.secret import Secret
from remediation.templating.yaml.secret_sources import from_command, from_file, from_prompt
from remediation.templating.yaml.vault import DEFAULT_ID, Password, Vault

PROMPT = "prompt"
VARIABLE = "ANSIBLE_VAULT_PASSWORD_FILE"
"""Ansible's environment variable with the password file, used if the command line names none; then that of ``ansible.cfg``."""


def vault_of(given: Sequence[str], environment: Mapping[str, str] = os.environ) -> Vault:
    """Return a vault with the given passwords. Each password is read when the first value needs it.

    Each is ``[ID@]SOURCE``: a file, an executable file that prints the password, or ``prompt``. Raises `UsageError` for a file
    that does not exist or cannot be read, even if nothing is encrypted.
    """
    named = list(given) or [name for name in (environment.get(VARIABLE),) if name]
    if not named:
        named = [str(path) for path in ansible_config(environment).paths("vault_password_file", "\0") or ()]
    return Vault([_password(text) for text in named])


def _check_source(source: str) -> None:
    if source == PROMPT:
        return
    try:
        path = Path(source).expanduser()
        there, folder, readable = path.exists(), path.is_dir(), os.access(path, os.R_OK)
    except (OSError, ValueError, RuntimeError):  # a NUL, too long, or ~ of an unknown user
        there = folder = readable = False
    if there and readable and not folder:
        return
    wrong = f"{source!r} is a folder" if folder else f"{source!r} cannot be read" if there else f"there is no file {source!r}"
    raise UsageError(f"vault password: {wrong}", next_step="name a file, a program that prints it, or prompt")


def _password(text: str) -> tuple[str, Password]:
    label, at, source = text.partition("@")
    if not at:
        label, source = DEFAULT_ID, text
    _check_source(source)

    def ask() -> Secret:
        if source == PROMPT:
            return from_prompt("Vault password" if label == DEFAULT_ID else f"Vault password ({label})")
        path = Path(source).expanduser()
        # on Windows, every file counts as executable
        if os.name == "posix" and path.is_file() and os.access(path, os.X_OK):
            return from_command([str(path.resolve())])
        return from_file(path)

    return label, ask
