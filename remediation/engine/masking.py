"""Secrets out of events and files: every text that holds one is told with a mask instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MASK = "********"

SHORTEST = 4
"""Secrets shorter than this are not searched for: masking every "a" would hide the message and not the secret."""


class Masker:
    """Replaces known secrets in JSON values; more may be added while a run goes on (looked-up passwords)."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Learn more secrets; longer ones are masked first, so that one inside another leaves no rest."""
        known = {*self._secrets, *(secret for secret in secrets if len(secret) >= SHORTEST)}
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def __call__(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return `value` with every known secret masked, in keys as well."""
        if not self._secrets:
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {self(key): self(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        return value

    def _text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text
