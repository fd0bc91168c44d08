"""The risk gate in front of a real (pseudo-)terminal, with the prompt that the command line uses."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TextIO

import pytest

from remediation.cli.prompt import TerminalPrompt
from remediation.engine.context import StepContext
from remediation.engine.step.executor import execute_step
from remediation.model.change import StepCall
from remediation.model.outcome import Outcome
from tests.engine.fakes.host import MODEL
from tests.engine.sample_steps import Bench

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
CLOSED = StepCall("sample.closed", {"names": ["chrome", "discord"]})


QUIET = 0.3
"""Seconds without a new piece after which everything has come."""


@dataclass
class Terminal:
    """Both ends of a pseudo-terminal: the program's, and the person's."""

    person: int
    program: TextIO

    def types(self, text: str) -> None:
        os.write(self.person, text.encode())

    def shown(self) -> str:
        """Return all that came, in however many pieces the terminal handed it on."""
        pieces = [os.read(self.person, 65536)]
        while select.select([self.person], [], [], QUIET)[0]:
            pieces.append(os.read(self.person, 65536))
        return b"".join(pieces).decode().replace("\r\n", "\n")


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    person, program = os.openpty()
    with os.fdopen(program, "r", encoding="utf-8", closefd=True) as stream:
        yield Terminal(person, stream)
    os.close(person)


def asked(bench: Bench, terminal: Terminal, questions: TextIO) -> StepContext:
    prompt = TerminalPrompt(answers=terminal.program, questions=questions)
    context = bench.context(interactive=prompt.available)
    return replace(context, ports=replace(context.ports, prompt=prompt))


@pytest.mark.parametrize(("answer", "outcome"), [("y\n", Outcome.CHANGED), ("\n", Outcome.BLOCKED), ("never\n", Outcome.BLOCKED)])
def test_disruptive_changes_are_listed_and_answered_once(terminal: Terminal, answer: str, outcome: Outcome) -> None:
    bench = Bench()
    bench.world.start("chrome.exe")
    bench.world.start("Discord.exe")
    with os.fdopen(os.dup(terminal.program.fileno()), "w", encoding="utf-8") as questions:
        terminal.types(answer)
        result = execute_step(CLOSED, asked(bench, terminal, questions))
    assert result.outcome is outcome
    shown = terminal.shown()
    assert "  disruptive: close chrome.exe\n  disruptive: close Discord.exe\nGo on with these on laptop-07? [y/N]" in shown
    assert shown.count("[y/N]") == 1


@pytest.mark.parametrize(("answer", "outcome"), [("laptop-07\n", Outcome.CHANGED), ("y\n", Outcome.BLOCKED)])
def test_what_deletes_data_wants_the_hosts_name(terminal: Terminal, answer: str, outcome: Outcome) -> None:
    bench = Bench()
    bench.world.models[MODEL] = None  # type: ignore[assignment] - only the name counts
    execute_step(StepCall("sample.preloaded", {"model": MODEL}), bench.context())
    with os.fdopen(os.dup(terminal.program.fileno()), "w", encoding="utf-8") as questions:
        terminal.types(answer)
        result = execute_step(StepCall("sample.deleted", {"model": MODEL}), asked(bench, terminal, questions))
    assert result.outcome is outcome
    assert "(type laptop-07 to continue)" in terminal.shown()


def test_without_a_terminal_there_is_no_question_and_the_option_is_named() -> None:
    bench = Bench()
    bench.world.start("chrome.exe")
    with open(os.devnull, encoding="utf-8") as answers, open(os.devnull, "w", encoding="utf-8") as questions:
        prompt = TerminalPrompt(answers=answers, questions=questions)
        context = bench.context(interactive=prompt.available)
        result = execute_step(CLOSED, replace(context, ports=replace(context.ports, prompt=prompt)))
    assert (result.outcome, result.next_step) == (Outcome.BLOCKED, "allow it with --max-risk disruptive")
