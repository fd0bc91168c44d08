"""Whole numbers in text that somebody else wrote.

``str.isdigit`` is no test for ``int``: it accepts "²", and Python refuses to convert more than 4,300 digits.
"""

from __future__ import annotations

from remediation.model.limits import JSON_DIGITS


def is_whole(text: str | bytes) -> bool:
    """Return whether `text` consists of ASCII digits, and few enough of them for ``int``."""
    return text.isascii() and text.isdigit() and len(text) <= JSON_DIGITS
