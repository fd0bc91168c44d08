"""The reports in Spanish: the events stay English, what people read does not."""

from __future__ import annotations

import re
from io import StringIO

import pytest
import yaml

from remediation.diagnosis.facts.names import FACTS
from remediation.diagnosis.facts.words import WORDS
from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.knowledge.explain import condition, explain_rows
from remediation.model.event import Event
from remediation.model.translation import gettext, translated, use_language
from remediation.report.diagnosis import diagnosis_lines
from remediation.report.html import html
from remediation.report.json_lines import JsonLines
from remediation.report.junit import junit
from remediation.report.terminal import PlainScreen, Terminal
from tests.cli.processes import ROOT

DIAGNOSIS = {
    "findings": [
        {
            "cause": "vram_occupied",
            "confidence": 0.99,
            "because": "programs outside Ollama hold VRAM when the model is loaded: a.exe 2.2 GiB hold the card: "
            "4.8 GiB of the card are in use by others; all layers need 5.3 GiB at 4096 context, 1.2 GiB are free",
            "quotes": [{"where": "server.log:33", "text": "load_tensors: offloaded 1/33 layers to GPU"}],
            "cure": "Close what uses the card, the largest first (`nvidia-smi` lists the programs; here a.exe, which holds 2.2 GiB of the card), "
            "then reload the model: until it is reloaded it keeps its layers, even if memory is freed. Where nothing may be closed, take a "
            "smaller model, a harder quantisation or a lower num_ctx that fits the free memory.",
            "confirm": "more memory is free at the next load, and all layers are placed",
        }
    ],
    "ruled_out": [{"cause": "driver_too_old", "because": "driver 551.86"}],
    "settings": [{"name": "A", "value": "1", "verdict": "dead", "because": "read by no Ollama release; num_gpu is an option of requests and Modelfiles"}],
    "need": "needs 5.4 GiB at 4096 context, 1.2 GiB are free: 1 of 33 layers",
}  # fmt: skip

CHANGE = {"summary": "close a.exe", "risk": "disruptive", "before": 1, "after": 0, "undo": None}
EVENTS = [
    Event("run_start", 1.0, data={"run": "7f3a", "command": "fix-offload", "check": False, "hosts": ["pc"], "playbook": "p.yml"}),
    Event("goal", 2.0, host="pc", data={"state": "unmet", "text": "1/33 layers on the GPU; wanted 33/33", "values": {"layers": [1, 33]}}),
    Event("findings", 3.0, host="pc", data={"diagnosis": DIAGNOSIS}),
    Event("change_start", 4.0, host="pc", data={"index": 0, "step": "vram.free", "change": CHANGE}),
    Event("change_end", 5.0, host="pc", data={"index": 0, "step": "vram.free", "change": CHANGE, "applied": True, "effect": "predicted +2.3 GiB, measured +2.3 GiB"}),
    Event("task_result", 6.0, host="pc", task="All layers on the GPU", data={"outcome": "blocked", "reason": "close b.exe: risk disruptive exceeds the limit safe", "next_step": "allow it with --max-risk disruptive"}),
    Event("host_end", 7.0, host="pc", data={"outcome": "blocked", "reason": "close b.exe: risk disruptive exceeds the limit safe"}),
    Event("run_end", 8.0, data={"run": "7f3a", "hosts": {"pc": {}}, "exit_code": 5, "seconds": 7.0}),
]  # fmt: skip


def _terminal() -> str:
    stream = StringIO()
    report = Terminal(PlainScreen(stream))
    for event in EVENTS:
        report(event)
    return stream.getvalue()


