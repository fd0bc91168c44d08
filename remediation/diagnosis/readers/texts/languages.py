"""Statements of reports in other languages, each given in the English words that the facts know.

A report is not translated. A few dozen statements count ("the card is not used", "since the update"); ``languages.yml`` has
their usual wordings in German, French, Spanish, Portuguese, Italian, Russian, Chinese and Japanese.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from importlib import resources

import yaml

_OTHER = re.compile(
    r"[äöüßéèêàçñãõáíóúìòù\u0400-\u04ff\u3040-\u30ff\u4e00-\u9fff]|\b(?:nicht|grafikkarte|wird|seit|nach dem|der|das|ist|pas|carte|depuis|tarjeta|desde|placa|scheda|dopo|cada|ogni|muy|muito|molto|con|no se|para|el|la|le)\b",
    re.IGNORECASE,
)
"""A cheap test for words of another language."""
_LONG = 200_000
"""Texts of more characters are not treated as a person's report."""


@functools.cache
def foreign_statements() -> Mapping[str, re.Pattern[str]]:
    """Return the English sentences, each with the pattern of its wordings; the file is read at the first call."""
    table = yaml.safe_load((resources.files(__package__) / "languages.yml").read_text(encoding="utf-8"))
    return {
        sentence: re.compile(
            "|".join(
                wording.replace("<card>", table["card"][language])
                for language, wordings in by_language.items()
                for wording in wordings
            ),
            re.IGNORECASE,
        )
        for sentence, by_language in table["statements"].items()
    }


def in_english(text: str) -> Iterator[tuple[str, str]]:
    """Yield what a report in another language states, each statement once: in English, and in its own words."""
    if len(text) >= _LONG or _OTHER.search(text) is None:
        return
    for sentence, pattern in foreign_statements().items():
        match = pattern.search(text)
        if match is not None:
            yield sentence, match[0].strip()
