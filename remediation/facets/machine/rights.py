"""What a Windows host refused to a login, and the commands that give the login what it lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_REFUSAL = re.compile(r"0x80041003|0x80070005|access (?:is )?denied|access is not allowed|unauthorized", re.IGNORECASE)
"""CIM's and Windows' codes for access denied, and the words where no code is told."""
REMOTE_ADMIN = r"Set-ItemProperty HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System LocalAccountTokenFilterPolicy 1"
"""A local account is an administrator in a remote session only with this policy."""


def problems(value: Mapping[str, Any]) -> dict[str, str]:
    """Return why parts of a probe's answer are missing, by their names; recordings of older probes have no such key."""
    return {str(name): " ".join(str(text).split()) for name, text in (value.get("Problems") or {}).items()}


def is_refusal(text: str) -> bool:
    """Return whether a reason means that Windows refuses the login something; by its code, since the words are in the host's language."""
    return _REFUSAL.search(text) is not None


def elevation(user: str) -> str:
    """Return the commands that make a login an administrator. The group's name is in the host's language, so its SID stands there."""
    quoted = user.replace("'", "''")
    group = f"Add-LocalGroupMember -SID S-1-5-32-544 -Member '{quoted}'"
    return f"in an elevated PowerShell: {group}; for a local account also: {REMOTE_ADMIN}"
