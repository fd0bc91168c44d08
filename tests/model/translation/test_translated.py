"""English texts of events become sentences of the language: by the message they were made from, or part by part."""

from __future__ import annotations

import pytest

from remediation.model.translation import gettext, language, ngettext, speak, translated, use_language
from remediation.model.translation.catalogue import templates


@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        ("close chrome.exe", "cerrar chrome.exe"),
        ("33/33 layers on the GPU", "33/33 capas en la GPU"),
        ("braces {} and {x} stay", "braces {} and {x} stay"),
        ("chrome.exe", "chrome.exe"),
        ("", ""),
        ("3 layers", "3 capas"),
        ("1 layer", "1 capa"),
        # words that are typed stay, also if they are messages of their own
        ("allow it with --max-risk disruptive", "permítelo con --max-risk disruptive"),
        ("set the parameter service", "define el parámetro service"),
        ("service", "service"),
        ("mistral:7b is not loaded", "mistral:7b no está cargado"),
        # a sentence without a message is not translated in one word
        (
            "nothing like this was ever written here or in the package",
            "nothing like this was ever written here or in the package",
        ),
        ("33 of 35", "33 de 35"),
        ("predicted +2.3 GiB, measured +2.3 GiB", "previsto +2.3 GiB, medido +2.3 GiB"),
        # a value that is a sentence
        (
            "not met after 1 try: mistral:7b is not loaded",
            "sin cumplirse después de 1 intento: mistral:7b no está cargado",
        ),
        # clauses that the program joins
        (
            "1/33 layers on the GPU; wanted 33/33; needs 5.4 GiB at 4096 context, 1.2 GiB are free: 1 of 33 layers",
            "1/33 capas en la GPU; se piden 33/33; necesita 5.4 GiB con contexto 4096, hay 1.2 GiB libres: 1 de 33 capas",
        ),
        (
            "programs outside Ollama hold VRAM when the model is loaded: chrome.exe 2.2 GiB hold the card: 4.8 GiB of the card are in use by others; x",
            "programas ajenos a Ollama ocupan VRAM cuando se carga el modelo: chrome.exe 2.2 GiB ocupan la tarjeta: 4.8 GiB de la tarjeta están en uso por otros; x",
        ),
        # values within values within a list, as in a point of verify
        (
            "at the start, settings: held - ignored by this release, kept: OLLAMA_GPU_MEMORY_FRACTION=0.85 (read by no Ollama release; OLLAMA_GPU_OVERHEAD (to v0.24) or LLAMA_ARG_FIT_TARGET (from v0.30) reserve memory, and reserve only), OLLAMA_NUM_GPU=99 (read by no Ollama release; num_gpu is an option of requests and Modelfiles)",
            "al arrancar, ajustes: se cumple - esta versión no los lee, se dejan: OLLAMA_GPU_MEMORY_FRACTION=0.85 (ninguna versión de Ollama lo lee; OLLAMA_GPU_OVERHEAD (hasta v0.24) o LLAMA_ARG_FIT_TARGET (desde v0.30) reservan memoria, y solo eso), OLLAMA_NUM_GPU=99 (ninguna versión de Ollama lo lee; num_gpu es una opción de peticiones y Modelfiles)",
        ),
        (
            "a last resort, but model_too_large and model_corrupt are not confirmed",
            "último recurso, pero no se ha confirmado: model_too_large y model_corrupt",
        ),
    ],
)
def test_a_text_is_translated_by_the_message_it_was_made_from(english: str, spanish: str) -> None:
    with use_language("es"):
        assert translated(english) == spanish
    assert translated(english) == english


def test_the_longest_reading_decides() -> None:
    """The summary of a change that ends a process differs from a change that closes a program."""
    with use_language("es"):
        assert translated("close (x) (process 4, a browser): it uses 2 GiB; then run this again").startswith(
            "cierra (x) (proceso 4"
        )


@pytest.mark.parametrize("text", ["{" * 3000, "a" * 100_000, "; ".join(["close x"] * 900), ": " * 1500, "on the GPU " * 300])
def test_hostile_text_is_returned_in_bounded_work(text: str) -> None:
    with use_language("es"):
        assert len(translated(text)) >= len(text) // 2


def test_counts_choose_the_form_and_the_language_is_restored() -> None:
    with use_language("es"):
        assert [ngettext("{count} host", "{count} hosts", count) for count in (0, 1, 2)] == ["0 equipos", "1 equipo", "2 equipos"]
        assert gettext("goal {state}: {text}", state="x", text="{y}") == "objetivo x: {y}"
        assert language() == "es"
    assert (language(), ngettext("{count} host", "{count} hosts", 2)) == ("en", "2 hosts")


def test_a_language_can_be_set_and_reset() -> None:
    try:
        speak("es")
        assert gettext("undo") == "deshacer"
    finally:
        speak("en")
    assert gettext("undo") == "undo"


@pytest.mark.parametrize("message", ["no placeholder", "{a} {b}", "{a}: {b}", "a {a}"])
def test_messages_with_too_little_text_are_no_templates(message: str) -> None:
    assert templates(message) == ()


def test_a_count_is_a_number_and_equal_names_have_equal_values() -> None:
    (counted,), (twice,) = templates("{count} layers"), templates("{a} equals {a}")
    assert (counted.match("33 layers"), counted.match("all 33 layers")) == ({"count": "33"}, None)
    assert (twice.match("x equals x"), twice.match("x equals y")) == ({"a": "x"}, None)
