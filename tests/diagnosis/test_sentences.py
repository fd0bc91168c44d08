"""What people say: sentences in ever new words, and sentences that say nothing of a fault."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.phrases import CONCEPTS, STATEMENTS, statements
from remediation.diagnosis.facts.words import WORDS, derive_words
from remediation.diagnosis.readers.reading import read_evidence
from remediation.model.text.yaml_limits import FASTEST

SENTENCES: dict[str, list[str]] = yaml.load(
    (pathlib.Path(__file__).parent / "fixtures" / "sentences.yml").read_text("utf-8"), Loader=FASTEST
)
PAIRS = [(fact, sentence) for fact, sentences in SENTENCES.items() if fact != "nothing" for sentence in sentences]


def facts_of(sentence: str) -> set[str]:
    sheet = FactSheet(read_evidence(Evidence(pieces=(Piece("other", sentence),))))
    return set(derive_words(sheet))


@pytest.mark.parametrize(("fact", "sentence"), PAIRS)
def test_a_sentence_states_its_fact(fact: str, sentence: str) -> None:
    assert fact in facts_of(sentence)


@pytest.mark.parametrize("sentence", SENTENCES["nothing"])
def test_a_sentence_about_something_else_states_nothing(sentence: str) -> None:
    assert facts_of(sentence) == set()


def test_every_statement_is_of_a_known_fact_and_of_known_concepts() -> None:
    assert set(STATEMENTS) <= set(WORDS)
    assert {concept for group in STATEMENTS.values() for one in group for concept in one.concepts} == set(CONCEPTS)


def test_a_word_that_turns_the_meaning_round_keeps_a_statement_from_being_made() -> None:
    assert "reported.after_reboot" in dict(statements("A reboot makes the card go missing in the container."))
    assert "reported.after_reboot" not in dict(statements("The card is missing until a reboot helps."))


def test_concepts_of_two_sentences_make_no_statement() -> None:
    assert dict(statements("The card is new. It was not easy to use the menu.")) == {}


def test_the_time_is_linear_in_the_text() -> None:
    text = "the card is not what people use it for and " * 4000
    assert re.search("card", next(words for name, words in statements(text) if name == "reported.on_cpu"))
