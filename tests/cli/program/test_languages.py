"""The language changes what people read, and nothing that programs read: exit codes and JSON are the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import running, settings
from tests.cli.processes import Remediate

LAB = ("--inventory", "lab")
LOG = 'time=2026-11-30T08:31:37.290Z level=INFO msg="loading model" "model layers"=33 requested=1\nload_tensors: offloaded 1/33 layers to GPU\n'
OF_ONE_RUN = {"time", "run", "seconds", "run_started", "started", "expires_at", "undo", "deadline", "round_trips"}
"""What differs between two runs in one language too."""

COMMANDS = {
    "fix-offload": (("fix-offload", *LAB, "--check"), 4),
    "diagnose": (("diagnose", *LAB, "--fail-on", "explicit_num_gpu"), 2),
    "diagnose-log": (("diagnose", "--evidence", "their.log"), 0),
    "verify": (("verify", *LAB), 2),
}
WORDS = {"fix-offload": "salida 4", "diagnose": "remedio", "diagnose-log": "remedio", "verify": "salida 2"}
"""A Spanish word of each text."""


@pytest.fixture(scope="module")
def remediate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remediate]:
    """The program, with a lab whose host has a fault that no command here repairs."""
    folder = tmp_path_factory.mktemp("languages")
    (folder / "their.log").write_text(LOG, "utf-8")
    with running(folder, settings(folder)) as start:
        assert start("lab.start").returncode == 0
        assert start("lab.fault", "laptop-07", "num-gpu-1").returncode == 0
        start("diagnose", *LAB)  # the first look at a new machine is longer
        yield start


def lasting(value: Any, *, measured: bool) -> Any:
    """Return a JSON value without what only one run has; `measured` values have other figures each time."""
    if isinstance(value, dict):
        return {key: lasting(each, measured=measured) for key, each in value.items() if key not in OF_ONE_RUN}
    if isinstance(value, list):
        return [lasting(each, measured=measured) for each in value]
    if not measured or isinstance(value, bool):
        return value
    return re.sub(r"\d+(?:\.\d+)?", "N", value) if isinstance(value, str) else 0 if isinstance(value, (int, float)) else value


def documents(text: str, *, measured: bool = False) -> list[Any]:
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(lasting(value, measured=measured))
        text = text[end:]
    return found


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.every] if name == "verify" else []) for name in COMMANDS])
def test_exit_code_and_json_are_the_same_in_every_language(remediate: Remediate, name: str) -> None:
    words, code = COMMANDS[name]
    english, spanish = (remediate(*words, "--json", "--lang", lang) for lang in ("en", "es"))
    assert (english.returncode, spanish.returncode) == (code, code), english.stdout + english.stderr
    measured = name == "verify"
    assert documents(spanish.stdout, measured=measured) == documents(english.stdout, measured=measured)
    text = remediate(*words, "--lang", "es")
    assert text.returncode == code
    assert WORDS[name] in " ".join(text.stdout.split())


@pytest.mark.every
def test_a_report_for_programs_is_the_same_in_a_spanish_locale(remediate: Remediate, tmp_path: Path) -> None:
    for name, locale in (("en", "C.UTF-8"), ("es", "es_ES.UTF-8")):
        done = remediate("fix-offload", *LAB, "--check", "--report", str(tmp_path / f"{name}.json"), LC_ALL=locale)
        assert done.returncode == 4
    kept = [(tmp_path / f"{name}.json").read_text("utf-8") for name in ("en", "es")]
    assert documents(kept[0]) == documents(kept[1])
