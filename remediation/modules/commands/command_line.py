"""Splits a command line into words: by shell quoting on POSIX, by the rules of Windows programs on Windows."""

from __future__ import annotations

import shlex


def split_command(text: str, *, windows: bool) -> list[str]:
    """Return the words of a command line. Raises ValueError on an unclosed quote."""
    return _windows(text) if windows else shlex.split(text)


def _windows(text: str) -> list[str]:
    """Return the words as CommandLineToArgvW does: only double quotes quote, and a backslash escapes only before a double quote."""
    words: list[str] = []
    word: str | None = None
    quoted = False
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            end = position
            while end < len(text) and text[end] == "\\":
                end += 1
            count, position = end - position, end
            before_quote = position < len(text) and text[position] == '"'
            word = (word or "") + "\\" * (count // 2 if before_quote else count)
            if before_quote and count % 2:
                word += '"'
                position += 1
            continue
        position += 1
        if character == '"':
            word = word or ""
            if quoted and text[position : position + 1] == '"':  # inside quotes, two double quotes are one literal quote
                word += '"'
                position += 1
            else:
                quoted = not quoted
        elif character.isspace() and not quoted:
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + character
    if quoted:
        raise ValueError("No closing quotation")
    return words if word is None else [*words, word]
