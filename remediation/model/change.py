"""Changes: what a step would do, described beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any

from remediation.model.secrets.names import MASK


class Risk(IntEnum):
    """The risk of a change; ordered."""

    OBSERVE = 0
    SAFE = 1
    DISRUPTIVE = 2
    DESTRUCTIVE = 3

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> Risk:
        """Return the risk named `text`. Raises ValueError listing the names."""
        try:
            return cls[text.strip().upper()]
        except KeyError:
            names = ", ".join(str(risk) for risk in cls)
            msg = f"unknown risk {text!r}; one of {names}"
            raise ValueError(msg) from None


class Need(str, Enum):
    """A requirement of a change on the host's login session."""

    DESKTOP = "desktop"
    WSL = "wsl"
    CREDENTIAL_STORE = "credential-store"
    ELEVATED = "elevated"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class StepCall:
    """A step by its registered name with JSON parameters: the form of an undo and of a ladder's probe."""

    step: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing a step would do.

    - ``summary``: an English phrase ("close chrome.exe").
    - ``subject``: the stable key of what is changed.
    - ``before``, ``after``: JSON values or texts (bytes are integers).
    - ``diff``: a unified diff if files change.
    - ``data``: what `Step.apply` needs (JSON only, no secrets: it is journaled).
    - ``risk``, ``needs``: override the step's own.
    - ``undo``: the step that reverts the change.
    - ``asks``: why the change needs the user's explicit consent, such as closing a program with a window, in words ("closes a
      window of chrome.exe").
    - ``measures``: only figures are read. It is journaled like a change, and does not count as one.
    """

    summary: str
    subject: str = ""
    before: Any = None
    after: Any = None
    risk: Risk | None = None
    needs: frozenset[Need] | None = None
    undo: StepCall | None = None
    diff: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    asks: str = ""
    measures: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Identity of a planned change."""
        return (self.summary, self.subject)


def measures(data: Mapping[str, Any]) -> bool:
    """Return whether the change of an event only measures, and so counts as no change."""
    return bool((data.get("change") or {}).get("measures"))


def can_be_undone(undo: Mapping[str, Any] | None) -> bool:
    """Return whether a change's ``undo``, as an event or a journal has it, is complete.

    A masked secret is not the original value and must not be written.
    """
    return bool(undo) and MASK not in json.dumps(undo, ensure_ascii=False, default=str)


def needs(*items: Need) -> frozenset[Need]:
    """Return the needs as a set."""
    return frozenset(items)


def highest(risks: Iterable[Risk]) -> Risk:
    """Return the highest of `risks`, OBSERVE if there are none."""
    return max(risks, default=Risk.OBSERVE)
