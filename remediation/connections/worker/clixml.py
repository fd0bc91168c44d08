"""Converts PowerShell's stderr over WinRM (plain text, CLIXML blocks, or both) to plain text."""

from __future__ import annotations

import re

_HEADER = re.compile(rb"#< CLIXML\s*")
_BLOCK = re.compile(r"<Objs\b(?:[^<]|<(?!Objs\b))*?</Objs>")
_TEXT = re.compile(r'<S S="(?:Error|Warning)">((?:[^<]|<(?!S S=))*?)</S>')
_ESCAPE = re.compile(r"(?:_x[0-9A-Fa-f]{4}_)+")
_UNIT = re.compile(r"_x([0-9A-Fa-f]{4})_")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))


def readable_stderr(data: bytes) -> str:
    """Return errors and warnings as text. Progress and other streams are dropped; plain text is kept."""
    text = _decode(_HEADER.sub(b"", data.removeprefix(b"\xef\xbb\xbf")))
    # matched by pattern, not by an XML parser: blocks are truncated, repeated and mixed with the output of native programs
    plain = _BLOCK.sub(lambda block: "".join(_unescape(each) for each in _TEXT.findall(block[0])), text)
    cut = plain.find("<Objs ")
    if cut >= 0:
        plain = plain[:cut] + "".join(_unescape(each) for each in _TEXT.findall(plain[cut:]))
    return plain.strip()


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp437")


def _unescape(text: str) -> str:
    for entity, char in _ENTITIES:
        text = text.replace(entity, char)

    def units(found: re.Match[str]) -> str:
        # UTF-16 code units: a pair may be one character
        raw = b"".join(int(code, 16).to_bytes(2, "little") for code in _UNIT.findall(found[0]))
        return raw.decode("utf-16-le", errors="replace")

    return _ESCAPE.sub(units, text)
