"""Reports in other languages: what they state is read, and quoted in their own words."""

from __future__ import annotations

import pytest

from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.words import WORDS, derive_words
from remediation.diagnosis.readers.reading import read_evidence
from remediation.diagnosis.readers.texts.languages import foreign_statements, in_english

SENTENCES = [
    ("reported.on_cpu", "Die Grafikkarte wird überhaupt nicht genutzt."),
    ("reported.on_cpu", "Ollama läuft bei mir nur auf der CPU."),
    ("reported.on_cpu", "Ollama n'utilise pas la carte graphique."),
    ("reported.on_cpu", "Mi tarjeta gráfica no se utiliza."),
    ("reported.on_cpu", "O Ollama não usa a placa de vídeo."),
    ("reported.on_cpu", "Ollama non usa la scheda video."),
    ("reported.on_cpu", "Ollama не использует видеокарту."),
    ("reported.on_cpu", "ollama 没有使用显卡"),
    ("reported.on_cpu", "GPUが使われません"),
    ("reported.one_card", "Es wird nur eine der Grafikkarten benutzt."),
    ("reported.one_card", "四张卡只用了一张显卡"),
    ("reported.slow", "Seit gestern ist alles sehr langsam."),
    ("reported.slow", "Todo va muy lento con este modelo."),
    ("reported.updated", "Seit dem letzten Update rechnet es anders."),
    ("reported.updated", "после обновления всё сломалось"),
    ("reported.slept", "Nach dem Aufwachen aus dem Ruhezustand ist es so."),
    ("reported.larger", "Das Modell passt nicht in den VRAM."),
    ("reported.larger", "显存不足"),
    ("reported.reloads", "Le modèle est rechargé à chaque requête, chaque message recharge tout."),
]
ENGLISH = [
    "My card is used, and the update went fine.",
    "No version of the GPU driver is on the list.",
    "Solo builds on CPU farms.",
]


def sheet_of(text: str) -> FactSheet:
    return FactSheet(read_evidence(Evidence(pieces=(Piece("other", text),))))


@pytest.mark.parametrize(("fact", "sentence"), SENTENCES)
def test_a_sentence_states_its_fact_and_is_quoted_as_it_was_written(fact: str, sentence: str) -> None:
    sheet = sheet_of(sentence)
    assert fact in set(derive_words(sheet))
    quote = sheet.known[fact].quotes[0].text
    assert quote.lower() in sentence.lower()


@pytest.mark.parametrize("sentence", foreign_statements())
def test_each_english_sentence_is_one_that_the_facts_know(sentence: str) -> None:
    assert set(derive_words(sheet_of(sentence))) & set(WORDS)


@pytest.mark.parametrize("sentence", ENGLISH)
def test_english_is_left_alone(sentence: str) -> None:
    assert not dict(in_english(sentence))


def test_two_languages_of_the_same_report_lead_to_the_same_diagnosis() -> None:
    row = Piece("ollama_ps", "NAME       ID   SIZE   PROCESSOR  UNTIL\nqwen3:14b  aaa  11 GB  100% GPU   4 minutes from now\n")
    causes = [
        diagnose(Evidence(gpu="2x NVIDIA GeForce RTX 3090", symptom=symptom, pieces=(row,))).findings[0].mechanism
        for symptom in ("Only one GPU is used.", "Nur eine GPU wird genutzt.", "只用了一张显卡")
    ]
    assert set(causes) == {"fits-one-card"}
