"""What Windows refuses to a login without rights, and to a program that opens a file held by another one; in Windows' own words."""

from __future__ import annotations

import hashlib
import ntpath
from collections.abc import Callable
from typing import Any, TypeVar

from remediation_lab.wire import Refusal
from remediation_lab.world.state import State, normal

CIM = "Access denied (0x80041003)"
"""The reason that the probes give for every CIM class: Windows' text and CIM's code."""
WSMAN = (
    '<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="5" Machine="localhost">'
    "<f:Message>Access is denied. </f:Message></f:WSManFault>"
)
"""What a WSMan cmdlet that is refused gives as its message; the probes give the text within it."""
WSMAN_REASON = "Access is denied."
UNNAMED = "Windows does not name the owner of explorer.exe (GetOwnerSid returned 2)"
"""The reason that the probes give a login that may not open the desktop user's processes."""
OWNER = "BUILTIN\\Administrators"
"""The owner of the files of the lab."""
_SHARED_PROFILES = {"public", "default", "all users"}

_T = TypeVar("_T")


def security_id(user: str) -> str:
    """Return the security identifier of a user of the lab."""
    return f"S-1-5-21-77-77-77-{1000 + int.from_bytes(hashlib.sha256(user.casefold().encode()).digest()[:2], 'big')}"


class Parts:
    """The parts of one answer: a part that is refused gives null, and its reason stands in ``problems``."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def read(self, name: str, read: Callable[[], _T], otherwise: Any = None) -> _T | Any:  # any JSON
        """Return what `read` returns, or `otherwise` where it is refused."""
        try:
            return read()
        except Refusal as refusal:
            self.problems[name] = refusal.message
            return otherwise


def cim(state: State) -> None:
    """Raise Refusal where the login may use no CIM class."""
    if state.login.restricted:
        raise Refusal("denied", CIM)


def closed(state: State, path: str) -> bool:
    """Return whether the login may not look into a folder or a file: other users' profiles, and what was closed to it."""
    if state.login.elevated:
        return False
    key = normal(path)
    parts = key.split("\\")
    own = state.login.user.rpartition("\\")[2].casefold()
    if parts[1:2] == ["users"] and len(parts) > 2 and parts[2] not in {own, *_SHARED_PROFILES}:  # drive and Users
        return True
    return any(key == each or key.startswith(each + "\\") for each in map(normal, state.closed))


def may_open(state: State, path: str) -> None:
    """Raise Refusal where a file may not be opened: by the login, or because another program holds it."""
    if closed(state, path):
        raise Refusal("denied", f"Access to the path '{ntpath.normpath(path)}' is denied.")
    if normal(path) in map(normal, state.in_use):
        raise Refusal("error", in_use(path))


def in_use(path: str) -> str:
    """Return Windows' message for a file that another program holds without sharing."""
    return f"The process cannot access the file '{ntpath.normpath(path)}' because it is being used by another process."
