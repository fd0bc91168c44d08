"""A command line of bash that is being typed: its words without quotation, and how readline replaces the last one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SPECIAL = re.compile(r"[^\w@%+=:,./~-]", re.ASCII)
_ESCAPED_IN_DOUBLE = '"\\$`'


@dataclass(slots=True)
class BashLine:
    """The words of a line up to the cursor; the last one is incomplete."""

    words: list[str] = field(default_factory=list)
    quote: str = ""
    """The quotation mark that the last word has open."""
    kept: str = ""
    """The part of the last word that readline leaves as it is: up to the last character that breaks words."""

    @classmethod
    def parse(cls, line: str, breaks: str) -> BashLine:
        """Read a line. `breaks` are the characters of COMP_WORDBREAKS that may stand within a word."""
        found, word, begun = cls(), "", False
        rest = iter(line)
        for char in rest:
            if found.quote:
                if char == found.quote:
                    found.quote, found.kept = "", word
                elif char == "\\" and found.quote == '"':
                    following = next(rest, "")
                    word += following if following in _ESCAPED_IN_DOUBLE else char + following
                else:
                    word += char
            elif char.isspace():
                if begun:
                    found.words.append(word)
                word, begun, found.kept = "", False, ""
                continue
            elif char in "'\"":
                found.quote, found.kept = char, word
            else:
                word += next(rest, "") if char == "\\" else char
                if char in breaks:
                    found.kept = word
            begun = True
        found.words.append(word)
        return found

    def replacing(self, word: str) -> str:
        """Return what readline inserts, quoted, so that the last word becomes `word`."""
        inserted = word.removeprefix(self.kept)
        if self.quote == "'":
            return inserted.replace("'", "'\\''")
        if self.quote:
            return "".join(f"\\{char}" if char in _ESCAPED_IN_DOUBLE else char for char in inserted)
        return _SPECIAL.sub(lambda found: f"\\{found[0]}", inserted)