def test_the_terminal_is_spanish_without_english_remains() -> None:
    with use_language("es"):
        text = " ".join(_terminal().split())
    for part in ("objetivo 1/33 capas en la GPU; se piden 33/33", "programas ajenos a Ollama ocupan VRAM", "cerrar a.exe",
                 "siguiente: permítelo con --max-risk disruptive", "bloqueado", "salida 5"):  # fmt: skip
        assert part in text
    assert not re.findall(r"\b(?:the|layers on|blocked|allow|close|exit|with)\b", text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Ollama 0.13.5 in ai-native-ollama", "Ollama 0.13.5 en ai-native-ollama"),
        ("the container has no device request", "el contenedor no tiene ninguna petición de dispositivos"),
        (
            "not closed: a.exe 1 GiB (protected: it belongs to the system, Docker or Ollama), b.exe 2 GiB (protected: it belongs to root)",
            "no se cierran: a.exe 1 GiB (protegidos: es del sistema, de Docker o de Ollama), b.exe 2 GiB (protegidos: es de root)",
        ),
        (
            (
                "A=1 (read by no Ollama release; OLLAMA_GPU_OVERHEAD (to v0.24) or LLAMA_ARG_FIT_TARGET (from v0.30) reserve memory, and reserve only), "
                "B=2 (read by no Ollama release; num_gpu is an option of requests and Modelfiles)"
            ),
            (
                "A=1 (ninguna versión de Ollama lo lee; OLLAMA_GPU_OVERHEAD (hasta v0.24) o LLAMA_ARG_FIT_TARGET (desde v0.30) reservan memoria, "
                "y solo eso), B=2 (ninguna versión de Ollama lo lee; num_gpu es una opción de peticiones y Modelfiles)"
            ),
        ),
        ("afterwards, speed: NOT HELD - not met", "después, velocidad: NO SE CUMPLE - no se cumple"),
    ],
)
def test_a_list_whose_remarks_have_lists_is_read_by_its_brackets(text: str, wanted: str) -> None:
    with use_language("es"):
        assert translated(text) == wanted


def test_the_points_of_verify_are_spanish() -> None:
    playbook = yaml.safe_load((ROOT / "playbooks" / "verify.yml").read_text("utf-8"))
    points = [point for play in playbook for task in play["tasks"] for point in task.get("vars", {}).get("points", ())]
    assert points
    with use_language("es"):
        for point in points:
            text = f"{point['when']}, {point['what']}: held - x"
            assert not translated(text).startswith(point["when"]), text


def test_the_page_names_its_language_and_quotes_stay() -> None:
    english = html(EVENTS)
    with use_language("es"):
        spanish = html(EVENTS)
    assert '<html lang="en">' in english
    assert '<html lang="es">' in spanish
    assert "load_tensors: offloaded 1/33 layers to GPU" in spanish
    assert "Cierra lo que usa la tarjeta" in spanish
    body = re.sub(r"<(style|script|blockquote)\b.*?</\1>|<[^>]+>", " ", spanish, flags=re.DOTALL)
    assert not re.findall(r"\b(?:the|which|blocked|Found|Changed|before|after|hosts?)\b", body)


@pytest.mark.parametrize("form", ["junit", "json"])
def test_formats_for_programs_are_the_same_in_every_language(form: str) -> None:
    write = junit if form == "junit" else _json_lines
    english = write(EVENTS)
    with use_language("es"):
        assert write(EVENTS) == english


def _json_lines(events: list[Event]) -> str:
    stream = StringIO()
    report = JsonLines(stream)
    for event in events:
        report(event)
    return stream.getvalue()


def test_a_diagnosis_is_spanish_with_its_cure() -> None:
    with use_language("es"):
        text = " ".join(row for line in diagnosis_lines("pc", DIAGNOSIS) for row in line.rows())
    assert "señal en la próxima carga" in " ".join(text.split())
    assert "remedio Cierra lo que usa la tarjeta" in " ".join(text.split())
    assert not re.findall(r"\b(?:the|cure|confirm)\b", text)


def test_the_conditions_of_each_mechanism_are_spanish_as_a_whole() -> None:
    english = [*FACTS.values(), *(words[0] for words in WORDS.values())]
    with use_language("es"):
        english = [each for each in english if gettext(each) != each]  # but names, as of variables
        for entry in knowledge().mechanisms.values():
            rows = [row for heading, found in explain_rows(entry) if heading.startswith("it is ") for row in found]
            assert rows
            assert not [
                row for row in rows if "not known" in row or ", and " in row or any(f" {each}," in f" {row}," for each in english)
            ]
    assert condition("vram.free & ~slots.many") == "the card is free but for the desktop, and not known: three slots or more"
