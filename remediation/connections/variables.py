"""Reads the connection variables of a host, with an error message for each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from remediation.connections.addresses import is_host_name
from remediation.model.errors import UsageError

_ADDRESS = re.compile(
    r"^(?:[^\s/@\\?#:\[\]]{1,255}|\[?[0-9A-Fa-f]{0,4}:[0-9A-Fa-f.]{0,20}:[0-9A-Fa-f:.]{0,50}(?:%[^\s/@\\?#:\[\]]{1,64})?\]?)$"
)
TRUE = frozenset({"true", "yes", "on", "1", "y", "t"})
FALSE = frozenset({"false", "no", "off", "0", "n", "f"})
_EXAMPLE_PORT, _LAST_PORT = 22, 65535


class ConnectionVariables:
    """The variables of one host, each read with its own error message."""

    def __init__(self, host: str, variables: Mapping[str, Any]) -> None:
        self.host, self._variables = host, variables

    def text(self, *names: str) -> str | None:
        """Return the first of `names` that is set, with secrets revealed."""
        name, value = self._first(names)
        reveal = getattr(value, "reveal", None)
        if callable(reveal):
            value = reveal()
        if value is None or isinstance(value, str | int | float):
            return None if value is None else str(value)
        raise UsageError(
            f"{self.host}: {name}: expected a string, got {type(value).__name__}", next_step=f"write {name} as one value"
        )

    def _first(self, names: tuple[str, ...]) -> tuple[str, Any]:
        """Return the first of `names` that is set, with its value, None if none is."""
        return next(((name, value) for name in names if (value := self._variables.get(name)) is not None), ("", None))

    def require(self, name: str, what: str) -> str:
        """Return a required, non-empty string."""
        aliases = {"ansible_user": ("ansible_winrm_user",), "ansible_password": ("ansible_winrm_password", "ansible_winrm_pass")}
        value = self.text(name, *aliases.get(name, ()))
        if not value:
            hint = "; lookup('env', 'NAME') reads it from the environment" if "password" in name else ""
            raise UsageError(f"{self.host}: {name} ({what}) is missing", next_step=f"set {name} in the inventory{hint}")
        return value

    def choice(
        self, name: str, known: tuple[str, ...], default: str, *, aliases: Mapping[str, str] | None = None, first: bool = False
    ) -> str:
        """Return one of `known`. With `first`, the first entry of a list is used, as in Ansible's winrm plugin."""
        value = self._variables.get(name)
        if first and isinstance(value, list | tuple) and value:
            value = value[0]
        if value is None:
            return default
        text = str(value).lower()
        text = (aliases or {}).get(text, text)
        if text not in known:
            raise self.wrong(name, str(value), known)
        return text

    def wrong(self, name: str, value: str | None, known: tuple[str, ...]) -> UsageError:
        """Return the error for a value that is not one of `known`."""
        near = get_close_matches(str(value), known, 1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}"
        return UsageError(f"{self.host}: {name} cannot be {value!r}", next_step=hint)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a boolean, as written in YAML, on the command line or in Ansible."""
        value = self._variables.get(name)
        if value is None:
            return default
        text = str(value).lower()
        if text not in TRUE | FALSE:
            raise self.wrong(name, str(value), ("true", "false"))
        return text in TRUE

    def whole(self, name: str, default: int) -> int:
        """Return a whole number of seconds."""
        return int(self.seconds(name, default=float(default)))

    def seconds(self, *names: str, default: float) -> float:
        """Return a positive number."""
        name, value = self._first(names)
        if value is None:
            return default
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = 0.0
        if not 0 < number < float("inf"):
            raise UsageError(f"{self.host}: {name} is {value!r}, not a number of seconds", next_step=f"write {name}: {default:g}")
        return number

    def address(self, kind: str) -> str:
        """Return a host's name or address."""
        name, _ = self._first(("ansible_host", "ansible_ssh_host"))
        text = self.text(name) if name else None
        if kind not in {"ssh", "winrm"}:
            return text or self.host
        found = (text or self.host).strip()
        valid = _ADDRESS.fullmatch(found) and (":" in found or is_host_name(found))
        if not valid and (name or kind == "winrm"):
            raise UsageError(
                f"{self.host}: {name or 'ansible_host'} is {found!r}, not a host name or address",
                next_step="write only the name or address; put the port into ansible_port and the user into ansible_user",
            )
        return found.strip("[]")

    def port(self, *names: str) -> int | None:
        """Return a TCP port."""
        name, value = self._first(names)
        if value is None:
            return None
        text = str(value)
        if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_LAST_PORT))) or not 0 < int(text) <= _LAST_PORT:
            raise UsageError(
                f"{self.host}: {name} is {value!r}, not a TCP port", next_step=f"write a number, {name}: {_EXAMPLE_PORT}"
            )
        return int(text)
