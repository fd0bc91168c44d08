"""Detects access denied by a Windows host, and the commands that grant the missing rights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_REFUSAL = re.compile(r"0x80041003|0x80070005|access (?:is )?denied|access is not allowed|unauthorized", re.IGNORECASE)
"""The access-denied codes of CIM and Windows, and English messages for errors without a code."""
REMOTE_ADMIN = r"Set-ItemProperty HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System LocalAccountTokenFilterPolicy 1"
"""Without this policy, UAC filters a local account's administrator token in remote sessions (Microsoft: UAC remote restrictions)."""


def problems(value: Mapping[str, Any]) -> dict[str, str]:
    """Return the reasons for missing parts of a probe's answer, by part. Recordings of older probes have none."""
    return {str(name): " ".join(str(text).split()) for name, text in (value.get("Problems") or {}).items()}


def is_refusal(text: str) -> bool:
    """Return whether a reason means access denied. Codes are matched, because messages are localized."""
    return _REFUSAL.search(text) is not None


def elevation(user: str) -> str:
    """Return the commands that make a login an administrator. They use the group's SID, because its name is localized."""
    quoted = user.replace("'", "''")
    group = f"Add-LocalGroupMember -SID S-1-5-32-544 -Member '{quoted}'"
    return f"in an elevated PowerShell: {group}; for a local account also: {REMOTE_ADMIN}"
