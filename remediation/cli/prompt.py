"""The prompt port: questions on the terminal. Without a terminal the risk gate blocks instead of asking."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from remediation.model.text.visible import visible_line
from remediation.model.translation import gettext, language, translated

YES = {"en": frozenset({"y", "yes"}), "es": frozenset({"s", "si", "sí"})}
"""The answers that agree, by language."""


class TerminalPrompt:
    """Asks on standard error and reads standard input; ``pause`` hides the live lines meanwhile."""

    def __init__(
        self,
        answers: TextIO | None = None,
        questions: TextIO | None = None,
        pause: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._answers = answers or sys.stdin
        self._questions = questions or sys.stderr
        self._pause = pause

    @property
    def available(self) -> bool:
        """Whether questions can be answered: both ends are a terminal."""
        return self._answers.isatty() and self._questions.isatty()

    def confirm(self, question: str, details: Sequence[str] = ()) -> bool:
        """Ask a yes/no question under a list of details; any other answer and the end of input count as no."""
        answer = self._ask(translated(question), gettext(" [y/N] "), [translated(detail) for detail in details])
        return answer.lower() in YES[language()]

    def confirm_typed(self, question: str, wanted: str) -> bool:
        """Ask the user to type `wanted`; any other input counts as no."""
        form = gettext(" (type {word} to continue) ", word=wanted)
        return self._ask(translated(question), form, ()) == wanted

    def line(self, question: str, *, hide: bool = False) -> str:
        """Ask for a line of text; with `hide`, it is not shown while it is typed."""
        if not hide:
            return self._ask(question, " ", ())
        with self._pause():
            return getpass.getpass(f"{visible_line(question)} ", self._questions)

    def _ask(self, question: str, form: str, details: Sequence[str]) -> str:
        with self._pause():
            # show exactly what is agreed to: one line per change, even if a host's names contain control characters
            self._questions.writelines(f"  {visible_line(detail)}\n" for detail in details)
            self._questions.write(f"{visible_line(question)}{form}")
            self._questions.flush()
            return self._answers.readline().strip()
