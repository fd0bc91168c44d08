r"""Text from elsewhere cannot steer a terminal: control characters are spelled out, and nothing is hidden."""

from __future__ import annotations

import json
import unicodedata

import pytest

from remediation.model.text.visible import visible, visible_json, visible_line
from remediation.report.text import Line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;PWNED\x07\x1b[31m", r"\x1b]0;PWNED\x07\x1b[31m"),
        ("\x9b2J\x7f\x00\x08", r"\x9b2J\x7f\x00\x08"),
        ("a\u202eb\u2066c\u2069\u200b\u2028\u2029\ufeff", r"a\u202eb\u2066c\u2069\u200b\u2028\u2029\ufeff"),
        ("\ud800 \U000e0041", r"\ud800 \U000e0041"),
        ("one\r\ntwo\rthree\ttab\n", "one\ntwo\\x0dthree\ttab\n"),
        ("Größe 5,4 GiB ✓ → … 日本語 🎉", "Größe 5,4 GiB ✓ → … 日本語 🎉"),
    ],
)
def test_control_characters_are_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown


def test_no_character_that_is_not_printed_stays() -> None:
    everything = "".join(map(chr, range(0x110000)))
    left = {character for character in visible(everything) if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}}
    assert left == {"\n", "\t"}
    directions = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"}
    shaped = {character for character in visible(everything) if unicodedata.bidirectional(character) in directions}
    assert all(unicodedata.category(character) != "Cf" or ord(character) > 0xFFFF for character in shaped)


def test_one_line_stays_one_line() -> None:
    assert visible_line("close a.exe\n  observe: nothing\tx") == r"close a.exe\n  observe: nothing\tx"


def test_json_stays_the_same_value() -> None:
    value = {"a": "\x1b[2J\x7f\x9b\u202e\u2028é\ud800", "b": [1, None, "\n"]}
    text = visible_json(value)
    assert json.loads(text) == value
    assert "é" in text
    assert visible(text) == text


def test_a_line_is_as_wide_as_it_looks() -> None:
    assert Line("\x1b[2J" * 10 + " \x85 end", lead="a\nb  ").rows(40) == [
        r"a\nb  \x1b[2J\x1b[2J\x1b[2J\x1b[2J\x1b[2",
        r"      J\x1b[2J\x1b[2J\x1b[2J\x1b[2J\x1b[",
        r"      2J \x85 end",
    ]
    assert Line("+\x1b[31mred\r\n-old", verbatim=True).rows() == [r"+\x1b[31mred", "-old"]
