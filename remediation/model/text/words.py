"""Counted nouns in sentences."""

from __future__ import annotations


def plural(count: int, noun: str, many: str = "") -> str:
    """Return ``1 change`` or ``3 changes``; `many` is an irregular plural."""
    return f"{count} {noun}" if count == 1 else f"{count} {many or noun + 's'}"


def verb(count: int, one: str = "is", many: str = "are") -> str:
    """Return the verb form for a count."""
    return one if count == 1 else many
