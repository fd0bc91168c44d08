"""One check of ``check-host``, and its three results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Check:
    """One check; ``ok`` is None for information that is not a fault. ``blocks`` names the blocked steps, ``cure`` the fix."""

    name: str
    ok: bool | None
    text: str
    blocks: str = ""
    cure: str = ""

    def masked(self, hide: Callable[[str], str]) -> Check:
        """Return the check with secrets removed by `hide`."""
        return replace(self, text=hide(self.text), blocks=hide(self.blocks), cure=hide(self.cure))

    def to_json(self) -> dict[str, object]:
        """Return the check as JSON."""
        return {"name": self.name, "ok": self.ok, "text": self.text, "blocks": self.blocks, "cure": self.cure}


def good(name: str, text: str) -> Check:
    """Return a check that passed."""
    return Check(name, ok=True, text=text)


def missing_check(name: str, text: str, blocks: str = "", cure: str = "") -> Check:
    """Return a check that failed."""
    return Check(name, ok=False, text=text, blocks=blocks, cure=cure)


def worth_knowing(name: str, text: str, blocks: str = "", cure: str = "") -> Check:
    """Return a check that is not a fault but limits what can be done."""
    return Check(name, ok=None, text=text, blocks=blocks, cure=cure)
