"""The catalogues have every message of the program once, translated, with the same placeholders."""

from __future__ import annotations

import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from remediation.model.translation import SPOKEN
from remediation.model.translation.catalogue import _compile_messages
from remediation.model.translation.catalogue import read_po as read_own

ROOT = Path(__file__).parents[3]
LANGUAGES = [code for code in SPOKEN if code != "en"]
UPDATE = "run python scripts/messages.py, and translate what is new in the PO file"


def _file(language: str) -> Path:
    return ROOT / "remediation" / "locale" / language / "LC_MESSAGES" / "remediation.po"


@pytest.fixture(params=LANGUAGES)
def catalog(request: pytest.FixtureRequest) -> Catalog:
    with _file(request.param).open("rb") as file:
        return read_po(file, locale=request.param)


def test_every_message_is_in_the_catalogue_and_translated_or_listed_as_missing() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/messages.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{UPDATE}"


def test_no_translation_is_fuzzy_or_left_from_an_earlier_message(catalog: Catalog) -> None:
    assert [message.id for message in catalog if message.id and message.fuzzy] == []
    assert not catalog.obsolete


def test_placeholders_are_those_of_the_message(catalog: Catalog) -> None:
    wrong = []
    for message in catalog:
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        forms = [message.string] if isinstance(message.string, str) else list(message.string)
        expected = set(re.findall(r"\{(\w+)\}", ids[-1])) - {"verb"}
        wrong += [
            (ids[0], form) for form in forms if form and ids[0] and set(re.findall(r"\{(\w+)\}", form)) - {"verb"} != expected
        ]
    assert wrong == []


def test_commands_options_and_settings_are_not_translated(catalog: Catalog) -> None:
    """A reader copies them from the translation."""
    lost = []
    for message in catalog:
        if isinstance(message.id, str) and isinstance(message.string, str) and message.string:
            named = re.findall(r"`[^`]+`|(?<!\w)--[a-z][\w-]+|\b[A-Z]+(?:_[A-Z]+)+\b", message.id)
            lost += [
                (message.id, each) for each in named if each not in message.string and "MODEL" not in each and " " not in each
            ]
    assert lost == []


def test_the_reader_compiles_what_babel_compiles(catalog: Catalog) -> None:
    target = BytesIO()
    write_mo(target, catalog)
    compiled = (target.getvalue(), _compile_messages(read_own(_file(str(catalog.locale_identifier)))))
    # Babel repeats a message with a plural that has no translation
    theirs, ours = ({message: text for message, text in _texts(one).items() if message and message != text} for one in compiled)
    assert ours == theirs


def _texts(compiled: bytes) -> dict[bytes, bytes]:
    """Return the messages of a MO file."""
    count, ids, strings = (int.from_bytes(compiled[at : at + 4], "little") for at in (8, 12, 16))

    def text(table: int, index: int) -> bytes:
        at = table + 8 * index
        length, start = (int.from_bytes(compiled[part : part + 4], "little") for part in (at, at + 4))
        return compiled[start : start + length]

    return {text(ids, index): text(strings, index) for index in range(count)}
