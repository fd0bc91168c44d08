"""Exceptions in the program's own code: one sentence for the user, and a traceback file for the developers."""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_state_path

from remediation.model.errors import RemediationError
from remediation.model.secrets.masking import Masker
from remediation.model.text.visible import brief

_log = logging.getLogger(__name__)

NEXT_STEP = "report this with the file, and check the host before you run again"
_LONGEST = 200
"""Maximum length of an exception's message in the sentence: the text may come from a host."""

Crashed = Callable[[str, BaseException], str]
"""Saves the traceback of an exception at a host and returns the sentence for it."""


class InternalError(RemediationError):
    """An exception in the program's own code, in one sentence. The host where it occurred has failed."""

    exit_code = 2

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, next_step=NEXT_STEP)


class CrashLog:
    """Writes tracebacks to ``<folder>/HOST.txt``, readable only by their owner, with secrets masked."""

    def __init__(self, folder: Path, mask: Masker | None = None) -> None:
        self._folder = folder
        self._mask = mask or Masker()
        self._lock = threading.Lock()

    def __call__(self, host: str, error: BaseException) -> str:
        """Save the traceback of `error` and return its sentence; never raises."""
        _log.error("%s: internal error", host, exc_info=error)
        path = self._folder / f"{_file_name(host)}.txt"
        try:
            lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            self._append(path, str(self._mask(f"{stamp} {host}\n{lines}\n")))
        except (OSError, RecursionError, MemoryError, ValueError):
            return str(self._mask(summary(error)))
        return f"{self._mask(summary(error))} ({path})"

    def _append(self, path: Path, text: str) -> None:
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)


def errors_folder() -> Path:
    """Return the folder for the tracebacks of commands that have no run."""
    return user_state_path("remediation", appauthor=False) / "errors"


def summary(error: BaseException) -> str:
    """Return an exception in one line: its class and its message, shortened and without control characters."""
    text = ""
    with suppress(Exception):
        text = brief(str(error), _LONGEST)
    return f"internal error: {type(error).__name__}{f': {text}' if text else ''}"


def crash_sentence(host: str, error: BaseException) -> str:
    """Return the sentence for an exception without saving a traceback."""
    return summary(error)


@contextmanager
def contain_errors(host: str, crashed: Crashed) -> Iterator[None]:
    """Turn an exception of the program's own code into `InternalError`; a `RemediationError` passes."""
    try:
        yield
    except RemediationError:
        raise
    except Exception as error:  # an internal error of any kind ends one host and not the run
        raise InternalError(crashed(host, error)) from error


def _file_name(host: str) -> str:
    """Return a file name that cannot leave the folder."""
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in host[:100]).lstrip(".")
    return kept or "run"
