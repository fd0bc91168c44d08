"""The language of the command line: ``--lang``, else the user's locale. Errors are translated while they are printed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from remediation.model.errors import InputError, Problem, RemediationError, UsageError
from remediation.model.translation import SPOKEN, gettext, speak, translated
from remediation.model.translation.language import language_option, of_locale


def set_language_from_arguments(words: Sequence[str]) -> None:
    """Write in the language of a command line that is not validated yet: its errors are in that language too."""
    option = language_option(words)
    speak(option if option in SPOKEN else of_locale(os.environ))


def set_language_option(option: str | None) -> None:
    """Write in the language of ``--lang``, else of the locale. Raises `UsageError` for another language."""
    if option is not None and option not in SPOKEN:
        raise UsageError(
            f"--lang: expected {' or '.join(SPOKEN)}, got {option!r}", next_step="leave it out for the locale's language"
        )
    speak(option or of_locale(os.environ))


def error_text(error: RemediationError) -> str:
    """Return an error as it is printed, in the language."""
    if isinstance(error, InputError):
        return "\n".join(str(Problem(translated(each.message), each.place, each.excerpt)) for each in error.problems)
    head = f"{error.place}: {translated(error.message)}" if error.place else translated(error.message)
    return f"{head}\n  {gettext('next')}: {translated(error.next_step)}" if error.next_step else head
