"""Tables of the machine's memory and of the card's programs are read in any language."""

from __future__ import annotations

import pathlib

import pytest
import yaml

from remediation.diagnosis.diagnose import derive
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.facts.base import Facts
from remediation.diagnosis.readers.reading import read_evidence
from remediation.diagnosis.readers.texts.tables import localized, read_card_table, read_memory
from remediation.diagnosis.units import GIB, MIB

TABLES: dict[str, dict[str, str]] = yaml.safe_load((pathlib.Path(__file__).parent / "fixtures" / "tables.yml").read_text("utf-8"))
FREE, SYSTEMINFO, PROGRAMS = (TABLES[name] for name in ("free", "systeminfo", "programs"))


def facts(*pieces: tuple[str, str]) -> Facts:
    return derive(read_evidence(Evidence(platform="linux", pieces=tuple(Piece(kind, text) for kind, text in pieces))))


@pytest.mark.parametrize(
    ("text", "number"),
    [("7.312,5", 7312.5), ("7,312.5", 7312.5), ("16\u00a0255", 16255), ("16.255", 16255), ("1,2", 1.2), ("612", 612), ("1'234'567", 1234567), ("0.512", 0.512), ("1.2.3.4.5.6.7.8", None), ("x", None)],
)  # fmt: skip
def test_a_number_is_read_with_the_separators_of_any_language(text: str, number: float | None) -> None:
    assert localized(text) == number


@pytest.mark.parametrize("text", [*FREE.values(), *SYSTEMINFO.values()], ids=[*FREE, *(f"windows-{name}" for name in SYSTEMINFO)])
def test_the_machines_memory_is_read(text: str) -> None:
    memory = read_memory(text, "other")
    assert memory is not None
    assert abs(memory.total - 15 * GIB) < GIB
    assert memory.available == 612 * MIB
    assert facts(("other", text)).holds("ram.little")
    assert not facts(
        (
            "other",
            text.replace("612Mi", "6.1Gi")
            .replace("626688", "6266880")
            .replace("612 M", "6120 M")
            .replace("612 \u041c", "6120 \u041c"),
        )
    ).holds("ram.little")


def test_the_heading_of_a_table_states_nothing() -> None:
    assert not facts(("other", FREE["en"])).holds("reported.page_cache")
    assert facts(("other", "the page cache is counted as used")).holds("reported.page_cache")


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_what_programs_hold_of_the_card_is_read(text: str) -> None:
    found, at = read_card_table(text, "other")
    assert at is not None
    assert [one.name for one in found] == ["Cyberpunk2077", "ollama"]
    assert [(one.memory or 0) // MIB for one in found] == [7312, 3120]
    log = "load_tensors: offloaded 14/33 layers to GPU\n"
    assert facts(("other", text), ("server_log", log)).holds("vram.programs")


@pytest.mark.parametrize(
    "text", ["GPU Memory: 12 GB", "the VRAM  is full\nand nothing  helps 12", "a   VRAM\n", "Name   VRAM\n\nx"]
)
def test_sentences_about_the_cards_memory_are_no_table(text: str) -> None:
    assert read_card_table(text, "other") == ([], None)
