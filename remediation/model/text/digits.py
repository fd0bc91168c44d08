"""Integers in untrusted text.

``str.isdigit`` does not guarantee that ``int`` works: it accepts "²", and Python refuses to convert more than 4,300 digits.
"""

from __future__ import annotations

from remediation.model.limits import JSON_DIGITS


def is_whole(text: str | bytes) -> bool:
    """Return whether `text` consists of ASCII digits, and few enough of them for ``int``."""
    return text.isascii() and text.isdigit() and len(text) <= JSON_DIGITS
