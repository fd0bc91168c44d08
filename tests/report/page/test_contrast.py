"""The colours of the pages: contrast as WCAG 2.2 AA wants it, in both colour schemes and on paper."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

CSS = files("remediation.report.page").joinpath("page.css").read_text(encoding="utf-8")
TEXT = 4.5
"""Least contrast of text (WCAG 1.4.3)."""
GRAPHICS = 3.0
"""Least contrast of what must be seen to understand a chart, and of a control's border (WCAG 1.4.11)."""
FILLS = (
    "c-model",
    "c-was",
    "c1",
    "c2",
    "c3",
    "c4",
    "c5",
    "c6",
    "c-others",
    "c-unknown",
    "c-good",
    "c-fine",
    "c-bad",
    "c-warn",
    "c-lost",
)


def palettes() -> dict[str, dict[str, str]]:
    """Return the custom properties of each scheme; dark and print override those of light."""
    found = {}
    for name, opening in {"light": r"^", "dark": r"prefers-color-scheme: dark\) \{\s*", "print": r"@media print \{\s*"}.items():
        match = re.search(opening + r":root \{(.*?)\}", CSS, re.DOTALL)
        assert match is not None
        found[name] = dict(re.findall(r"--([\w-]+): (#\w+)", match[1]))
    return {name: {**found["light"], **own} for name, own in found.items()}


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * each for each in colour[1:])
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_the_measure_is_that_of_wcag() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_and_charts_can_be_told_from_their_ground(scheme: str) -> None:
    colour = palettes()[scheme]
    fill = {name: colour[name] for name in FILLS}
    pairs = [(name, colour[name], ground, colour[ground], TEXT) for name in ("ink", "dim", "good", "bad", "warn", "link")
             for ground in ("paper", "ground")]  # fmt: skip
    pairs += [
        ("label", colour["label"], name, value, TEXT) for name, value in fill.items() if name != "c-was"
    ]  # its bars have no text inside
    pairs += [(name, value, ground, colour[ground], GRAPHICS) for name, value in fill.items() for ground in ("paper", "c-free")]
    pairs += [
        ("dim", colour["dim"], "paper", colour["paper"], GRAPHICS),
        ("ink", colour["ink"], "c-free", colour["c-free"], TEXT),
    ]
    low = {f"{name} on {ground}": round(contrast(one, other), 2) for name, one, ground, other, least in pairs
           if contrast(one, other) < least}  # fmt: skip
    assert low == {}
